"""Schedules, their firings and their times to come, as faces show them."""

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Any, Literal

from pydantic import JsonValue

from pilotage_coordinator.domain.schedule import zone as zones
from pilotage_coordinator.domain.schedule.codec import delay, read_timetable
from pilotage_coordinator.domain.schedule.firing import State
from pilotage_coordinator.domain.schedule.timetable import Timetable
from pilotage_coordinator.domain.schedule.words import in_words
from pilotage_coordinator.domain.values import SECOND, write_duration
from pilotage_coordinator.service.requested import ClassName
from pilotage_coordinator.service.wire import Answer, rfc3339
from pilotage_coordinator.store.records import FiringRecord, ScheduleRecord

StateName = Literal["active", "paused", "disabled", "stopped", "finished", "cancelled"]
OverlapName = Literal["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"]
OutcomeName = Literal["ran", "waiting", "skipped", "missed"]


class ScheduleAnswer(Answer):
    """A schedule. Exactly one of `cron`, `every` and `at` is not empty. Times are UTC, those `local` in its zone."""

    id: str
    name: str
    state: StateName
    note: str
    """Why it is in this state."""
    owner: str
    """With whose rights it runs."""
    blueprint: str
    parameters: dict[str, JsonValue]
    limit_to: str
    hosts: list[str]
    """Those that its plan touched when it was last set."""
    words: str
    cron: str
    every: str
    at: str
    timezone: str
    start: str
    end: str
    overlap: OverlapName
    catchup: str
    jitter: str
    delay: str
    """By how much each of its times comes later: what its jitter gives it, for ever."""
    count: int
    """How many executions it starts at most; 0: no limit."""
    runs: int
    pause_on_failure: bool
    reason: str
    reference: str
    change_class: ClassName | None
    next_run: str
    """When it next starts something, its jitter included; empty: it does not."""
    next_run_local: str
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str
    warning: str
    """What would keep it from running now, when it was just set."""


class FiringAnswer(Answer):
    """A nominal time and what became of it; `cause` is `person` for one that somebody asked for."""

    schedule: str
    nominal: str
    local: str
    cause: Literal["time", "person"]
    outcome: OutcomeName
    reason: str
    execution: str
    execution_state: str
    """As it is now; empty without an execution, or when retention has removed it."""
    recorded_at: str


class UpcomingTime(Answer):
    """A time to come: the nominal one, and when it starts something, its jitter included."""

    schedule: str
    name: str
    blueprint: str
    nominal: str
    runs_at: str
    local: str
    timezone: str
    note: str
    """What a change of the clock makes of it."""


class UpcomingTimes(Answer):
    """Times to come, soonest first."""

    items: list[UpcomingTime]


class ScheduleExplained(Answer):
    """A cron expression in words."""

    words: str
    clock: str
    """What happens to it when the clock is changed."""
    upcoming: list[UpcomingTime]


FIXED = (
    "it names times of the day: one that a change of the clock leaves out comes at the first moment after it, "
    "one that is repeated comes the first time only"
)
WILDCARD = "it has a * in minute or hour: it comes in each matching minute that there really is"


def schedule_answer(row: ScheduleRecord, warning: str = "") -> ScheduleAnswer:
    """Return a schedule as faces show it."""
    timetable, fault = read_timetable(row.timetable)
    rule: Any = row.timetable
    runs = row.due_at if row.state == State.ACTIVE else None
    values: dict[str, Any] = {"state": row.state, "overlap": row.overlap, "change_class": row.change_class or None}
    return ScheduleAnswer(
        id=row.id,
        name=row.name,
        note=row.note,
        owner=row.owner,
        blueprint=row.blueprint,
        parameters=dict(row.parameters),
        limit_to=row.limit_to,
        hosts=list(row.hosts),
        words=fault or in_words(timetable),
        cron=rule.get("cron", ""),
        every=write_duration(rule["every"]) if "every" in rule else "",
        at=rfc3339(rule.get("at", 0)),
        timezone=timetable.zone,
        start=rfc3339(timetable.start or 0),
        end=rfc3339(timetable.end or 0),
        catchup=write_duration(row.catchup),
        jitter=write_duration(row.jitter),
        delay=write_duration(delay(row.id, row.jitter)),
        count=row.most_runs,
        runs=row.runs,
        pause_on_failure=row.pause_on_failure,
        reason=row.reason,
        reference=row.reference,
        next_run=rfc3339(runs or 0),
        next_run_local=local(timetable, runs),
        created_at=rfc3339(row.created_at),
        created_by=row.created_by,
        updated_at=rfc3339(row.updated_at),
        updated_by=row.updated_by,
        warning=warning,
        **values,
    )


def firing_answer(row: FiringRecord, timetable: Timetable) -> FiringAnswer:
    """Return a firing as faces show it."""
    values: dict[str, Any] = {"cause": row.cause, "outcome": row.outcome}
    return FiringAnswer(
        schedule=row.schedule,
        nominal=rfc3339(row.nominal),
        local=local(timetable, row.nominal),
        reason=row.reason,
        execution=row.execution,
        execution_state=row.status,
        recorded_at=rfc3339(row.recorded_at),
        **values,
    )


def upcoming_of(rows: Sequence[ScheduleRecord], count: int, until: int | None) -> list[UpcomingTime]:
    """Return the next times of these schedules, soonest first, at most `count` and none after `until`."""
    found: list[UpcomingTime] = []
    for runs_at, _, row, nominal in islice(merge(*(_times(row) for row in rows), key=lambda each: each[:2]), count):
        if until is not None and runs_at > until:
            break
        timetable, _ = read_timetable(row.timetable)
        found.append(upcoming_time(timetable, nominal, runs_at, row))
    return found


def upcoming_time(timetable: Timetable, nominal: int, runs_at: int, row: ScheduleRecord | None = None) -> UpcomingTime:
    """Return a time to come as faces show it."""
    return UpcomingTime(
        schedule=row.id if row is not None else "",
        name=row.name if row is not None else "",
        blueprint=row.blueprint if row is not None else "",
        nominal=rfc3339(nominal),
        runs_at=rfc3339(runs_at),
        local=local(timetable, runs_at),
        timezone=timetable.zone,
        note=timetable.note(nominal),
    )


def local(timetable: Timetable, moment: int | None) -> str:
    """Write a moment in the zone of a schedule; empty for none."""
    return zones.shown(zones.zone_named(timetable.zone), moment // SECOND) if moment is not None else ""


def _times(row: ScheduleRecord) -> Iterator[tuple[int, str, ScheduleRecord, int]]:
    if row.next_nominal is None:
        return
    late = delay(row.id, row.jitter)
    left = row.most_runs - row.runs if row.most_runs else None
    times = read_timetable(row.timetable)[0].after(row.next_nominal - 1)
    for nominal in islice(times, left) if left is not None else times:
        yield nominal + late, row.id, row, nominal
