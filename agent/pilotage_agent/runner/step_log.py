"""An attempt's log: NDJSON in files, its beginning and its end kept, what lies between counted.

The file `log.0` is the head: half of what may be kept. When it is full, segments of a quarter follow, each named after
its place in the whole stream (`log.1048576`, ...); only the two newest stay. The names alone tell what was dropped, so
a log whose writer was killed reads as well as any other.

Who follows a running attempt reads the segments too, as they come; what is dropped before it was read is a gap. So that
no attempt sends for ever, that holds for the first LIVE_LIMIT of the stream; after it only an excerpt is read each time
that the stream has grown by an eighth. Both follow from places in the stream alone, so a log that is read again, after
a lost connection or by a new agent process, is read the same way.

Records: `{"t": UTC microseconds, "s": "step" | "stdout" | "stderr", "m": text}`.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_agent.running import LogPiece

KEPT: Final = 2 * 1024 * 1024
"""Bytes of a log that are kept, unless the settings say otherwise."""
LIVE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of the stream up to which all that is still there is read while the attempt runs; the head always is."""
EXCERPT: Final = 32 * 1024
"""Bytes read of a segment past LIVE_LIMIT, about: a piece that begins before may end after."""
GROWTH: Final = 8
"""Past LIVE_LIMIT the stream has to grow by this part between two excerpts: a thousand times as long a log means no
more than some sixty of them."""
LONGEST_RECORD: Final = 256 * 1024
"""Bytes of one line's record, at most: the head may be full with so much room left."""
LINE_LIMIT: Final = 16 * 1024
"""Characters of one line's text; more is cut with a note."""


class StepLogWriter:
    """Writes one attempt's log; used by one process only. The first line makes folder and file."""

    def __init__(self, folder: Path, now: Callable[[], int], redact: Callable[[str], str], kept: int = KEPT) -> None:
        self._folder = folder
        self._now = now
        self._redact = redact
        self._segment_limit = kept // 4
        self._handle: int | None = None
        self._position = 0
        self._room = self._head_limit = kept // 2
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
        self._room = self._head_limit if first else max(self._segment_limit, needed)
        if not first:
            self._tail.append(path)
            if len(self._tail) > 2:
                self._tail.pop(0).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Segment:
    path: Path
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


def log_size(folder: Path) -> int:
    """Return how long the stream is; cheap enough to ask often whether there is news."""
    try:
        head = (folder / "log.0").stat().st_size
    except OSError:
        return 0
    if head < KEPT // 2 - LONGEST_RECORD:
        return head
    return max((segment.end for segment in _segments(folder)), default=head)


def read_piece(folder: Path, offset: int, limit: int, *, ended: bool) -> LogPiece:
    """Return the log from `offset`, or from the first place after it that was kept; at most `limit`
    bytes, and nothing when the next line is longer than that.

    Until it has `ended` a segment may vanish meanwhile, or may not be due yet. A last line without its end, being
    written or left by a writer that was killed, is left out.
    """
    segments = _segments(folder)
    for segment in segments:
        if offset >= segment.end or not (ended or _is_due(segment, offset)):
            continue
        begin = max(offset, segment.start)
        raw = _read(segment.path, begin - segment.start, limit)
        data = raw[: raw.rfind(b"\n") + 1]
        if data:
            at_end = segment is segments[-1] and begin + len(raw) >= segment.end
            return LogPiece(begin, data, begin - offset, ended and at_end)
        if len(raw) >= limit:
            return LogPiece(offset, b"", 0, False)
    return LogPiece(offset, b"", 0, ended)


def _is_due(segment: _Segment, offset: int) -> bool:
    """Whether who has read up to `offset` reads this segment while the attempt runs."""
    if segment.start == 0 or offset < LIVE_LIMIT:
        return True
    return segment.start < offset < segment.start + EXCERPT or segment.start >= offset + offset // GROWTH


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
    """Return the segments in order. All names are read before the first size: a segment that has a successor is
    complete, so that what is missing between the two was never there."""
    found = []
    named = [(int(path.suffix[1:]), path) for path in folder.glob("log.*") if path.suffix[1:].isdecimal()]
    for start, path in sorted(named):
        try:
            found.append(_Segment(path, start, path.stat().st_size))
        except OSError:
            continue
    return found


def _read(path: Path, offset: int, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except OSError:
        return b""
