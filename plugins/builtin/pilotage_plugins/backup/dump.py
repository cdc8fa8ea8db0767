"""Streaming a database's dump from one program into another, so that a dump which fails can never end as a whole one.

Who reads takes the end of its input for the end of the data: restic, and the client that loads a dump, too. So that
end is given only after the program that writes has ended well: when it fails, its stream stays open and the reader is
stopped.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pilotage_plugin_api import PluginApiError, StepContext, StepError, StepFailed

from pilotage_plugins.backup.server import Login

CHUNK: Final = 256 * 1024
TAIL: Final = 4096
REPORT_EVERY: Final = 8 * 1024 * 1024


class DumpSource(Protocol):
    """Port: whoever writes a dump."""

    async def write(self, ctx: StepContext, sink: int) -> str:
        """Write all of it to this descriptor, and return what was said meanwhile; raises StepError when it failed."""

    def check(self, size: int, sha256: str, tail: bytes, said: str) -> StepError | None:
        """Return why what was written is not good although it ended well; None when it is. `tail`: its last bytes."""

    def report(self, ctx: StepContext, size: int) -> None:
        """Tell that so many bytes have been written."""


@dataclass(frozen=True, slots=True)
class DumpProgram:
    """A program that dumps: what to run, and what its failing means. `end_mark` stands near the end of every complete
    dump."""

    argv: Sequence[str]
    login: Login
    explain: Callable[[str, str], StepError]
    end_mark: bytes = b""

    async def write(self, ctx: StepContext, sink: int) -> str:
        """Run it."""
        login = self.login
        argv = [*login.prefix, *login.leash, *self.argv]
        with _held_open() as leash:
            result = await ctx.program(
                argv, env=login.env, pass_fds=login.fds, stdin=leash if login.leash else None, stdout_to=sink
            )
        said = last_lines(result.stderr)
        if result.exit_code:
            raise self.explain(said or "nothing", result.ending)
        return said

    def check(self, size: int, sha256: str, tail: bytes, said: str) -> StepError | None:
        """See that there is a dump, and its end."""
        if not size:
            return StepFailed(f"{self.argv[0]} ended well and wrote nothing: {said}")
        if self.end_mark not in tail:
            return StepFailed(f"{self.argv[0]} ended well, but its dump has no end: {said}")
        return None

    def report(self, ctx: StepContext, size: int) -> None:
        """Nobody knows how much is to come."""
        ctx.progress(None, f"{size // 1_000_000} MB dumped")


class Dump:
    """One dump, which may be started again while its reader waits for a lock. `failed` is set when it failed."""

    def __init__(self, ctx: StepContext, source: DumpSource) -> None:
        self._ctx = ctx
        self._source = source
        self._task: asyncio.Task[str] | None = None
        self.failed = asyncio.Event()
        self.failure: StepError | None = None
        self.bytes = 0
        self.sha256 = ""

    async def stream(self) -> AsyncIterator[bytes]:
        """Start the dump and yield what it writes; ends only when it ended well, and never when it failed."""
        await self.stop()
        digest, self.bytes, tail = hashlib.sha256(), 0, b""
        source, sink = os.pipe()
        self._task = asyncio.create_task(self._run(sink))
        reported = 0
        async with _reading(source) as reader:
            while chunk := await reader.read(CHUNK):
                digest.update(chunk)
                self.bytes += len(chunk)
                tail = (tail + chunk)[-TAIL:]
                if self.bytes - reported >= REPORT_EVERY:
                    reported = self.bytes
                    self._source.report(self._ctx, self.bytes)
                yield chunk
            self.sha256 = digest.hexdigest()
            self.failure = await self._verdict(tail)
        if self.failure is not None:
            self.failed.set()
            await asyncio.Event().wait()

    async def stop(self) -> None:
        """End the program that writes if it is still at work."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._task
        self._task = None

    async def _run(self, sink: int) -> str:
        try:
            return await self._source.write(self._ctx, sink)
        finally:
            os.close(sink)

    async def _verdict(self, tail: bytes) -> StepError | None:
        """Return why the dump is not good; None when it is."""
        assert self._task is not None
        try:
            said = await self._task
        except StepError as error:
            return error
        except PluginApiError as stopped:
            return StepFailed(f"the dump was stopped: {stopped}")
        return self._source.check(self.bytes, self.sha256, tail, said)


def last_lines(said: bytes) -> str:
    """Return the last few lines of what a program said, as one."""
    return " | ".join(said.decode("utf-8", "backslashreplace").strip().split("\n")[-5:])[-1500:]


@contextlib.contextmanager
def _held_open() -> Iterator[int]:
    """Give an input that is empty and ends after the block, or with this process."""
    source, sink = os.pipe()
    try:
        yield source
    finally:
        os.close(sink)
        os.close(source)


@contextlib.asynccontextmanager
async def _reading(source: int) -> AsyncIterator[asyncio.StreamReader]:
    loop = asyncio.get_running_loop()
    stream = asyncio.StreamReader(limit=CHUNK, loop=loop)
    pipe = os.fdopen(source, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
    try:
        yield stream
    finally:
        transport.close()
