"""From what happened to the rows that show it: pure, and at the cost of what changed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pilotage_proto.attempt import AttemptKey, AttemptKind

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.codec import encode, type_name
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.proof import KINDS, Proof, subject, told
from pilotage_coordinator.runtime import asking
from pilotage_coordinator.runtime.starts import starts
from pilotage_coordinator.store.records import (
    AttemptRecord,
    AttemptUpdate,
    AuditEntry,
    EventRecord,
    ExecutionChange,
    GivenUp,
    NotificationRecord,
    Progress,
    StepRunRecord,
)

RUNNING = "running"
ASSIGNED = "assigned"
CANCELLING = "cancelling"
ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Position:
    """Where the store has an execution: what the next change is written against."""

    version: int = 0
    sequence: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Happened:
    """What one batch of inputs led to."""

    at: int
    events: Sequence[e.Event]
    touched: Sequence[RunKey]
    """Every step run that is another than before."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What a change stores besides what follows from its events."""

    epoch: int
    """Under which new attempts are assigned."""
    audit: tuple[AuditEntry, ...] = ()
    updates: tuple[AttemptUpdate, ...] = ()
    fences: Mapping[AttemptKey, int] = field(default_factory=dict)
    """The epochs that results of agents carry: each is compared with its attempt's row when it is stored."""


def project(
    before: ExecutionState,
    after: ExecutionState,
    happened: Happened,
    position: Position,
    extra: Extra,
) -> tuple[ExecutionChange, Position]:
    """Return the change that stores what led from `before` to `after`, and the position after it."""
    counts = _recount(position.counts, before, after, happened.touched)
    records = tuple(
        EventRecord(position.sequence + number, happened.at, type_name(event), encode(event))
        for number, event in enumerate(happened.events, start=1)
    )
    attempts, updates = _attempts(after, happened, extra)
    change = ExecutionChange(
        execution=after.id,
        at=happened.at,
        asked=asking.asked(after, happened.events, happened.at),
        approvals=tuple(asking.happened(before, after, happened.events, happened.at)),
        rests_on=asking.rested_on(after, happened.events),
        expected_version=position.version,
        progress=progress_of(after, counts),
        events=records,
        step_runs=tuple(_row(after.runs[key]) for key in happened.touched if key in after.runs),
        attempts=attempts,
        attempt_updates=_merged(updates, extra.updates),
        audit=(*extra.audit, *starts(after, attempts, happened.at)),
        proofs=tuple(_proofs(before, after, happened)),
        notifications=tuple(
            NotificationRecord(
                each.notification, after.id, each.path, each.host, each.item, each.channel, each.message, happened.at
            )
            for each in happened.events
            if isinstance(each, e.NotificationQueued)
        ),
        given_up=tuple(
            GivenUp(each.notification, each.attempts, happened.at, each.error)
            for each in happened.events
            if isinstance(each, e.NotificationGivenUp)
        ),
    )
    return change, Position(position.version + 1, position.sequence + len(records), counts)


def progress_of(state: ExecutionState, counts: Mapping[str, int]) -> Progress:
    """Return the execution's own row."""
    ended = state.terminal
    return Progress(
        status=state.status,
        reason=state.reason,
        outcome=str(state.status) if ended else "",
        started_at=state.begun_at or None,
        ended_at=(state.ended_at or None) if ended else None,
        counts=counts,
        warnings=("some steps failed or were not run",) if state.warnings else (),
    )


def count_runs(state: ExecutionState) -> Mapping[str, int]:
    """Return how many step runs are in which status. O(runs): once, when an execution is loaded."""
    return Counter(str(run.status) for run in state.runs.values())


def attempt_key(
    execution: str, run: RunKey, event: "e.AttemptPlanned | e.AttemptBegun | e.AttemptFinished"
) -> AttemptKey:
    """Return the key of the attempt that an event is about."""
    return AttemptKey(execution, run.path, run.host, run.item, event.kind, event.attempt)


