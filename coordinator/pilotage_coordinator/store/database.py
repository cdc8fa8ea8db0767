"""The port to an SQL database: many writes in one transaction and one thread hop, and reads beside them."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

T = TypeVar("T")

Work: TypeAlias = Callable[[sqlite3.Connection], T]
"""Statements on a connection inside a transaction that others begin and end. It may run in any thread and must not
keep the connection. Raising takes back all that it did."""


class Database(Protocol):
    """One open database. Exactly one connection writes; only it checkpoints (SECURITY: facts about SQLite)."""

    async def write(self, works: Sequence[Work[object]]) -> list[object]:
        """Run all works in order in one transaction and return when it is durable.

        Each work stands or falls alone: its place in the answer holds what it returned, or the exception that it
        raised (then nothing of it is stored). Raises StoreUnavailable when the disk refuses: then nothing of any is
        stored. Calls must not overlap; `GroupCommit` sees to that.
        """
        ...

    async def read(self, work: Work[T]) -> T:
        """Run a work that only reads, on one snapshot; raises ReadTooLong after a second, StoreUnavailable."""
        ...

    def rows_in_log(self) -> int:
        """Return about how many row changes the write-ahead log holds since the last `checkpoint`."""
        ...

    async def checkpoint(self) -> int:
        """Move the write-ahead log into the database file; returns how many pages the log held. Never with `write`."""
        ...

    async def vacuum(self, pages: int) -> None:
        """Give up to `pages` free pages back to the file system. Never with `write`."""
        ...

    async def copy_to(self, path: Path) -> None:
        """Write a copy of one committed moment to a new file, beside reads and writes; raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Release everything, on every path. Later calls raise StoreUnavailable; closing again is no error."""
        ...
