"""What apt says, read: its simulation and its status lines."""

from pathlib import Path

import pytest
from pilotage_plugin_api import InfrastructureFailed, ProgramResult, StepError, StepFailed, TargetFailed
from pilotage_plugins.package import running
from pilotage_plugins.package.apt import failure
from pilotage_plugins.package.change import services_in
from pilotage_plugins.package.choice import availability
from pilotage_plugins.package.progress import read_status
from pilotage_plugins.package.running import units_that_run
from pilotage_plugins.package.simulation import parse
from pilotage_plugins.package.system import PlannedChange

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
        (
            "Waiting for cache lock: Could not get lock /x. It is held by process 7 (apt)...\n"
            "dpkg: error processing package bad (--configure):",
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


def test_needrestarts_words_are_read() -> None:
    told = "NEEDRESTART-VER: 3.6\nNEEDRESTART-SVC: ssh.service\nNEEDRESTART-SVC: cron.service\nNEEDRESTART-CONT: x\n"
    assert services_in(told) == ["cron.service", "ssh.service"]
    assert services_in("") == []


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        (("apt-get", "apt-mark", "apt-cache", "dpkg", "dpkg-query"), ""),
        (("dnf", "yum", "rpm"), "this host has dnf, which is not supported yet: only apt is"),
        (("apk",), "this host has apk, which is not supported yet: only apt is"),
        (("apt-get", "apt-mark"), "this host has no apt-cache: only apt and dpkg are supported"),
        ((), "this host has no apt-get: only apt and dpkg are supported"),
    ],
)
async def test_a_host_without_apt_says_what_it_has(
    programs: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in programs:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await availability()
    assert (found.available, found.reason) == (not reason, reason)


def process(proc: Path, pid: str, root: Path, maps: str, cgroup: str) -> None:
    """Make what the kernel tells of one process."""
    (proc / pid).mkdir(parents=True)
    (proc / pid / "root").symlink_to(root)
    (proc / pid / "maps").write_text(maps)
    (proc / pid / "cgroup").write_text(cgroup)


def test_units_are_found_by_the_code_that_they_have_mapped(tmp_path: Path) -> None:
    library = tmp_path / "usr" / "lib" / "libx.so.1.2"
    library.parent.mkdir(parents=True)
    library.touch()
    (library.parent / "libx.so.1").symlink_to(library.name)
    (tmp_path / "lib").symlink_to("usr/lib")
    proc, other = tmp_path / "proc", tmp_path / "container"
    other.mkdir()
    code = f"7f00-7f01 r-xp 00000000 08:01 5 {library}\n7f02-7f03 rw-p 00000000 00:00 0\n"
    data = f"7f00-7f01 r--p 00000000 08:01 5 {library}\n"
    old = f"7f00-7f01 r-xp 00000000 08:01 5 {library} (deleted)\n"
    process(proc, "self", tmp_path, "", "0::/\n")
    process(proc, "10", tmp_path, code, "0::/system.slice/shop.service\n")
    process(proc, "11", tmp_path, code, "0::/user.slice/user-0.slice/user@0.service/app.slice/sync.service\n")
    process(proc, "12", tmp_path, code, "4:memory:/x\n1:name=systemd:/system.slice/old-v1.service\n")
    process(proc, "13", tmp_path, code, "0::/init.scope\n")
    process(proc, "14", tmp_path, data, "0::/system.slice/reads-data.service\n")
    process(proc, "15", tmp_path, old, "0::/system.slice/runs-an-older-one.service\n")
    process(proc, "16", other, code, "0::/system.slice/docker-1.scope\n")
    process(proc, "17", tmp_path, code, "0::/\n")
    (proc / "18").mkdir()  # it has just ended
    wanted = ["init.scope", "old-v1.service", "shop.service", "sync.service"]
    assert units_that_run([str(tmp_path / "lib" / "libx.so.1"), "/usr/share/doc/x"], proc) == wanted
    assert units_that_run([str(tmp_path / "usr" / "lib" / "liby.so.1")], proc) == []
    assert units_that_run(["/usr/share/doc/x", "/etc/x.conf"], proc) == []


def test_nobody_takes_a_part_of_the_units_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process(tmp_path / "proc", "self", tmp_path, "", "")
    process(tmp_path / "proc", "10", tmp_path, "", "")

    def refuse(process: Path) -> set[str]:
        raise PermissionError(13, "not yours", str(process))

    monkeypatch.setattr(running, "_mapped", refuse)
    assert units_that_run([str(tmp_path / "x")], tmp_path / "proc") is None
