"""Which versions are fixes, read from what apt tells of archives and versions."""

import pytest
from pilotage_plugins.package.security import fixes, security_archives

ARCHIVES = """\
Package files:
 100 /var/lib/dpkg/status
     release a=now
 500 http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
     release v=12,o=Debian,a=oldstable-security,n=bookworm-security,l=Debian-Security,c=main,b=amd64
     origin deb.debian.org
 500 http://mirror.example.org/ubuntu jammy-security/main amd64 Packages
     release v=22.04,o=Ubuntu,a=jammy-security,n=jammy,l=Ubuntu,c=main,b=amd64
 500 http://security.example.org/debian-security bookworm/main amd64 Packages
     release o=Shop,a=stable,n=bookworm,l=Shop security tools,c=main,b=amd64
 500 http://deb.debian.org/debian bookworm/main amd64 Packages
     release v=12.9,o=Debian,a=oldstable,n=bookworm,l=Debian,c=main,b=amd64
     origin deb.debian.org
Pinned packages:
     security-tools -> 1.0 with priority 1001
"""
SECURITY = "http://deb.debian.org/debian-security bookworm-security/main amd64 Packages"
PLAIN = "http://deb.debian.org/debian bookworm/main amd64 Packages"


def told(name: str, candidate: str, *versions: tuple[str, str]) -> str:
    """Say of a package what apt says: it is installed at 1.0, and these versions come from these archives."""
    lines = [f"{name}:", "  Installed: 1.0", f"  Candidate: {candidate}", "  Version table:"]
    for version, source in versions:
        lines += [f"     {version} 500", f"        500 {source}"]
    return "\n".join([*lines, " *** 1.0 100", "        100 /var/lib/dpkg/status", ""])


def test_security_archives_are_known_by_label_suite_or_codename() -> None:
    assert security_archives(ARCHIVES) == {
        SECURITY,
        "http://mirror.example.org/ubuntu jammy-security/main amd64 Packages",
    }
    assert security_archives("") == set()


@pytest.mark.parametrize(
    ("candidate", "versions", "fix"),
    [
        ("1.1", [("1.1", SECURITY)], "1.1"),
        ("2.0", [("2.0", PLAIN), ("1.1", SECURITY)], "1.1"),
        ("2.0", [("2.0", PLAIN), ("1.10", SECURITY), ("1.9", SECURITY)], "1.10"),
        ("1.1", [("1.1", SECURITY), ("1.0~deb12u1", SECURITY)], "1.1"),
        ("2.0", [("2.0", PLAIN)], None),
        ("1.0", [("1.1", SECURITY)], None),
        ("1.1", [("1.2", SECURITY), ("1.1", SECURITY)], "1.1"),
        ("1.0", [("0.9", SECURITY)], None),
        ("(none)", [("1.1", SECURITY)], None),
    ],
)
def test_the_newest_fix_that_may_be_installed_is_taken(
    candidate: str, versions: list[tuple[str, str]], fix: str | None
) -> None:
    policy = told("other", "1.0") + told("libx:i386", candidate, *versions) + told("last", "1.0")
    assert fixes(policy, {SECURITY}) == ({} if fix is None else {"libx:i386": fix})


def test_a_version_that_both_archives_have_is_a_fix() -> None:
    policy = told("nginx", "1.1", ("1.1", PLAIN)).replace(f"500 {PLAIN}", f"500 {PLAIN}\n        500 {SECURITY}")
    assert fixes(policy, {SECURITY}) == {"nginx": "1.1"}
    assert fixes("nginx:\n  Installed: (none)\n  Candidate: 1.1\n", {SECURITY}) == {}
