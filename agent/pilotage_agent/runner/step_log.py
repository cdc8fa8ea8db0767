"""An attempt's log: NDJSON in files, the first mebibyte and the last one kept, what lies between counted.

The file `log.0` is the head. When it is full, segments of half a mebibyte follow, each named after its place in the
whole stream (`log.1048576`, ...); only the two newest stay. The names alone tell what was dropped, so a log whose
writer was killed reads as well as any other.

Records: `{"t": UTC microseconds, "s": "step" | "stdout" | "stderr", "m": text}`.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_agent.running import LogPiece

HEAD_LIMIT: Final = 1024 * 1024
SEGMENT_LIMIT: Final = 512 * 1024
LINE_LIMIT: Final = 16 * 1024
"""Characters of one line's text; more is cut with a note."""


class StepLogWriter:
    """Writes one attempt's log; used by one process only. The first line makes folder and file."""

    def __init__(self, folder: Path, now: Callable[[], int], redact: Callable[[str], str]) -> None:
        self._folder = folder
        self._now = now
        self._redact = redact
        self._handle: int | None = None
        self._position = 0
        self._room = HEAD_LIMIT
        self._tail: list[Path] = []

    def write(self, stream: str, text: str) -> None:
        """Add a line. Never raises: when the disk is full the line is lost, the step is not."""
        text = self._redact(text)
        if len(text) > LINE_LIMIT:
            text = f"{text[:LINE_LIMIT]} [... line cut after {LINE_LIMIT} characters]"
        data = json.dumps({"t": self._now(), "s": stream, "m": text}).encode() + b"\n"
        try:
            self._put(data)
        except OSError:
            return

    def close(self) -> None:
        """Close the open file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _put(self, data: bytes) -> None:
        if self._handle is None or len(data) > self._room:
            self._next_segment(len(data))
        assert self._handle is not None
        os.write(self._handle, data)
        self._position += len(data)
        self._room -= len(data)

    def _next_segment(self, needed: int) -> None:
        first = self._position == 0
        self.close()
        if first:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"log.{self._position}"
        self._handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._room = HEAD_LIMIT if first else max(SEGMENT_LIMIT, needed)
        if not first:
            self._tail.append(path)
            if len(self._tail) > 2:
                self._tail.pop(0).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Segment:
    path: Path
    start: int
    size: int


def log_size(folder: Path) -> int:
    """Return the bytes of the head; cheap enough to ask often whether there is news."""
    try:
        return (folder / "log.0").stat().st_size
    except OSError:
        return 0


def read_piece(folder: Path, offset: int, limit: int, *, ended: bool) -> LogPiece:
    """Return the log from `offset`, or from the first place after it that was kept; at most `limit`
    bytes, and nothing when the next line is longer than that.

    While the attempt runs only the head is read, as the tail still changes. A last line without its end, left by a
    writer that was killed, is left out.
    """
    segments = _segments(folder)
    if not ended:
        segments = segments[:1]
    for segment in segments:
        if offset >= segment.start + segment.size:
            continue
        begin = max(offset, segment.start)
        raw = _read(segment.path, begin - segment.start, limit)
        data = raw[: raw.rfind(b"\n") + 1]
        if not data and len(raw) >= limit:
            return LogPiece(offset, b"", 0, False)
        at_end = segment is segments[-1] and begin + len(raw) >= segment.start + segment.size
        if data or at_end:
            return LogPiece(begin, data, begin - offset if data else 0, ended and at_end)
    return LogPiece(offset, b"", 0, ended)


def last_lines(folder: Path, count: int, limit: int = 8 * 1024) -> list[str]:
    """Return the texts of the last lines, at most `limit` bytes of log, for evidence."""
    segments = _segments(folder)
    if not segments:
        return []
    end = segments[-1]
    data = _read(end.path, max(0, end.size - limit), limit)
    texts = []
    for line in data.split(b"\n")[-count - 1 :]:
        try:
            texts.append(str(json.loads(line)["m"]))
        except (ValueError, KeyError, TypeError):
            continue
    return texts


def _segments(folder: Path) -> list[_Segment]:
    found = []
    for path in folder.glob("log.*"):
        try:
            found.append(_Segment(path, int(path.suffix[1:]), path.stat().st_size))
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda segment: segment.start)


def _read(path: Path, offset: int, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except OSError:
        return b""
