"""Operations that set and steer schedules. Whoever sets what a schedule does owns it: it runs with their rights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.schedule.codec import read_timetable, timetable_of, to_json
from pilotage_coordinator.domain.schedule.firing import UNSEEN, Outcome, Overlap, State
from pilotage_coordinator.domain.schedule.timetable import check
from pilotage_coordinator.runtime.schedule_steps import timed
from pilotage_coordinator.runtime.scheduling import LONGEST_REASON
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict
from pilotage_coordinator.service.executions import Started, start_by
from pilotage_coordinator.service.firing import about, start_of
from pilotage_coordinator.service.schedule_requests import CreateSchedule, SteerSchedule, UpdateSchedule
from pilotage_coordinator.service.schedule_texts import catchup_of, jitter_of, new_timetable, updated_timetable
from pilotage_coordinator.service.schedule_view import ScheduleAnswer, schedule_answer
from pilotage_coordinator.service.scheduled_work import Work, checked
from pilotage_coordinator.service.seen_blueprints import blueprints_of, unseen
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import AuditEntry, FiringRecord, ScheduleRecord, ScheduleStep

MOST_TRIES: Final = 5
"""Times that a change is decided anew because the schedule stepped forward meanwhile."""


@verb("schedule.create")
async def create_schedule(services: Services, caller: Caller, request: CreateSchedule) -> ScheduleAnswer:
    """Let a blueprint run at certain times, with the rights of whoever asks for it."""
    now = services.schedules.now()
    timetable = new_timetable(request, now)
    check(timetable, now)
    work = Work(request.blueprint, request.parameters, request.parameter_texts, request.limit_to, request.change_class)
    found = await checked(services, caller, "schedule.create", request.name, work)
    schedule = ScheduleRecord(
        id=services.new_id("sch"),
        name=request.name,
        owner=caller.principal,
        blueprint=request.blueprint,
        timetable=to_json(timetable),
        created_at=now,
        created_by=caller.principal,
        updated_at=now,
        updated_by=caller.principal,
        parameters=found.parameters,
        limit_to=request.limit_to,
        hosts=found.hosts,
        seen=found.seen,
        reason=request.reason,
        reference=request.reference,
        change_class=request.change_class or "",
        overlap=request.overlap,
        catchup=catchup_of(request.catchup),
        jitter=jitter_of(request.jitter),
        most_runs=request.count,
        pause_on_failure=request.pause_on_failure,
        state=State.ACTIVE if request.enabled else State.DISABLED,
        note="" if request.enabled else f"{caller.principal} made it disabled",
    )
    schedule = timed(schedule, now)
    await services.store.schedules.add(schedule, _audited(services, caller, "schedule.create", schedule))
    services.schedules.ring()
    return schedule_answer(schedule, found.warning)


@verb("schedule.update")
async def update_schedule(services: Services, caller: Caller, request: UpdateSchedule) -> ScheduleAnswer:
    """Change a schedule, and become its owner: it runs with your rights from then on."""
    before = await services.store.schedules.get(request.schedule)
    if before.state == State.CANCELLED:
        raise Conflict(f"schedule {before.name} is cancelled", fix="enable it first, or make another one")
    given = request.parameters if request.parameters is not None else dict(before.parameters)
    work = Work(
        request.blueprint or before.blueprint,
        given,
        request.parameter_texts,
        before.limit_to if request.limit_to is None else request.limit_to,
        request.change_class or before.change_class or None,
    )
    found = await checked(services, caller, "schedule.update", before.name, work)

    def change(row: ScheduleRecord, now: int) -> ScheduleRecord:
        timetable = updated_timetable(read_timetable(row.timetable), request, now)
        changed = replace(
            row,
            owner=caller.principal,
            blueprint=work.blueprint,
            parameters=found.parameters,
            limit_to=work.limit_to,
            hosts=found.hosts,
            seen=found.seen,
            change_class=work.change_class or "",
            timetable=to_json(timetable),
            reason=row.reason if request.reason is None else request.reason,
            reference=row.reference if request.reference is None else request.reference,
            overlap=request.overlap or row.overlap,
            catchup=row.catchup if request.catchup is None else catchup_of(request.catchup),
            jitter=row.jitter if request.jitter is None else jitter_of(request.jitter),
            most_runs=row.most_runs if request.count is None else request.count,
            pause_on_failure=row.pause_on_failure if request.pause_on_failure is None else request.pause_on_failure,
        )
        waits = row.state == State.PAUSED and row.note.startswith(UNSEEN)
        if waits or row.state in (State.STOPPED, State.FINISHED):
            changed = replace(changed, state=State.ACTIVE, note="")
        same = (changed.timetable, changed.jitter, changed.state) == (row.timetable, row.jitter, row.state)
        if same and not (changed.most_runs and changed.runs >= changed.most_runs):
            return changed  # a time that is late by its jitter stays due
        check(timetable, now)
        return timed(changed, now)

    return await _set(services, caller, "schedule.update", request.schedule, change, warning=found.warning)


@verb("schedule.enable")
async def enable_schedule(services: Services, caller: Caller, request: SteerSchedule) -> ScheduleAnswer:
    """Give a schedule its times again: one that was made disabled, cancelled, or stopped because its owner was gone."""
    row = await services.store.schedules.get(request.schedule)
    holder = await services.store.access.holder(row.owner)
    if holder.principal.disabled_at is not None:
        raise Conflict(
            f"{row.owner}, who owns schedule {row.name}, is disabled",
            fix=f"`pilotage schedule update {row.name}`, run by somebody else, makes them its owner",
        )

    def change(row: ScheduleRecord, now: int) -> ScheduleRecord:
        if row.state == State.ACTIVE:
            raise Conflict(f"schedule {row.name} is enabled already")
        if row.state == State.PAUSED:
            raise Conflict(f"schedule {row.name} is paused: {row.note}", fix=f"`pilotage schedule resume {row.name}`")
        if row.most_runs and row.runs >= row.most_runs:
            raise Conflict(
                f"schedule {row.name} has started all of its {row.most_runs} executions",
                fix=f"`pilotage schedule update {row.name} --count` with a larger number, or 0 for no limit",
            )
        check(timetable_of(row.timetable), now)
        return timed(replace(row, state=State.ACTIVE, note=""), now)

    return await _set(services, caller, "schedule.enable", request.schedule, change, reason=request.reason)


@verb("schedule.pause")
async def pause_schedule(services: Services, caller: Caller, request: SteerSchedule) -> ScheduleAnswer:
    """Skip a schedule's times, each with the reason, until it is resumed; what runs goes on."""

    def change(row: ScheduleRecord, now: int) -> ScheduleRecord:
        _require(row, State.ACTIVE, "paused")
        note = f"paused by {caller.principal}" + (f": {request.reason}" if request.reason else "")
        return replace(row, state=State.PAUSED, note=note)

    return await _set(services, caller, "schedule.pause", request.schedule, change, reason=request.reason)


