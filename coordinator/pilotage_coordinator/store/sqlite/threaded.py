"""The database on disk: aiosqlite's threads, one that writes and a few that read."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import aiosqlite

from pilotage_coordinator.store.database import Work
from pilotage_coordinator.store.errors import ReadTooLong, SchemaRefused, StoreUnavailable
from pilotage_coordinator.store.sqlite import connection as connections
from pilotage_coordinator.store.sqlite.copies import copy_database
from pilotage_coordinator.store.sqlite.file_lock import FileLock
from pilotage_coordinator.store.sqlite.transaction import commit, transact, unavailable
from pilotage_coordinator.structured import structlog

T = TypeVar("T")
Finish = Callable[[sqlite3.Connection], None]

READERS = 3
READ_SECONDS = 1.0
PAGES_TO_WAIT = 32_768
"""A checkpoint of a log longer than this waits for readers, who end within a second: else it could grow for ever."""
_STEPS_BETWEEN_LOOKS = 10_000

_log = structlog.get_logger("pilotage.store")


class _Thread(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole work in one hop to its thread."""

    async def run(self, work: Work[T]) -> T:
        def call() -> T:
            return work(self._conn)

        return cast(T, await self._execute(call))  # type: ignore[no-untyped-call]

    def join(self) -> None:
        """Wait until the thread has ended. Blocking."""
        self._thread.join()


class _Reader:
    """One reading connection. Its queries are interrupted when their time is over."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0
        self.thread = _Thread(partial(self._open, path), iter_chunk_size=64)

    def _open(self, path: Path) -> sqlite3.Connection:
        connection = connections.open_reader(path)
        connection.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS_BETWEEN_LOOKS)
        return connection

    async def read(self, work: Work[T]) -> T:
        return await self.thread.run(partial(self._read, work))

    def _read(self, work: Work[T], connection: sqlite3.Connection) -> T:
        self._until = time.monotonic() + self._seconds
        try:
            connection.execute("BEGIN")
            return work(connection)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise ReadTooLong(
                    f"a query took longer than {self._seconds:g} s and was stopped: ask for fewer rows at once"
                ) from error
            raise unavailable(error) from error
        finally:
            self._until = time.monotonic() + self._seconds
            if connection.in_transaction:
                connection.execute("ROLLBACK")


class ThreadedDatabase:
    """A `Database` in a file. Made by `open`; must be closed, or the process does not end."""

    def __init__(self, path: Path, lock: FileLock, writer: _Thread, read_seconds: float, finish: Finish) -> None:
        """Take over a lock and a writer that are open; `open` does the rest."""
        self._path = path
        self._finish = finish
        self._lock = lock
        self._writer = writer
        self._readers = [_Reader(path, read_seconds) for _ in range(READERS)]
        self._opened: list[_Reader] = []
        self._idle: asyncio.Queue[_Reader] = asyncio.Queue()
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._rows_at_checkpoint = 0
        self._rows = 0

    @classmethod
    async def open(
        cls,
        path: Path,
        prepare: Callable[[sqlite3.Connection], None],
        *,
        read_seconds: float = READ_SECONDS,
        finish: Finish = commit,
    ) -> "ThreadedDatabase":
        """Lock and open a database; `prepare` is called on the writing connection before anything else.

        `finish` ends each transaction durably, in the writing thread.
        Raises StoreLocked, SchemaRefused (from `prepare`) or StoreUnavailable, with nothing left open.
        """
        try:
            lock = FileLock(path)
        except OSError as error:
            raise _cannot_open(path, error) from error
        writer = _Thread(partial(_open_writer, path, prepare), iter_chunk_size=64)
        try:
            await writer
        except BaseException as error:
            # aiosqlite has told the thread to end, but when this task was cancelled it may still be at the file.
            await asyncio.to_thread(writer.join)
            lock.release()
            if isinstance(error, OSError):
                raise _cannot_open(path, error) from error
            if isinstance(error, sqlite3.Error):
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                    raise SchemaRefused(f"{path} is no database: restore a backup, or give another path") from error
                raise unavailable(error) from error
            if isinstance(error, SchemaRefused):
                raise SchemaRefused(f"{path}: {error}") from error
            raise
        database = cls(path, lock, writer, read_seconds, finish)
        try:
            await database._open_readers()
        except BaseException:
            await database.close()
            raise
        return database

    async def _open_readers(self) -> None:
        for reader in self._readers:
            await reader.thread
            self._opened.append(reader)
            self._idle.put_nowait(reader)

    async def write(self, works: Sequence[Work[object]]) -> list[object]:
        """Run works in one transaction on the writing thread."""
        self._refuse_closed()
        results, self._rows = await self._writer.run(partial(_write, works, self._finish))
        return results

    async def read(self, work: Work[T]) -> T:
        """Run a work on a free reader."""
        self._refuse_closed()
        reader = await self._idle.get()
        try:
            self._refuse_closed()
            return await reader.read(work)
        finally:
            # A cancelled caller's query still runs; the next on this reader waits in its thread for it.
            self._idle.put_nowait(reader)

    def rows_in_log(self) -> int:
        """Return how many row changes were made since the last checkpoint."""
        return self._rows - self._rows_at_checkpoint

    async def checkpoint(self) -> int:
        """Checkpoint without waiting for readers, unless the log has become very long."""
        self._refuse_closed()
        self._rows_at_checkpoint = self._rows
        try:
            return await self._writer.run(_checkpoint)
        except sqlite3.Error as error:
            # Nothing is lost: the log stays, and the next checkpoint moves it.
            _log.warning("checkpoint failed", database=str(self._path), error=str(error))
            return 0

    async def vacuum(self, pages: int) -> None:
        """Give free pages back."""
        self._refuse_closed()
        try:
            await self._writer.run(partial(connections.give_back, pages=pages))
        except sqlite3.Error as error:
            _log.warning("free pages stay in the file", database=str(self._path), error=str(error))

    async def copy_to(self, path: Path) -> None:
        """Copy through a connection of its own, which neither writes nor checkpoints the database."""
        self._refuse_closed()
        await asyncio.to_thread(copy_database, self._path, path)

    async def close(self) -> None:
        """Close readers, then the writer, whose close moves the log into the file, then unlock.

        It goes on when its caller is cancelled: a thread left behind would keep the process from ending.
        """
        self._closed = True
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="store close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            # Together: should the loop itself end now, each has told its thread to end.
            await asyncio.gather(*(reader.thread.close() for reader in self._opened))
        finally:
            try:
                await self._writer.close()
            finally:
                self._lock.release()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"{self._path} is closed: the coordinator is stopping")


def _cannot_open(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{path} cannot be opened ({error}): check that its folder exists, its owner and its mode")


def _open_writer(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    connection = connections.open_writer(path)
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _write(works: Sequence[Work[object]], finish: Finish, connection: sqlite3.Connection) -> tuple[list[object], int]:
    return transact(connection, works, finish), connection.total_changes


def _checkpoint(connection: sqlite3.Connection) -> int:
    _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if pages > moved and pages > PAGES_TO_WAIT:
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    return max(int(pages), 0)
