"""Logs of attempts as files in a folder: sharded by execution, written in batches outside of the event loop."""

import asyncio
import hashlib
import re
import shutil
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.canonical import canonical

from pilotage_coordinator.domain.fleet import LogPiece
from pilotage_coordinator.store.errors import Refused, StoreUnavailable
from pilotage_coordinator.store.log_file import LogFile
from pilotage_coordinator.store.protocol import LogSlice

T = TypeVar("T")

MOST_BYTES = 64 * 1024 * 1024 + 64 * 1024
"""Of one log: what an agent may spill on request, and a little for the lines that it adds."""
MOST_READ = 1024 * 1024
_LOGS_KNOWN = 4_096
_PIECES_AT_ONCE = 1_000
_EXECUTION = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Hop(Protocol):
    """Runs a blocking call and returns its result: `asyncio.to_thread`, or `inline` in a simulation."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


async def inline(call: Callable[[], T], /) -> T:
    """Run a blocking call at once, on the event loop: for a simulation only."""
    return call()


class LogFolder:
    """Implements `LogStore`."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES, hop: Hop = asyncio.to_thread) -> None:
        """Keep logs under a folder, which is made when the first comes; at most `most_bytes` of each."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._hop = hop
        self._known: OrderedDict[Path, LogFile] = OrderedDict()
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, piece: LogPiece) -> int:
        """Keep a piece; returns the offset before which everything is kept."""
        path = self._path(piece.key)

        def keep() -> int:
            log = self._log(path)
            try:
                log.append(piece.offset, piece.data, piece.dropped, piece.last)
            except OSError:
                # What is on disk is the truth; read it again before the next piece.
                self._known.pop(path, None)
                raise
            return log.end

        return await self._do(keep)

    async def read(self, key: AttemptKey, offset: int = 0, limit: int = 65536) -> LogSlice:
        """Return up to `limit` bytes from `offset`."""
        if not 1 <= limit <= MOST_READ:
            raise Refused(f"limit {limit} is not between 1 and {MOST_READ} bytes")
        path = self._path(key)
        return await self._do(lambda: self._log(path).read(offset, limit))

    async def remove(self, execution: str) -> None:
        """Remove all logs of an execution."""
        folder = self._execution(execution)

        def remove() -> None:
            for path in [path for path in self._known if path.parent == folder]:
                del self._known[path]
            if folder.exists():
                shutil.rmtree(folder)

        await self._do(remove)

    async def close(self) -> None:
        """Finish what was begun."""
        self._closed = True
        while self._worker is not None:
            await asyncio.wait({self._worker})

    async def _do(self, call: Callable[[], T]) -> T:
        """Run a call on files in its turn, together with others that wait."""
        if self._closed:
            raise StoreUnavailable("the log store is closed: the coordinator is stopping")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="store logs")
        return await future

    async def _work(self) -> None:
        batch: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_PIECES_AT_ONCE], self._waiting[_PIECES_AT_ONCE:]
                calls = [call for call, _ in batch]
                results = await self._hop(lambda calls=calls: [_result(call) for call in calls])  # type: ignore[misc]
                for (_, future), result in zip(batch, results, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, BaseException):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._worker = None
            for _, future in (*batch, *self._waiting):
                if not future.done():
                    future.set_exception(StoreUnavailable("the log store was stopped"))
            self._waiting = []

    def _log(self, path: Path) -> LogFile:
        log = self._known.get(path)
        if log is None:
            log = self._known[path] = LogFile.at(path, self._most_bytes)
            if len(self._known) > _LOGS_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(path)
        return log

    def _execution(self, execution: str) -> Path:
        if _EXECUTION.fullmatch(execution) is None:
            raise Refused(f"{execution[:80]!r} is no id of an execution")
        return self._folder / execution[-2:] / execution

    def _path(self, key: AttemptKey) -> Path:
        """Return a name that people recognise, made unique by a hash."""
        identity = canonical([key.path, key.host, key.item, key.kind, key.attempt])
        words = re.sub(r"[^A-Za-z0-9]+", "-", f"{key.path}-{key.host}-{key.item}").strip("-")[:80]
        name = f"{words}-{key.kind}-{key.attempt}-{hashlib.sha256(identity).hexdigest()[:16]}.ndjson"
        return self._execution(key.execution) / name


def _result(call: Callable[[], object]) -> object:
    try:
        return call()
    except OSError as error:
        return StoreUnavailable(f"the log folder refused ({error}): free some space or check the disk, then try again")
    except Exception as error:
        return error
