"""Schedules and their firings on SQLite."""

import sqlite3
from collections.abc import Sequence

from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.records import AuditEntry, FiringRecord, Page, ScheduleRecord, ScheduleStep
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.paging import LARGEST_INTEGER, bounded, read_cursor, write_cursor
from pilotage_coordinator.store.sqlite.queries import Queries

MOST_RUNNING = 100
"""Executions of one schedule that are looked at."""


def take_step(connection: sqlite3.Connection, queries: Queries, step: ScheduleStep) -> None:
    """Store one step forward within a transaction; raises Conflict, Refused, NotFound."""
    schedule = step.after
    try:
        replaced = connection.execute(queries["schedule_replace"], _schedule_row(schedule)).rowcount
    except sqlite3.IntegrityError as error:
        raise _name_taken(schedule.name) from error
    if replaced == 0:
        if connection.execute(queries["schedule_by_id"], (schedule.id,)).fetchone() is None:
            raise _no_schedule(schedule.id)
        raise Conflict(f"schedule {schedule.name} has changed in between: read it again and decide again")
    _add_firings(connection, queries, step.firings)
    if step.taken is not None:
        taken = step.taken
        row = {
            "schedule": taken.schedule,
            "nominal": taken.nominal,
            "outcome": taken.outcome,
            "reason": taken.reason,
            "execution": taken.execution,
            "open": int(taken.open),
        }
        if connection.execute(queries["firing_take"], row).rowcount == 0:
            raise Conflict(f"the firing of schedule {schedule.name} at {taken.nominal} does not wait any more")
    for nominal in step.closed:
        connection.execute(queries["firing_close"], {"schedule": schedule.id, "nominal": nominal})
    append_audit(connection, queries, step.audit)


def _add_firings(connection: sqlite3.Connection, queries: Queries, firings: Sequence[FiringRecord]) -> None:
    rows = [
        (
            each.schedule,
            each.nominal,
            each.cause,
            each.outcome,
            each.reason,
            each.execution,
            each.recorded_at,
            int(each.open),
        )
        for each in firings
    ]
    try:
        connection.executemany(queries["firing_insert"], rows)
    except sqlite3.IntegrityError as error:
        raise Conflict(f"a time of schedule {firings[0].schedule} has its row already ({error})") from error