@verb("schedule.resume")
async def resume_schedule(services: Services, caller: Caller, request: SteerSchedule) -> ScheduleAnswer:
    """Let a paused schedule run again, from its next time on. Its owner says yes with it to what its note names."""
    row = await services.store.schedules.get(request.schedule)
    _require(row, State.PAUSED, "resumed")
    found = await blueprints_of(services, row.blueprint)
    reason = await unseen(services, row, found)
    if reason and not (caller.principal == row.owner and row.note == reason[:LONGEST_REASON]):
        raise Conflict(
            reason,
            fix=f"look at it (`pilotage blueprint show`); then `pilotage schedule update {row.name}` by whoever shall"
            " answer for it, and so own the schedule",
        )
    looked_at = row

    def change(row: ScheduleRecord, now: int) -> ScheduleRecord:
        _require(row, State.PAUSED, "resumed")
        if (row.owner, row.blueprint, row.note) != (looked_at.owner, looked_at.blueprint, looked_at.note):
            raise Conflict(f"schedule {row.name} was changed meanwhile", fix="look at it, and resume it again")
        return replace(row, state=State.ACTIVE, note="", seen=found if reason else row.seen)

    return await _set(services, caller, "schedule.resume", request.schedule, change, reason=request.reason)


@verb("schedule.cancel")
async def cancel_schedule(services: Services, caller: Caller, request: SteerSchedule) -> ScheduleAnswer:
    """End a schedule; its history stays, what runs goes on, and its name is free."""

    def change(row: ScheduleRecord, now: int) -> ScheduleRecord:
        if row.state == State.CANCELLED:
            raise Conflict(f"schedule {row.name} is cancelled already")
        note = f"cancelled by {caller.principal}" + (f": {request.reason}" if request.reason else "")
        return replace(row, state=State.CANCELLED, note=note, next_nominal=None, due_at=None)

    return await _set(services, caller, "schedule.cancel", request.schedule, change, reason=request.reason)


@verb("schedule.run")
async def run_schedule(services: Services, caller: Caller, request: SteerSchedule) -> Started:
    """Start now what a schedule starts, as an execution of whoever asks, with their rights."""
    row = await services.store.schedules.get(request.schedule)
    running = await services.store.schedules.running(row.id)
    if running and row.overlap != Overlap.ALLOW_ALL:
        raise Conflict(f"{running[0]} of schedule {row.name} is not over", fix="wait for its end, or cancel it")
    now = services.schedules.now()

    def step(execution: str) -> ScheduleStep:
        reason = f"asked for by {caller.principal}" + (f": {request.reason}" if request.reason else "")
        firing = FiringRecord(row.id, now, Outcome.RAN, now, reason, execution, cause="person", open=True)
        return ScheduleStep(row, (firing,))

    return await start_by(services, caller, start_of(row, request.reason), step, about(row), "schedule.run")


async def _set(
    services: Services,
    caller: Caller,
    operation: str,
    name: str,
    change: Callable[[ScheduleRecord, int], ScheduleRecord],
    *,
    reason: str = "",
    warning: str = "",
) -> ScheduleAnswer:
    """Change a schedule as it is now, however often it steps forward meanwhile."""
    for tries in range(1, MOST_TRIES + 1):
        row, now = await services.store.schedules.get(name), services.schedules.now()
        changed = replace(change(row, now), updated_at=now, updated_by=caller.principal)
        audit = _audited(services, caller, operation, changed, **({"reason": reason} if reason else {}))
        try:
            await services.store.schedules.step(ScheduleStep(changed, audit=audit))
        except store_errors.Conflict:
            if tries == MOST_TRIES:
                raise
            continue
        services.schedules.ring()
        return schedule_answer(changed, warning)
    raise AssertionError("unreachable")


def _audited(
    services: Services, caller: Caller, operation: str, row: ScheduleRecord, **more: Json
) -> tuple[AuditEntry, ...]:
    detail: dict[str, Json] = {
        "name": row.name,
        "blueprint": row.blueprint,
        "limit_to": row.limit_to,
        "owner": row.owner,
        "seen": {**row.seen},
        "timetable": dict(row.timetable),
        "state": str(row.state),
    }
    return allowed(services, caller, operation, row.id, **detail, **more)


def _require(row: ScheduleRecord, state: State, done: str) -> None:
    if row.state != state:
        why = f": {row.note}" if row.note else ""
        raise Conflict(f"schedule {row.name} is {row.state}{why}, so it cannot be {done}")
