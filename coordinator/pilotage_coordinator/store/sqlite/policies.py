"""Versions of the policy, and the records that close changes, on SQLite."""

import sqlite3

from pilotage_coordinator.store.errors import Conflict, NotFound
from pilotage_coordinator.store.records import AuditEntry, ClosingRecord, Page, PolicyRecord
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.paging import LARGEST_INTEGER, bounded, read_cursor, write_cursor


class SqlitePolicies:
    """Implements `PolicyStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def add(self, policy: PolicyRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store the next version."""
        queries = self._access.queries
        row = (
            policy.version,
            policy.source,
            write_json(policy.content),
            policy.set_at,
            policy.set_by,
            policy.comment,
            policy.restores,
        )

        def work(connection: sqlite3.Connection) -> None:
            found = connection.execute(queries["policy_newest"]).fetchone()
            newest = found[0] if found is not None else 0
            if policy.version != newest + 1:
                raise Conflict(
                    f"the policy is at version {newest}, the new one was made after version {policy.version - 1}: "
                    "look at what has changed, and set it again"
                )
            connection.execute(queries["policy_insert"], row)
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def newest(self) -> PolicyRecord | None:
        """Return the version that counts."""
        row = await self._access.row("policy_newest")
        return None if row is None else _record(row)

    async def get(self, version: int) -> PolicyRecord:
        """Return one version."""
        row = await self._access.row("policy_by_version", (version,))
        if row is None:
            raise NotFound(f"the policy has no version {version}; see: pilotage policy history")
        return _record(row)

    async def history(self, cursor: str = "", limit: int = 50) -> Page[PolicyRecord]:
        """Return versions, newest first."""
        bounded(limit, 1_000)
        (before,) = read_cursor("policies", cursor, (LARGEST_INTEGER,))
        found, more = await self._access.page("policy_history", {"before": before, "limit": limit + 1}, _record, limit)
        return Page(found, write_cursor("policies", found[-1].version) if more else "")

    async def close_change(self, closing: ClosingRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store how a change was closed."""
        queries = self._access.queries
        row = (closing.execution, closing.outcome, closing.note, closing.closed_at, closing.closed_by)

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(queries["closing_insert"], row).rowcount == 0:
                raise Conflict(
                    f"the change of {closing.execution} is closed already; `pilotage run show` has its record"
                )
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def closing(self, execution: str) -> ClosingRecord | None:
        """Return how the change of an execution was closed."""
        row = await self._access.row("closing_get", (execution,))
        return None if row is None else ClosingRecord(*row)


def _record(row: Row) -> PolicyRecord:
    version, source, content, set_at, set_by, comment, restores = row
    return PolicyRecord(version, source, read_json(content), set_at, set_by, comment, restores)
