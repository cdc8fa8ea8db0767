"""Reading a program's output: whole lines to a callback, the end of it kept, memory bounded whatever it writes."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import IO, Final

CHUNK: Final = 64 * 1024


class LineCutter:
    """Splits a stream of bytes into lines of at most `limit` bytes; a longer line is cut and says by how much."""

    def __init__(self, emit: Callable[[bytes], None], limit: int) -> None:
        self._emit = emit
        self._limit = limit
        self._held = bytearray()
        self._dropped = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes and emit every line that they complete."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._hold(piece)
            self._flush()
        self._hold(rest)

    def finish(self) -> None:
        """Emit a last line that has no end."""
        if self._held or self._dropped:
            self._flush()

    def _hold(self, piece: bytes) -> None:
        room = self._limit - len(self._held)
        self._held += piece[:room]
        self._dropped += max(0, len(piece) - room)

    def _flush(self) -> None:
        line = bytes(self._held)
        if self._dropped:
            line += b" [... %d bytes cut]" % self._dropped
        self._held.clear()
        self._dropped = 0
        self._emit(line)


class OutputReader:
    """Reads one pipe to its end. `tail` is its last bytes, `total` how many there were."""

    def __init__(
        self, pipe: IO[bytes] | None, on_line: Callable[[bytes], None] | None, line_limit: int, tail_limit: int
    ) -> None:
        self._pipe = pipe
        self._cutter = LineCutter(on_line, line_limit) if on_line else None
        self._tail = bytearray()
        self._tail_limit = tail_limit
        self.total = 0

    @property
    def tail(self) -> bytes:
        """The last `tail_limit` bytes."""
        return bytes(self._tail[-self._tail_limit :]) if self._tail_limit else b""

    async def read_to_end(self) -> None:
        """Read until the last writer has closed the pipe."""
        if self._pipe is None:
            return
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader(limit=CHUNK, loop=loop)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), self._pipe)
        try:
            while chunk := await stream.read(CHUNK):
                self._take(chunk)
        finally:
            if self._cutter:
                with contextlib.suppress(Exception):
                    self._cutter.finish()
            transport.close()

    def _take(self, chunk: bytes) -> None:
        self.total += len(chunk)
        self._tail += chunk
        if len(self._tail) > 2 * self._tail_limit:
            del self._tail[: -self._tail_limit or None]
        if self._cutter:
            self._cutter.feed(chunk)
