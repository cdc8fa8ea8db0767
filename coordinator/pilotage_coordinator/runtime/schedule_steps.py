"""How a schedule steps forward: what its row becomes after some of its times. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pilotage_coordinator.domain.schedule.codec import delay, timetable_of
from pilotage_coordinator.domain.schedule.firing import Outcome, Overlap, Rules, State, Told
from pilotage_coordinator.store.records import AuditEntry, FiringRecord, ScheduleRecord, ScheduleStep

HAD_ALL_ITS_TIMES = "it has had all its times"


@dataclass(frozen=True, slots=True)
class End:
    """Why a schedule gets no times any more, or none that run."""

    state: State
    note: str


def rules_of(schedule: ScheduleRecord, lost_until: int = 0) -> Rules:
    """Return what a schedule says of its firings; `lost_until` is up to when rows may have been lost by a restore."""
    paused = schedule.note or "the schedule is paused" if schedule.state == State.PAUSED else ""
    return Rules(Overlap(schedule.overlap), schedule.catchup, delay(schedule.id, schedule.jitter), paused, lost_until)


def timed(schedule: ScheduleRecord, after: int) -> ScheduleRecord:
    """Return a schedule with its next time later than `after`; without one it has finished.

    A time that has a row is never due again, whatever the clock says.
    """
    if not State(schedule.state).timed:
        return replace(schedule, next_nominal=None, due_at=None)
    told = schedule.last_nominal
    following = timetable_of(schedule.timetable).next_after(after if told is None else max(after, told))
    if following is None or (schedule.most_runs and schedule.runs >= schedule.most_runs):
        why = HAD_ALL_ITS_TIMES if following is None else f"it has started all of its {schedule.most_runs} executions"
        return replace(schedule, state=State.FINISHED, note=why, next_nominal=None, due_at=None)
    return replace(schedule, next_nominal=following, due_at=following + delay(schedule.id, schedule.jitter))


def ended(schedule: ScheduleRecord, end: End | None) -> ScheduleRecord:
    """Return a schedule as an end leaves it."""
    if end is None or not State(schedule.state).timed:
        return schedule
    changed = replace(schedule, state=end.state, note=end.note)
    return changed if end.state.timed else replace(changed, next_nominal=None, due_at=None)


def told_step(
    schedule: ScheduleRecord,
    told: Sequence[Told],
    now: int,
    *,
    execution: str = "",
    resume_after: int = 0,
    end: End | None = None,
    audit: tuple[AuditEntry, ...] = (),
) -> ScheduleStep:
    """Return the step that tells what became of times, oldest first. `execution` is that of the one that ran;
    `resume_after` leaves out the times up to it."""
    last = told[-1].nominal
    newest = last if schedule.last_nominal is None else max(last, schedule.last_nominal)
    counted = sum(each.outcome in (Outcome.RAN, Outcome.WAITING) for each in told)
    after = timed(replace(schedule, last_nominal=newest, runs=schedule.runs + counted), max(last, resume_after))
    firings = tuple(
        FiringRecord(
            schedule.id,
            each.nominal,
            each.outcome,
            now,
            each.reason,
            execution if each.outcome is Outcome.RAN else "",
            open=each.outcome in (Outcome.RAN, Outcome.WAITING),
        )
        for each in told
    )
    return ScheduleStep(ended(after, end), firings, audit=audit)


def taken_step(
    schedule: ScheduleRecord,
    waiting: FiringRecord,
    outcome: Outcome,
    now: int,
    *,
    execution: str = "",
    reason: str = "",
    end: End | None = None,
    audit: tuple[AuditEntry, ...] = (),
) -> ScheduleStep:
    """Return the step that tells what became of a firing that waited."""
    taken = replace(waiting, outcome=outcome, execution=execution, reason=reason, open=outcome is Outcome.RAN)
    after = schedule
    if outcome is not Outcome.RAN:
        # It was counted when it came to wait.
        after = replace(schedule, runs=schedule.runs - 1)
        if schedule.state == State.FINISHED:
            after = timed(replace(after, state=State.ACTIVE, note=""), now)
    return ScheduleStep(ended(after, end), taken=taken, audit=audit)
