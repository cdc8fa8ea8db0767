"""Logs of attempts as files in a folder: by execution and host, written in batches outside of the event loop."""

import asyncio
import hashlib
import os
import re
import shutil
import stat
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.canonical import canonical

from pilotage_coordinator.domain.fleet import LogPiece
from pilotage_coordinator.store.errors import Refused, StoreUnavailable
from pilotage_coordinator.store.log_file import OWNER_FILE, LogFile
from pilotage_coordinator.store.protocol import LogSlice

T = TypeVar("T")

MOST_BYTES = 64 * 1024 * 1024 + 64 * 1024
"""Of one log: what an agent may spill on request, and a little for the lines that it adds."""
MOST_OF_HOST = 4 * MOST_BYTES
"""Of all logs that one host writes for one execution: it must not take the disk from the others."""
MOST_READ = 1024 * 1024
OWNER_FOLDER = 0o700
LOG = ".ndjson"
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

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = MOST_BYTES,
        most_of_host: int = MOST_OF_HOST,
        hop: Hop = asyncio.to_thread,
    ) -> None:
        """Keep logs under a folder, which is made when the first comes.

        At most `most_bytes` of each, and at most `most_of_host` of those that one host writes for one execution.
        """
        self._folder = folder
        self._most_bytes = most_bytes
        self._most_of_host = most_of_host
        self._used: dict[Path, int] = {}
        """Bytes kept in folders of hosts, of those that were lately written to."""
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
                self._make(path.parent)
                used, before = self._usage(path.parent), log.size
                log.append(piece.offset, piece.data, piece.dropped, piece.last, max(0, self._most_of_host - used))
                self._used[path.parent] = used + log.size - before
            except OSError:
                # What is on disk is the truth; read it again before the next piece.
                self._known.pop(path, None)
                self._used.pop(path.parent, None)
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
            for path in [path for path in self._known if path.parent.parent == folder]:
                del self._known[path]
            for host in [host for host in self._used if host.parent == folder]:
                del self._used[host]
            if folder.exists():
                shutil.rmtree(folder)

        await self._do(remove)

    async def secure(self) -> None:
        """Take from others what an earlier version, or a copy, let them read."""

        def secure() -> None:
            if self._folder.is_dir():
                # The top first: what is in it is out of reach then.
                self._folder.chmod(OWNER_FOLDER)
                for folder, _, files in os.walk(self._folder):
                    _only_owner(Path(folder), OWNER_FOLDER)
                    for name in files:
                        _only_owner(Path(folder) / name, OWNER_FILE)

        await self._hop(secure)

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

    def _make(self, folder: Path) -> None:
        """Make a host's folder and those above it, each for the owner alone: `parents=True` would ask the umask."""
        if folder in self._used:
            return
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        for each in (self._folder, folder.parent.parent, folder.parent, folder):
            each.mkdir(exist_ok=True, mode=OWNER_FOLDER)

    def _usage(self, folder: Path) -> int:
        """Return how many bytes of logs a host's folder holds."""
        if folder not in self._used:
            if len(self._used) >= _LOGS_KNOWN:
                self._used.clear()
            self._used[folder] = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(LOG))
        return self._used[folder]

    def _execution(self, execution: str) -> Path:
        if _EXECUTION.fullmatch(execution) is None:
            raise Refused(f"{execution[:80]!r} is no id of an execution")
        return self._folder / execution[-2:] / execution

    def _path(self, key: AttemptKey) -> Path:
        """Return a name that people recognise, made unique by a hash."""
        identity = canonical([key.path, key.host, key.item, key.kind, key.attempt])
        name = f"{_words(f'{key.path}-{key.item}')}-{key.kind}-{key.attempt}-{_short(identity)}{LOG}"
        return self._execution(key.execution) / f"{_words(key.host)}-{_short(key.host.encode())}" / name


def _words(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:80]


def _short(identity: bytes) -> str:
    return hashlib.sha256(identity).hexdigest()[:16]


def _only_owner(path: Path, mode: int) -> None:
    # A log that retention removes meanwhile is no error.
    with suppress(FileNotFoundError):
        if stat.S_IMODE(path.lstat().st_mode) & ~mode and not path.is_symlink():
            path.chmod(mode)


def _result(call: Callable[[], object]) -> object:
    try:
        return call()
    except OSError as error:
        return StoreUnavailable(f"the log folder refused ({error}): free some space or check the disk, then try again")
    except Exception as error:
        return error
