"""The order of versions, as Debian's policy has it (5.6.12); its packages and its kernels are named by it."""

import re
from typing import Final

Key = tuple[int, tuple[tuple[tuple[int, ...], int], ...], tuple[tuple[tuple[int, ...], int], ...]]

_PARTS: Final = re.compile(r"(\D*)(\d*)")


def version_key(version: str) -> Key:
    """Return what versions are sorted by: a tilde before the end of a part, the end before letters, then the rest."""
    epoch, colon, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch) if colon and epoch.isdigit() else 0, _key(upstream), _key(revision or "0")


def _key(part: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    return tuple(((*map(_rank, words), 0), int(digits or 0)) for words, digits in _PARTS.findall(part))


def _rank(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256
