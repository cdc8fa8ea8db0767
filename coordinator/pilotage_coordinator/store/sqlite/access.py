"""What every part of the store works with: grouped writes, reads, and SQL by name."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from pilotage_coordinator.store.database import Database
from pilotage_coordinator.store.sqlite.group_commit import GroupCommit
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.step_type_sets import StepTypeSets

T = TypeVar("T")

LARGEST_PAGE = 1024 * 1024
"""Characters of rows after which a page ends: some ten milliseconds of a reader's thread."""

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

    async def page(
        self, query: str, parameters: Parameters, record: Callable[[Row], T], limit: int
    ) -> tuple[tuple[T, ...], bool]:
        """Read the first rows of one named query as records, at most `limit` and about LARGEST_PAGE bytes of them.

        Says too whether there are more, where the query itself goes further than `limit`. Fetching and decoding rows
        is not interrupted as the query is, so that their bytes bound how long it takes.
        """
        sql = self.queries[query]

        def work(connection: sqlite3.Connection) -> tuple[tuple[T, ...], bool]:
            found: list[T] = []
            size = 0
            with closing(connection.execute(sql, parameters)) as rows:
                for row in rows:
                    if len(found) >= limit or size >= LARGEST_PAGE:
                        return tuple(found), True
                    size += sum(len(value) for value in row if isinstance(value, str | bytes))
                    found.append(record(row))
            return tuple(found), False

        return await self.database.read(work)

    async def row(self, query: str, parameters: Parameters = ()) -> Row | None:
        """Read the first row of one named query."""
        rows = await self.rows(query, parameters)
        return rows[0] if rows else None
