"""Streaming a database's dump into restic, so that a dump which fails can never end as a snapshot.

restic takes the end of its input for the end of the data. So that end is given only after the dump program has ended
well: when it fails, its stream stays open and restic is stopped.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage_plugin_api import PluginApiError, ProgramResult, StepContext, StepError, StepFailed

from pilotage_plugins.backup.server import Login

CHUNK: Final = 256 * 1024
TAIL: Final = 4096
REPORT_EVERY: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DumpProgram:
    """What to run, and what its failing means. `end_mark` stands near the end of every complete dump."""

    argv: Sequence[str]
    login: Login
    explain: Callable[[str, str], StepError]
    end_mark: bytes = b""


class Dump:
    """One dump, which may be started again while restic waits for a lock. `failed` is set when it failed."""

    def __init__(self, ctx: StepContext, program: DumpProgram) -> None:
        self._ctx = ctx
        self._program = program
        self._task: asyncio.Task[ProgramResult] | None = None
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
                    self._ctx.progress(None, f"{self.bytes // 1_000_000} MB dumped")
                yield chunk
            self.failure = await self._verdict(tail)
        self.sha256 = digest.hexdigest()
        if self.failure is not None:
            self.failed.set()
            await asyncio.Event().wait()

    async def stop(self) -> None:
        """End the dump program if it is still at work."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._task
        self._task = None

    async def _run(self, sink: int) -> ProgramResult:
        login = self._program.login
        try:
            return await self._ctx.program(
                [*login.prefix, *self._program.argv], env=login.env, pass_fds=login.fds, stdout_to=sink
            )
        finally:
            os.close(sink)

    async def _verdict(self, tail: bytes) -> StepError | None:
        """Return why the dump is not good; None when it is."""
        assert self._task is not None
        try:
            result = await self._task
        except StepError as error:
            return error
        except PluginApiError as stopped:
            return StepFailed(f"the dump was stopped: {stopped}")
        said = " | ".join(result.stderr.decode("utf-8", "backslashreplace").strip().split("\n")[-5:])[-1500:]
        if result.exit_code:
            return self._program.explain(said or "nothing", result.ending)
        if not self.bytes:
            return StepFailed(f"{self._program.argv[0]} ended well and wrote nothing: {said}")
        if self._program.end_mark not in tail:
            return StepFailed(f"{self._program.argv[0]} ended well, but its dump has no end: {said}")
        return None


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
