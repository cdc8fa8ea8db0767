"""Executions on SQLite."""

import heapq
import sqlite3
from collections.abc import Mapping
from itertools import islice

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.records import (
    AttemptRecord,
    BlueprintMetric,
    EventRecord,
    ExecutionChange,
    ExecutionCreation,
    ExecutionFilter,
    ExecutionInputs,
    ExecutionRecord,
    Page,
    Pruned,
    StepRunFilter,
    StepRunRecord,
)
from pilotage_coordinator.store.sqlite import execution_changes, execution_rows, retention
from pilotage_coordinator.store.sqlite.access import Access
from pilotage_coordinator.store.sqlite.paging import LARGEST_INTEGER, bounded, read_cursor, write_cursor

_NUMBER = 16
"""Column `number` of the queries over executions."""


class SqliteExecutions:
    """Implements `ExecutionStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def create(self, creation: ExecutionCreation) -> None:
        """Store a new execution."""
        await self._access.writes.submit(execution_changes.creation(self._access.queries, creation))

    async def commit(self, change: ExecutionChange) -> None:
        """Store one step forward."""
        await self._access.writes.submit(execution_changes.advance(self._access.queries, change))

    async def get(self, execution: str) -> ExecutionRecord:
        """Return an execution."""
        row = await self._access.row("execution_by_id", (execution,))
        if row is None:
            raise _no_execution(execution)
        return execution_rows.execution_record(row)

    async def inputs(self, execution: str) -> ExecutionInputs:
        """Return what an execution was started with."""
        row = await self._access.row("inputs_by_execution", (execution,))
        if row is None:
            raise _no_execution(execution)
        return execution_rows.execution_inputs(row)

    async def find(self, filter: ExecutionFilter, cursor: str = "", limit: int = 50) -> Page[ExecutionRecord]:
        """List executions, newest created first."""
        bounded(limit, 1_000)
        before, first = read_cursor("executions", cursor, (LARGEST_INTEGER, 0))
        query = _listing(filter)
        statuses: tuple[str | None, ...] = tuple(sorted({str(status) for status in filter.statuses})) or (None,)
        sql = self._access.queries[query]
        first_since = self._access.queries["executions_first_since"]

        def work(connection: sqlite3.Connection) -> Page[ExecutionRecord]:
            start = first
            if filter.since and not cursor:
                # Once for all pages: what is made later has a higher number.
                (found_first,) = connection.execute(first_since, (filter.since,)).fetchone()
                start = LARGEST_INTEGER if found_first is None else found_first
            chosen = {"blueprint": filter.blueprint_id, "since": filter.since or -LARGEST_INTEGER, "first": start}
            # One range of an index for each status, merged: an IN would have to sort all of history.
            ranges = [
                connection.execute(sql, {**chosen, "status": status, "before": before, "limit": limit + 1}).fetchall()
                for status in statuses
            ]
            found = list(islice(heapq.merge(*ranges, key=lambda row: int(row[_NUMBER]), reverse=True), limit + 1))
            return Page(
                rows=tuple(execution_rows.execution_record(row) for row in found[:limit]),
                cursor=write_cursor("executions", found[limit - 1][_NUMBER], start) if len(found) > limit else "",
            )

        return await self._access.database.read(work)

    async def active(self) -> tuple[ExecutionRecord, ...]:
        """Return all executions that have not ended."""
        return await self._access.records("executions_active", (), execution_rows.execution_record)

    async def events(self, execution: str, after: int = 0, limit: int = 1000) -> tuple[EventRecord, ...]:
        """Return events above a sequence."""
        parameters = {"execution": execution, "after": after, "limit": bounded(limit, 10_000)}
        found, _ = await self._access.page("events_after", parameters, execution_rows.event_record, limit)
        return found

    async def step_runs(
        self, execution: str, filter: StepRunFilter | None = None, cursor: str = "", limit: int = 1000
    ) -> Page[StepRunRecord]:
        """List step runs ordered by path, host, item."""
        chosen = filter or StepRunFilter()
        after_path, after_host, after_item = read_cursor("step runs", cursor, ("", "", ""))
        parameters = {
            "execution": execution,
            "path": chosen.path,
            "host": chosen.host,
            "status": chosen.status,
            "after_path": after_path,
            "after_host": after_host,
            "after_item": after_item,
            "fresh": not cursor,
            "limit": bounded(limit, 10_000) + 1,
        }
        query, names = _step_run_listing(chosen)
        chosen_parameters = {name: parameters[name] for name in ("execution", "limit", *names)}
        rows, more = await self._access.page(query, chosen_parameters, execution_rows.step_run_record, limit)
        return Page(
            rows=rows, cursor=write_cursor("step runs", rows[-1].path, rows[-1].host, rows[-1].item) if more else ""
        )

    async def step_run(self, execution: str, path: str, host: str, item: str) -> StepRunRecord:
        """Return one step run."""
        row = await self._access.row("step_run_by_key", (execution, path, host, item))
        if row is None:
            where = f"on {host or 'the coordinator'}" + (f" for item {item}" if item else "")
            raise NotFound(f"{execution} has no step run `{path}` {where}")
        return execution_rows.step_run_record(row)

    async def attempt(self, key: AttemptKey) -> AttemptRecord:
        """Return one attempt."""
        row = await self._access.row("attempt_record_by_key", execution_rows.key_row(key))
        if row is None:
            raise NotFound(f"no attempt {key} was ever made")
        return execution_rows.attempt_record(row)

    async def attempt_keys(
        self, execution: str, path: str, host: str = "", after: AttemptKey | None = None, limit: int = 1000
    ) -> tuple[AttemptKey, ...]:
        """Return a step's attempts."""
        parameters = {
            "execution": execution,
            "path": path,
            "after_item": after.item if after else "",
            "after_kind": after.kind.value if after else "",
            "after_attempt": after.attempt if after else 0,
            "limit": bounded(limit, 10_000),
        }
        if host:
            parameters["host"] = host
            return await self._access.records("attempt_keys_on_host", parameters, execution_rows.read_key)
        parameters["after_host"] = after.host if after else ""
        return await self._access.records("attempt_keys_of_path", parameters, execution_rows.read_key)

    async def open_attempts(self, execution: str) -> Mapping[AttemptKey, int]:
        """Return the attempts of an execution that have not ended, and their epochs."""
        rows = await self._access.rows("attempts_open", (execution,))
        return {execution_rows.read_key(row): int(row[6]) for row in rows}

    async def metrics(self, blueprint_id: str = "") -> tuple[BlueprintMetric, ...]:
        """Return counters."""
        rows = await (
            self._access.rows("metrics_of_blueprint", (blueprint_id,))
            if blueprint_id
            else self._access.rows("metrics_all")
        )
        return tuple(BlueprintMetric(*row) for row in rows)

    async def prunable(self, ended_before: int, limit: int = 100) -> tuple[str, ...]:
        """Return ids of executions that `prune` would remove."""
        rows = await self._access.rows("executions_prunable", {"before": ended_before, "limit": bounded(limit, 1_000)})
        return tuple(row[0] for row in rows)

    async def prune(self, ended_before: int, rows: int = 5000) -> Pruned:
        """Remove executions that ended before a time."""
        return await self._access.writes.submit(
            retention.prune(self._access.queries, ended_before, bounded(rows, 100_000))
        )


def _listing(filter: ExecutionFilter) -> str:
    if filter.blueprint_id:
        return "executions_of_blueprint_in_status" if filter.statuses else "executions_of_blueprint"
    return "executions_in_status" if filter.statuses else "executions_newest"


def _step_run_listing(filter: StepRunFilter) -> tuple[str, tuple[str, ...]]:
    """Return the query that reads the fewest rows for a filter, and the parameters that it takes."""
    if filter.path is not None:
        return "step_runs_of_path", ("path", "host", "status", "after_host", "after_item", "fresh")
    if filter.host is not None:
        return "step_runs_of_host", ("host", "status", "after_path", "after_item")
    if filter.status is not None:
        return "step_runs_in_status", ("status", "after_path", "after_host", "after_item")
    return "step_runs_all", ("after_path", "after_host", "after_item")


def _no_execution(execution: str) -> NotFound:
    return NotFound(f"there is no execution {execution}: it may have been removed by retention")
