"""The database of the simulation: real SQLite in memory, called inline, so that a simulated clock rules all time.

A crash is the end of an `InlineDatabase` without a close; what its disk holds stays, and another opens it.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from pilotage_coordinator.store.database import Work
from pilotage_coordinator.store.errors import StoreLocked, StoreUnavailable
from pilotage_coordinator.store.sqlite import connection as connections
from pilotage_coordinator.store.sqlite.transaction import commit, transact, unavailable

T = TypeVar("T")


class SimulatedDisk:
    """What survives a simulated crash, and the faults to be had with it."""

    def __init__(
        self, stall: Callable[[str], Awaitable[None]] | None = None, look: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Make an empty disk.

        `stall` is awaited around each transaction with `before commit` and `after commit`: it may take simulated time,
        or raise to end the caller there. Ended before, nothing is stored; ended after, all is, and nobody was told.
        `look` is awaited before each read, and may do the same to it.
        """
        self.connection = connections.open_memory()
        self.stall = stall
        self.look = look
        self.full = False
        """While true, every commit fails as on a full disk."""
        self.owner: object | None = None
        """The database that has it open."""
        self.commits = 0

    def crash(self) -> None:
        """End the process that has the disk open: what it has not committed is gone, and its store is of no more use.

        The next `open_simulated_store` on this disk finds what was committed.
        """
        self.owner = None

    def close(self) -> None:
        """Throw the disk away."""
        self.connection.close()


class InlineDatabase:
    """A `Database` on a simulated disk."""

    def __init__(self, disk: SimulatedDisk, finish: Callable[[sqlite3.Connection], None] = commit) -> None:
        """Open the disk; raises StoreLocked if another has it open. `finish` ends each transaction."""
        if disk.owner is not None:
            raise StoreLocked("the simulated disk is open: close or crash its database first")
        disk.owner = self
        self._disk = disk
        self._finish = finish

    @property
    def connection(self) -> sqlite3.Connection:
        """Return the connection, to prepare the schema with."""
        return self._mine()

    async def write(self, works: Sequence[Work[object]]) -> list[object]:
        """Run works in one transaction, between the two stalls."""
        await self._stall("before commit")
        results = transact(self._mine(), works, self._commit)
        await self._stall("after commit")
        return results

    async def read(self, work: Work[T]) -> T:
        """Run a work that only reads."""
        if self._disk.look is not None:
            await self._disk.look()
        connection = self._mine()
        connection.execute("PRAGMA query_only = ON")
        try:
            return work(connection)
        except sqlite3.OperationalError as error:
            raise unavailable(error) from error
        finally:
            connection.execute("PRAGMA query_only = OFF")

    def rows_in_log(self) -> int:
        """Return 0: there is no write-ahead log in memory."""
        return 0

    async def checkpoint(self) -> int:
        """Do nothing: there is no write-ahead log in memory."""
        self._mine()
        return 0

    async def vacuum(self, pages: int) -> None:
        """Give free pages back."""
        connections.give_back(self._mine(), pages)

    async def copy_to(self, path: Path) -> None:
        """Copy at once."""
        with closing(sqlite3.connect(path)) as target:
            self._mine().backup(target)

    async def close(self) -> None:
        """Let go of the disk."""
        if self._disk.owner is self:
            self._disk.owner = None

    def _mine(self) -> sqlite3.Connection:
        if self._disk.owner is not self:
            raise StoreUnavailable("the database is closed: the coordinator is stopping")
        return self._disk.connection

    def _commit(self, connection: sqlite3.Connection) -> None:
        if self._disk.full:
            connection.execute("ROLLBACK")
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        self._finish(connection)
        self._disk.commits += 1

    async def _stall(self, moment: str) -> None:
        if self._disk.stall is not None:
            await self._disk.stall(moment)
        self._mine()