def _proofs(before: ExecutionState, after: ExecutionState, happened: Happened) -> Iterator[tuple[str, Proof]]:
    """Yield what ended runs prove, each with the name of its host."""
    for event in happened.events:
        if not isinstance(event, e.AttemptFinished) or event.kind is not AttemptKind.RUN:
            continue
        step, run = after.step(event.path), RunKey(event.path, event.host, event.item)
        kind = KINDS.get(step.type.name) if step.type is not None else None
        if kind is None or event.outcome not in (Outcome.SUCCEEDED, Outcome.FAILED):
            continue
        if event.becomes not in (StepRunStatus.SUCCEEDED, StepRunStatus.FAILED):
            continue
        planned = before.open[run].planned_at if run in before.open else happened.at
        # A host's own clock can be wrong; it can never have begun before it was asked, nor later than now.
        began = min(max(event.started_at or event.ended_at, planned), happened.at)
        host = subject(kind, event.host, after.runs[run].parameters)
        passed = event.becomes is StepRunStatus.SUCCEEDED
        yield host, Proof(kind, passed, began, after.id, event.path, event.item, told(event.outputs))


def _recount(
    counts: Mapping[str, int], before: ExecutionState, after: ExecutionState, touched: Iterable[RunKey]
) -> Mapping[str, int]:
    fresh = Counter(dict(counts))
    for key in touched:
        old, new = before.runs.get(key), after.runs.get(key)
        if old is not None:
            fresh[str(old.status)] -= 1
        if new is not None:
            fresh[str(new.status)] += 1
    return {status: count for status, count in fresh.items() if count > 0}


def _row(run: StepRun) -> StepRunRecord:
    return StepRunRecord(
        path=run.key.path,
        host=run.key.host,
        item=run.key.item,
        status=run.status,
        reason=run.detail or (run.reason or ""),
        attempts=run.attempts + run.undo_attempts,
        started_at=run.started_at or None,
        ended_at=run.ended_at or None,
        outputs=run.outputs or None,
        error=run.error or run.undo_error,
        failure_kind=run.failure_kind or "",
    )


def _attempts(
    state: ExecutionState, happened: Happened, extra: Extra
) -> tuple[tuple[AttemptRecord, ...], tuple[AttemptUpdate, ...]]:
    planned: dict[AttemptKey, AttemptRecord] = {}
    updates: dict[AttemptKey, AttemptUpdate] = {}
    for event in happened.events:
        if isinstance(event, e.AttemptPlanned):
            key = attempt_key(state.id, RunKey(event.path, event.host, event.item), event)
            planned[key] = _planned(state, event, key, happened.at, extra.epoch)
        elif isinstance(event, e.AttemptBegun):
            key = attempt_key(state.id, RunKey(event.path, event.host, event.item), event)
            updates[key] = AttemptUpdate(key, RUNNING, started_at=event.started_at or happened.at)
        elif isinstance(event, e.AttemptFinished):
            key = attempt_key(state.id, RunKey(event.path, event.host, event.item), event)
            updates[key] = replace(_finished(event, key, happened.at), expected_epoch=extra.fences.get(key))
        elif isinstance(event, e.CancelSent):
            for run in event.runs:
                if (attempt := state.open.get(run)) is not None:
                    key = AttemptKey(state.id, run.path, run.host, run.item, attempt.kind, attempt.attempt)
                    updates[key] = AttemptUpdate(key, CANCELLING)
    # An attempt that is new in this change has no row to update yet.
    for key in planned.keys() & updates.keys():
        update = updates.pop(key)
        planned[key] = replace(
            planned[key],
            status=update.status,
            started_at=update.started_at,
            ended_at=update.ended_at,
            outcome=update.outcome,
            digest=update.digest,
            evidence=update.evidence,
        )
    return tuple(planned.values()), tuple(updates.values())


def _merged(updates: tuple[AttemptUpdate, ...], more: tuple[AttemptUpdate, ...]) -> tuple[AttemptUpdate, ...]:
    """Return one update for each attempt: a new fence goes along with what happened, unless that was the end."""
    fences = {update.key: update for update in more}
    merged = []
    for update in updates:
        fence = fences.pop(update.key, None)
        ended = update.ended_at is not None
        merged.append(update if fence is None or ended else replace(update, epoch=fence.epoch))
    return (*fences.values(), *merged)


def _planned(state: ExecutionState, event: e.AttemptPlanned, key: AttemptKey, at: int, epoch: int) -> AttemptRecord:
    step = state.step(event.path)
    return AttemptRecord(
        key=key,
        epoch=epoch,
        status=ASSIGNED,
        effect=step.effect,
        step_type=step.type.name if step.type else "",
        parameters=event.parameters,
        created_at=at,
    )


def _finished(event: e.AttemptFinished, key: AttemptKey, at: int) -> AttemptUpdate:
    return AttemptUpdate(
        key,
        ENDED,
        started_at=event.started_at or None,
        ended_at=event.ended_at or at,
        outcome=event.outcome,
        digest=event.digest,
        evidence=event.evidence,
    )
