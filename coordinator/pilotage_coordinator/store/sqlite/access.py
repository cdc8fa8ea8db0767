"""What every part of the store works with: grouped writes, reads, and SQL by name."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from pilotage_coordinator.store.database import Database
from pilotage_coordinator.store.sqlite.group_commit import GroupCommit
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.step_type_sets import StepTypeSets

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]
"""A row as SQLite gives it: the schema's STRICT tables vouch for the types."""
Parameters: TypeAlias = "Sequence[Any] | dict[str, Any]"


@dataclass(frozen=True, slots=True)
class Access:
    """The way to one database."""

    database: Database
    writes: GroupCommit
    queries: Queries
    step_types: StepTypeSets = field(default_factory=StepTypeSets)

    async def rows(self, query: str, parameters: Parameters = ()) -> tuple[Row, ...]:
        """Read all rows of one named query."""
        return await self.records(query, parameters, tuple)

    async def records(self, query: str, parameters: Parameters, record: Callable[[Row], T]) -> tuple[T, ...]:
        """Read all rows of one named query, each made a record in the reader's thread and not on the event loop."""
        sql = self.queries[query]

        def work(connection: sqlite3.Connection) -> tuple[T, ...]:
            return tuple(record(row) for row in connection.execute(sql, parameters).fetchall())

        return await self.database.read(work)

    async def row(self, query: str, parameters: Parameters = ()) -> Row | None:
        """Read the first row of one named query."""
        rows = await self.rows(query, parameters)
        return rows[0] if rows else None
