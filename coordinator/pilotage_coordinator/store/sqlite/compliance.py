"""Checks of compliance on SQLite."""

import sqlite3

from pilotage_coordinator.store.records import ComplianceFilter, ComplianceRecord, Page, UncheckedRuns
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.paging import bounded, read_cursor, write_cursor

_COUNTED_AT_ONCE = 5_000
"""Executions that one read counts: some milliseconds."""


class SqliteCompliance:
    """Implements `ComplianceStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def add(self, check: ComplianceRecord) -> None:
        """Store the check of something that was not started."""
        sql, row = self._access.queries["compliance_insert"], compliance_row(check)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(sql, row)

        await self._access.writes.submit(work)

    async def find(self, filter: ComplianceFilter, cursor: str = "", limit: int = 50) -> Page[ComplianceRecord]:
        """List checks, oldest first."""
        bounded(limit, 1_000)
        since, after = read_cursor("compliance", cursor, (filter.since, 0))
        query = "compliance_of_blueprint" if filter.blueprint else "compliance_in_period"
        chosen = {**_period(filter, since, after), "limit": limit + 1}
        found, more = await self._access.page(query, chosen, _numbered, limit)
        rows = tuple(record for _, record in found)
        if not more:
            return Page(rows)
        number, last = found[-1]
        return Page(rows, write_cursor("compliance", last.at, number))

    async def unchecked(self, filter: ComplianceFilter) -> tuple[UncheckedRuns, ...]:
        """Count the executions of a period that have no check."""
        counts: dict[str, int] = {}
        since: int | str = filter.since
        after: int | str = 0
        while rows := await self._access.rows(
            "compliance_unchecked", {**_period(filter, since, after), "limit": _COUNTED_AT_ONCE}
        ):
            for _, _, blueprint in rows:
                counts[blueprint] = counts.get(blueprint, 0) + 1
            since, after, _ = rows[-1]
        return tuple(UncheckedRuns(*each) for each in sorted(counts.items()))


def _period(filter: ComplianceFilter, since: int | str, after: int | str) -> dict[str, int | str]:
    """Return which rows are meant: from `since` on; of those at that very moment, above the number `after`."""
    return {"blueprint": filter.blueprint, "since": since, "after": after, "until": filter.until}


def compliance_row(check: ComplianceRecord) -> tuple[object, ...]:
    """Return the parameters of `compliance_insert`."""
    return (
        check.at,
        check.stage,
        check.execution,
        check.blueprint,
        check.version,
        check.digest,
        check.plan_digest,
        check.principal,
        check.principal_kind,
        check.policy,
        check.outcome,
        write_json(check.content),
    )


def _numbered(row: Row) -> tuple[int, ComplianceRecord]:
    number, at, stage, execution, blueprint, version, digest, plan, principal, kind, policy, outcome, content = row
    return number, ComplianceRecord(
        at, stage, execution, blueprint, version, digest, plan, principal, kind, policy, outcome, read_json(content)
    )
