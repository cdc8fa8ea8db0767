"""The file of one attempt's log, and the note beside it that says which bytes are missing.

Blocking; called in a thread; the folder is there already. The data file holds what was kept, one after the other, and
nothing else: whole NDJSON lines. The note (JSON, replaced atomically) maps places in the file to the agent's offsets,
and says whether the log is complete. There is none while nothing was dropped: then both are the same.
"""

import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pilotage_coordinator.store.protocol import LogSlice

OWNER_FILE = 0o600
MOST_GAPS = 1_000
"""After this many gaps everything that follows is dropped: the note stays small whatever an agent sends."""


@dataclass(slots=True)
class Gap:
    """`dropped` bytes are missing before the kept byte at `position` in the file, whose offset is `offset`."""

    position: int
    offset: int
    dropped: int


@dataclass(slots=True)
class LogFile:
    """One log, open for as long as its owner keeps the object; no file handle is held."""

    path: Path
    most_bytes: int
    size: int = 0
    gaps: list[Gap] = field(default_factory=list)
    complete: bool = False

    @classmethod
    def at(cls, path: Path, most_bytes: int) -> "LogFile":
        """Read what is there. A line that a crash of the machine cut is cut off."""
        log = cls(path, most_bytes)
        with suppress(FileNotFoundError):
            log.size = _whole_lines(path)
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            note = json.loads(log._note.read_text())
            log.gaps = [Gap(*gap) for gap in note["gaps"] if gap[0] <= log.size]
            log.complete = bool(note["complete"])
        return log

    @property
    def end(self) -> int:
        """Return the agent's offset before which everything is kept or known to be dropped."""
        if not self.gaps:
            return self.size
        return self.gaps[-1].offset + self.size - self.gaps[-1].position

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".gaps")

    def append(self, offset: int, data: bytes, dropped: int, last: bool, room: int = 2**63) -> None:
        """Keep what is new of a piece, if it is no more than `room` bytes; see `LogStore.append`."""
        if offset > self.end:
            if offset - dropped > self.end:
                return
            self._drop(offset - self.end)
        fresh = data[self.end - offset :]
        most = min(self.most_bytes, self.size + room)
        if fresh and (self.size + len(fresh) > most or len(self.gaps) > MOST_GAPS):
            self._drop(len(fresh))
        elif fresh:
            self._write(fresh)
        if last and not self.complete:
            self.complete = True
            self._write_note()

    def read(self, offset: int, limit: int) -> LogSlice:
        """Return up to `limit` bytes from an offset, up to the next gap; see `LogStore.read`."""
        start = max(0, self.end + offset) if offset < 0 else offset
        position, first, stop = self._locate(start)
        data = b""
        if position < stop:
            with self.path.open("rb") as file:
                file.seek(position)
                data = file.read(min(limit, stop - position))
            cut = data.rfind(b"\n") + 1
            if cut and position + len(data) < stop:
                data = data[:cut]
        following = first + len(data)
        return LogSlice(
            data=data,
            offset=first,
            dropped=max(0, first - start),
            next=following,
            end=self.end,
            complete=self.complete,
        )

    def _locate(self, start: int) -> tuple[int, int, int]:
        """Return where in the file an offset is, the offset of the byte there, and where the next gap is."""
        if start >= self.end:
            return self.size, max(start, self.end), self.size
        offsets = [gap.offset for gap in self.gaps]
        index = bisect_right(offsets, start)
        stop = self.gaps[index].position if index < len(self.gaps) else self.size
        base = self.gaps[index - 1] if index else Gap(0, 0, 0)
        position = base.position + start - base.offset
        if position < stop or index == len(self.gaps):
            return position, start, stop
        # `start` is among bytes that were dropped: what follows the gap is the answer.
        after = index + 1
        stop = self.gaps[after].position if after < len(self.gaps) else self.size
        return self.gaps[index].position, self.gaps[index].offset, stop

    def _drop(self, count: int) -> None:
        """Count bytes after the end as dropped."""
        end = self.end
        if self.gaps and self.gaps[-1].position == self.size:
            self.gaps[-1].offset += count
            self.gaps[-1].dropped += count
        else:
            self.gaps.append(Gap(position=self.size, offset=end + count, dropped=count))
        # Before the bytes that follow: in the other order a crash between would give them wrong offsets.
        self._write_note()

    def _write(self, data: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, OWNER_FILE)
        try:
            # A write that failed half-way (a full disk) left bytes behind the end: they are overwritten.
            os.ftruncate(file, self.size)
            _write_all(file, data, self.size)
        finally:
            os.close(file)
        self.size += len(data)

    def _write_note(self) -> None:
        note = {"gaps": [[gap.position, gap.offset, gap.dropped] for gap in self.gaps], "complete": self.complete}
        fresh = self._note.with_suffix(".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, OWNER_FILE)
        try:
            _write_all(file, json.dumps(note).encode(), 0)
        finally:
            os.close(file)
        fresh.replace(self._note)


def _write_all(file: int, data: bytes, position: int) -> None:
    view: Sequence[int] | memoryview = memoryview(data)
    while view:
        written = os.pwrite(file, bytes(view), position)
        position += written
        view = view[written:]


def _whole_lines(path: Path) -> int:
    """Return how many bytes of a file are whole lines."""
    size = path.stat().st_size
    with path.open("rb") as file:
        end = size
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
