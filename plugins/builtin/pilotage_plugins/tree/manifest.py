"""The manifest of a backup: what exactly was there, and which entries nobody can vouch for because they changed.

How it can be honest about live data: `survey` notes the identity (inode, times, size) of every entry before the
backup; `write_manifest` describes every entry after it. An entry whose identity, change time included, is the same at
both ends did not change while the backup read it, so the hash taken afterwards is the hash of what was backed up. Any
other entry is marked volatile. The kernel stamps change times with a coarse clock, so the backup may start only
`SETTLE_SECONDS` after the survey ended; else a change within the same tick would go unseen. Writes through a shared
memory map may stamp late: such a file can show up as a difference, never as a false "identical".
"""

import gzip
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pilotage_plugins.tree.entry import Entry, describe, entry_from_line, type_of
from pilotage_plugins.tree.errors import TreeError
from pilotage_plugins.tree.walk import Found, Walk, path_key

SETTLE_SECONDS: Final = 0.05
MANIFEST_VERSION: Final = 1
Identity = tuple[int, ...]
_SIZE: Final = 5


def identity(status: os.stat_result) -> Identity:
    """Return what changes whenever an entry changes."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@dataclass(slots=True)
class SurveyTotals:
    """What a survey adds up to. `files` and `bytes` are of regular files; a hard-linked one counts once."""

    entries: int = 0
    files: int = 0
    bytes: int = 0
    _linked: set[tuple[int, int]] = field(default_factory=set)

    def add(self, status: os.stat_result) -> None:
        """Count one entry."""
        self.entries += 1
        if not stat.S_ISREG(status.st_mode):
            return
        if status.st_nlink > 1:
            inode = (status.st_dev, status.st_ino)
            if inode in self._linked:
                return
            self._linked.add(inode)
        self.files += 1
        self.bytes += status.st_size


def survey(walks: Iterable[Walk], into: Path) -> SurveyTotals:
    """Write the identity of every entry into a file, in walk order; returns what they add up to."""
    totals = SurveyTotals()
    with into.open("wb") as out:
        for walk in walks:
            for found in walk.entries():
                out.write(_identity_line(found))
                totals.add(found.stat)
    return totals


def bytes_changed_since(surveyed: Path, since_ns: int) -> int:
    """Return the size of the regular files of a survey that changed at or after this time (nanoseconds, Unix)."""
    changed = 0
    with surveyed.open("rb") as lines:
        for line in lines:
            _path, kind, numbers = json.loads(line)
            if kind == "file" and numbers[-1] >= since_ns:
                changed += numbers[_SIZE]
    return changed


def write_manifest(walks: Iterable[Walk], surveyed: Path, header: dict[str, Any], into: Path) -> "ManifestTotals":
    """Describe every entry and write the manifest; roots in the same order as they were surveyed."""
    totals = ManifestTotals()
    with surveyed.open("rb") as before:
        noted = _Peekable(map(_noted, before))
        write_entries((entry for walk in walks for entry in _described(walk, noted)), header, into, totals)
    return totals


def write_entries(entries: Iterable[Entry], header: dict[str, Any], into: Path, totals: "ManifestTotals") -> None:
    """Write a manifest, gzipped, and add its entries up."""
    with gzip.open(into, "wb", compresslevel=3) as out:
        out.write(json.dumps({"manifest": MANIFEST_VERSION, **header}, ensure_ascii=True).encode() + b"\n")
        for entry in entries:
            totals.add(entry)
            out.write(entry.to_line())


def read_manifest(path: Path) -> Iterator[Entry]:
    """Yield the entries of a manifest in walk order; raises TreeError when it is not one, or is damaged."""
    try:
        with gzip.open(path, "rb") as lines:
            check_header(next(lines, b""))
            for line in lines:
                yield entry_from_line(line)
    except (OSError, EOFError) as error:
        raise TreeError(f"the manifest is damaged: {error}") from error


def check_header(line: bytes) -> dict[str, Any]:
    """Return the header of a manifest; raises TreeError for any other text and for a newer version."""
    try:
        header = json.loads(line)
        version = header["manifest"]
    except (ValueError, TypeError, KeyError) as error:
        raise TreeError("this is no manifest of a backup") from error
    if version != MANIFEST_VERSION:
        raise TreeError(f"the manifest has version {version}, this plugin reads {MANIFEST_VERSION}: upgrade it")
    return dict(header)


class ManifestTotals:
    """What a manifest adds up to."""

    def __init__(self) -> None:
        self.entries = 0
        self.files = 0
        self.bytes = 0
        self.volatile = 0

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        self.entries += 1
        self.volatile += entry.volatile
        if entry.type == "file":
            self.files += 1
            self.bytes += entry.size


def _described(walk: Walk, noted: "_Peekable") -> Iterator[Entry]:
    """Merge one walk with the survey of the same root: stable entries, changed ones, new ones and vanished ones."""
    inside = path_key(walk.root.rstrip(b"/"))
    for found in walk.entries():
        while (head := noted.head) is not None and head[0] < found.key and head[0][: len(inside)] == inside:
            yield _vanished(noted.take())
        before: Identity | None = None
        if (head := noted.head) is not None and head[0] == found.key:
            before = noted.take()[2]
        yield _describe_twice(found, before, walk.checkpoint)
    while (head := noted.head) is not None and head[0][: len(inside)] == inside:
        yield _vanished(noted.take())


def _describe_twice(found: Found, before: Identity | None, checkpoint: Callable[[], None]) -> Entry:
    volatile = Entry(path=os.fsdecode(found.path), type=type_of(found.stat), volatile=True)
    if before != identity(found.stat):
        return volatile
    try:
        entry = describe(found.path, found.stat, checkpoint)
        return entry if identity(os.lstat(found.path)) == before else volatile
    except FileNotFoundError:
        return volatile


def _vanished(noted: tuple[tuple[bytes, ...], str, Identity]) -> Entry:
    return Entry(path=os.fsdecode(b"/".join(noted[0])), type=noted[1], volatile=True)


def _identity_line(found: Found) -> bytes:
    line = json.dumps([os.fsdecode(found.path), type_of(found.stat), identity(found.stat)], ensure_ascii=True)
    return line.encode() + b"\n"


def _noted(line: bytes) -> tuple[tuple[bytes, ...], str, Identity]:
    path, kind, numbers = json.loads(line)
    return path_key(os.fsencode(path)), kind, tuple(numbers)


class _Peekable:
    """An iterator whose next item can be looked at."""

    def __init__(self, items: Iterator[tuple[tuple[bytes, ...], str, Identity]]) -> None:
        self._items = items
        self.head = next(items, None)

    def take(self) -> tuple[tuple[bytes, ...], str, Identity]:
        taken = self.head
        assert taken is not None
        self.head = next(self._items, None)
        return taken
