"""Which paths are left out: shell patterns with one stated meaning, turned into exact paths for other programs."""

import os
import re
from collections.abc import Iterable
from typing import Final

_SPECIAL: Final = re.compile(rb"([\\*?\[])")


class Exclusion:
    """Patterns that leave paths out.

    A pattern without a slash matches a name anywhere (`*.tmp`). One with a slash matches the whole absolute path;
    there `*` and `?` stop at slashes and `**` does not (`/srv/**/cache`). What lies below a match is left out too.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        names: list[bytes] = []
        paths: list[bytes] = []
        for pattern in patterns:
            (paths if "/" in pattern else names).append(_regex(os.fsencode(pattern)))
        self._names = re.compile(b"|".join(names) or rb"(?!)", re.DOTALL)
        self._paths = re.compile(b"|".join(paths) or rb"(?!)", re.DOTALL)

    def leaves_out(self, path: bytes) -> bool:
        """Whether this absolute path is left out by itself; the caller does not descend into it."""
        return bool(self._names.fullmatch(path.rpartition(b"/")[2]) or self._paths.fullmatch(path.rstrip(b"/")))


def literal_pattern(path: bytes) -> bytes:
    """Return the restic pattern that matches exactly this path, whatever characters are in it."""
    return _SPECIAL.sub(rb"\\\1", path)


def _regex(pattern: bytes) -> bytes:
    out, rest = b"", pattern
    while rest:
        if rest.startswith(b"**"):
            out, rest = out + b".*", rest[2:]
        elif rest[:1] == b"*":
            out, rest = out + b"[^/]*", rest[1:]
        elif rest[:1] == b"?":
            out, rest = out + b"[^/]", rest[1:]
        elif (found := re.match(rb"\[(!?)([^\]/]+)\]", rest)) is not None:
            out += b"[" + (b"^" if found[1] else b"") + re.sub(rb"([\\\[^])", rb"\\\1", found[2]) + b"]"
            rest = rest[found.end() :]
        else:
            out, rest = out + re.escape(rest[:1]), rest[1:]
    return b"(?:" + out + b")"
