"""Semantic versions and their precedence (semver.org 2.0.0, 11)."""

import re
from dataclasses import dataclass

from pilotage_coordinator.store.errors import Refused

_VERSION = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
)


@dataclass(frozen=True, slots=True, order=True)
class Precedence:
    """A version as something to be compared. A release comes after its pre-releases."""

    major: int
    minor: int
    patch: int
    release: bool
    prerelease: tuple[tuple[int, int, str], ...]
    """For each identifier: (is it a word, its number, its word): numbers before words."""


def precedence(version: str) -> Precedence:
    """Read MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]; raises Refused for anything else."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise Refused(f"`{version[:60]}` is no semantic version: write MAJOR.MINOR.PATCH, as 1.4.0")
    major, minor, patch, prerelease = match.groups()
    parts = prerelease.split(".") if prerelease else []
    return Precedence(
        major=int(major),
        minor=int(minor),
        patch=int(patch),
        release=not parts,
        prerelease=tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts),
    )
