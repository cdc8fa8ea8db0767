"""What apt says, read: its simulation and its status lines."""

import pytest
from pilotage_plugin_api import InfrastructureFailed, ProgramResult, StepError, StepFailed, TargetFailed
from pilotage_plugins.package.apt import failure
from pilotage_plugins.package.progress import read_status
from pilotage_plugins.package.simulation import PlannedChange, parse

SAID = """\
NOTE: This is only a simulation!
Reading package lists...
Remv oldlib [1.2-3]
Inst libc6 [2.36-9+deb12u8] (2.36-9+deb12u9 Debian:12.9/stable, Debian-Security:12/stable-security [amd64]) []
Inst libc6:i386 [2.36-9+deb12u8] (2.36-9+deb12u9 Debian:12.9/stable [i386]) [libc6:amd64 ]
Inst newlib (1:0.9~rc1-1 Debian:12.9/stable [all])
Inst openssl [3.0.2-0ubuntu1.10] (3.0.2-0ubuntu1.12 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])
Inst security-tools [1.0] (1.1 Debian:12.9/stable [all])
Conf libc6 (2.36-9+deb12u9 Debian:12.9/stable [amd64])
"""


def test_a_simulation_is_read() -> None:
    assert parse(SAID) == [
        PlannedChange(package="oldlib", before="1.2-3"),
        PlannedChange(package="libc6", before="2.36-9+deb12u8", after="2.36-9+deb12u9", security=True),
        PlannedChange(package="libc6:i386", before="2.36-9+deb12u8", after="2.36-9+deb12u9"),
        PlannedChange(package="newlib", after="1:0.9~rc1-1"),
        PlannedChange(package="openssl", before="3.0.2-0ubuntu1.10", after="3.0.2-0ubuntu1.12", security=True),
        PlannedChange(package="security-tools", before="1.0", after="1.1"),
    ]
    assert parse("") == []


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("dlstatus:1:50.0000:Retrieving file 1 of 2", (0.15, "Retrieving file 1 of 2")),
        ("pmstatus:plg-demo:100.0000:Installed plg-demo (amd64)", (1.0, "Installed plg-demo (amd64)")),
        ("pmstatus:dpkg-exec:0.0000:Running dpkg: twice", (0.3, "Running dpkg: twice")),
        ("pmerror:/x/y.deb:12.5:subprocess failed", (None, "/x/y.deb: subprocess failed")),
        ("pmstatus:broken", None),
        ("rubbish", None),
        ("", None),
    ],
)
def test_status_lines_are_progress(line: str, report: tuple[float | None, str] | None) -> None:
    found = read_status(line)
    assert (found and (found[0] and round(found[0], 6), found[1])) == report


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("E: Could not get lock /var/lib/dpkg/lock-frontend.", InfrastructureFailed, "lock-frontend"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", InfrastructureFailed, "free space"),
        ("E: Failed to fetch http://x/y  503 [IP: 1.2.3.4]", InfrastructureFailed, "503"),
        ("E: Unable to locate package nosuch", TargetFailed, "nosuch"),
        ("E: Version '9' for 'x' was not found", TargetFailed, "'9'"),
        ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", TargetFailed, r"package\.repair"),
        (
            "dpkg: error processing package bad (--configure):\nE: Sub-process /usr/bin/dpkg",
            StepFailed,
            "scripts of bad",
        ),
        ("boom", StepFailed, "boom"),
    ],
)
def test_failures_have_the_right_kind(said: str, kind: type[StepError], told: str) -> None:
    error = failure("apt-get", ProgramResult(100, b"", said.encode(), 0, len(said), 1.0))
    with pytest.raises(kind, match=told) as raised:
        raise error
    assert type(raised.value) is kind