class SqliteSchedules:
    """Implements `ScheduleStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def add(self, schedule: ScheduleRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store a new schedule."""
        queries, row = self._access.queries, _schedule_row(schedule)

        def work(connection: sqlite3.Connection) -> None:
            try:
                connection.execute(queries["schedule_insert"], row)
            except sqlite3.IntegrityError as error:
                raise _name_taken(schedule.name) from error
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def step(self, step: ScheduleStep) -> None:
        """Store one step forward."""
        queries = self._access.queries
        await self._access.writes.submit(lambda connection: take_step(connection, queries, step))

    async def get(self, schedule: str) -> ScheduleRecord:
        """Return a schedule by id or name."""
        row = await self._access.row("schedule_by_id", (schedule,)) or await self._access.row(
            "schedule_by_name", (schedule,)
        )
        if row is None:
            raise _no_schedule(schedule)
        return _schedule(row)

    async def find(self, cursor: str = "", limit: int = 50, *, cancelled: bool = False) -> Page[ScheduleRecord]:
        """List schedules, newest first."""
        bounded(limit, 1000)
        (before,) = read_cursor("schedules", cursor, (LARGEST_INTEGER,))
        parameters = {"before": before, "limit": limit + 1, "every": int(cancelled)}
        found, more = await self._access.page("schedules_newest", parameters, _schedule, limit)
        return Page(found, write_cursor("schedules", found[-1].number) if more else "")

    async def soonest(self, limit: int) -> tuple[ScheduleRecord, ...]:
        """Return the schedules that are due first."""
        return await self._access.records("schedules_soonest", {"limit": bounded(limit, 10_000)}, _schedule)

    async def standing(self) -> tuple[ScheduleRecord, ...]:
        """Return the schedules that are stopped or paused."""
        return await self._access.records("schedules_standing", (), _schedule)

    async def ahead(self, now: int, after: int = 0, limit: int = 100) -> tuple[ScheduleRecord, ...]:
        """Return schedules that have told of times later than now."""
        return await self._access.records("schedules_ahead", {"now": now, "number": after, "limit": limit}, _schedule)

    async def rewind(self, step: ScheduleStep, after: int) -> None:
        """Take back what was called missed, with a step forward."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(queries["firings_take_back"], {"schedule": step.after.id, "after": after})
            take_step(connection, queries, step)

        await self._access.writes.submit(work)

    async def newest(self, schedule: str, *, but_missed_after: int) -> int | None:
        """Return the newest nominal time that has a row."""
        row = await self._access.row("firing_newest", {"schedule": schedule, "after": but_missed_after})
        return None if row is None else row[0]

    async def firings(self, schedule: str, cursor: str = "", limit: int = 50) -> Page[FiringRecord]:
        """List firings, newest time first."""
        bounded(limit, 1000)
        (before,) = read_cursor("firings", cursor, (LARGEST_INTEGER,))
        parameters = {"schedule": schedule, "before": before, "limit": limit + 1}
        found, more = await self._access.page("firings_newest", parameters, _firing, limit)
        return Page(found, write_cursor("firings", found[-1].nominal) if more else "")

    async def running(self, schedule: str) -> tuple[str, ...]:
        """Return the executions of a schedule that are not over."""
        rows = await self._access.rows("firings_running", {"schedule": schedule, "limit": MOST_RUNNING})
        return tuple(sorted(row[0] for row in rows))

    async def waiting(self, schedule: str) -> tuple[FiringRecord, ...]:
        """Return the firings of a schedule that wait."""
        return await self._access.records("firings_waiting", {"schedule": schedule}, _firing)

    async def all_waiting(self) -> tuple[str, ...]:
        """Return the ids of schedules with firings that wait."""
        return tuple(row[0] for row in await self._access.rows("schedules_waiting"))

    async def over(self, limit: int = 100) -> tuple[FiringRecord, ...]:
        """Return firings whose executions have ended and that are still open."""
        return await self._access.records("firings_over", {"limit": limit}, _firing)

    async def prune(self, before: int, rows: int = 1000) -> int:
        """Remove old firings."""
        sql = self._access.queries["firings_prune"]
        return await self._access.writes.submit(
            lambda connection: connection.execute(sql, {"before": before, "limit": rows}).rowcount
        )


def _schedule_row(schedule: ScheduleRecord) -> dict[str, object]:
    return {
        "id": schedule.id,
        "name": schedule.name,
        "version": schedule.version,
        "owner": schedule.owner,
        "blueprint": schedule.blueprint,
        "parameters": write_json(schedule.parameters),
        "limit_to": schedule.limit_to,
        "reason": schedule.reason,
        "reference": schedule.reference,
        "change_class": schedule.change_class,
        "timetable": write_json(schedule.timetable),
        "overlap": schedule.overlap,
        "catchup": schedule.catchup,
        "jitter": schedule.jitter,
        "most_runs": schedule.most_runs,
        "pause_on_failure": int(schedule.pause_on_failure),
        "state": schedule.state,
        "note": schedule.note,
        "runs": schedule.runs,
        "last_nominal": schedule.last_nominal,
        "next_nominal": schedule.next_nominal,
        "due_at": schedule.due_at,
        "created_at": schedule.created_at,
        "created_by": schedule.created_by,
        "updated_at": schedule.updated_at,
        "updated_by": schedule.updated_by,
        "hosts": write_json(schedule.hosts),
        "seen": write_json(schedule.seen),
    }


def _schedule(row: Row) -> ScheduleRecord:
    return ScheduleRecord(
        id=row[0],
        name=row[1],
        version=row[2],
        owner=row[3],
        blueprint=row[4],
        parameters=read_json(row[5]),
        limit_to=row[6],
        reason=row[7],
        reference=row[8],
        change_class=row[9],
        timetable=read_json(row[10]),
        overlap=row[11],
        catchup=row[12],
        jitter=row[13],
        most_runs=row[14],
        pause_on_failure=bool(row[15]),
        state=row[16],
        note=row[17],
        runs=row[18],
        last_nominal=row[19],
        next_nominal=row[20],
        due_at=row[21],
        created_at=row[22],
        created_by=row[23],
        updated_at=row[24],
        updated_by=row[25],
        number=row[26],
        hosts=tuple(read_json(row[27])),
        seen=read_json(row[28]),
    )


def _firing(row: Row) -> FiringRecord:
    schedule, nominal, cause, outcome, reason, execution, recorded_at, open, status = row
    return FiringRecord(schedule, nominal, outcome, recorded_at, reason, execution, cause, bool(open), status)


def _name_taken(name: str) -> Refused:
    return Refused(f"there is a schedule {name} already: choose another name, or change that one")


def _no_schedule(schedule: str) -> NotFound:
    return NotFound(f"there is no schedule {schedule}; see: pilotage schedule list")
