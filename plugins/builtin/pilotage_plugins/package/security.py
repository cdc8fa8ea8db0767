"""Which versions come from a security archive: read from `apt-cache policy`, not from what apt would choose by itself.

A fix may stand below a newer plain version, and it is the fix that is wanted then.
"""

import re
from collections.abc import Iterator
from typing import Final

from pilotage_plugins.host.version import version_key

_ARCHIVE: Final = re.compile(r"^ +-?\d+ (?P<source>\S.*)$")
_RELEASE: Final = re.compile(r"^ +release (?P<fields>.*)$")
_IS_SECURITY: Final = re.compile(r"(?:^|,)[lan]=[^,]*-security(?:,|$)", re.IGNORECASE)
_NAME: Final = re.compile(r"^(?P<name>[a-z0-9][^ ]*):$")
_VERSION: Final = re.compile(r"^ (?:\*\*\*|   ) (?P<version>\S+) ")
_SOURCE: Final = re.compile(r"^ {7,}-?\d+ (?P<source>\S.*)$")


def security_archives(policy: str) -> set[str]:
    """Read what `apt-cache policy` tells of the archives: those whose label, suite or codename ends in -security."""
    found, last = set(), ""
    for line in policy.splitlines():
        if match := _RELEASE.match(line):
            if _IS_SECURITY.search(match["fields"]):
                found.add(last)
        elif match := _ARCHIVE.match(line):
            last = match["source"].strip()
    return found


def fixes(policy: str, archives: set[str]) -> dict[str, str]:
    """Read what `apt-cache policy PACKAGE...` tells: the newest version of each from a security archive, where it is
    newer than the installed one and not newer than what the host's preferences allow."""
    found = {}
    for name, installed, candidate, versions in _packages(policy):
        if "(none)" in (installed, candidate):
            continue
        low, high = version_key(installed), version_key(candidate)
        fitting = [
            version
            for version, sources in versions.items()
            if low < version_key(version) <= high and not archives.isdisjoint(sources)
        ]
        if fitting:
            found[name] = max(fitting, key=version_key)
    return found


def _packages(policy: str) -> Iterator[tuple[str, str, str, dict[str, set[str]]]]:
    """Take the parts for each package: its name, the installed version, the candidate, and versions with sources."""
    for part in re.split(r"^(?=\S)", policy, flags=re.MULTILINE):
        head, *lines = part.splitlines() or [""]
        if not (named := _NAME.match(head)):
            continue
        told: dict[str, str] = {"Installed": "(none)", "Candidate": "(none)"}
        versions: dict[str, set[str]] = {}
        version = ""
        for line in lines:
            key, _, value = line.strip().partition(": ")
            if key in told:
                told[key] = value.strip()
            elif source := _SOURCE.match(line):
                versions.setdefault(version, set()).add(source["source"].strip())
            elif match := _VERSION.match(line):
                version = match["version"]
        yield named["name"], told["Installed"], told["Candidate"], versions
