"""What planning and ending an attempt make of the state."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import OpenAttempt, StepRun
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.engine import compensation, holding
from pilotage_coordinator.engine.closing import (
    run_ended,
)
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.happening.turn import begun

_S = StepRunStatus


def _attempt_planned(draft: Draft, event: e.AttemptPlanned, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    if event.kind is AttemptKind.UNDO:
        _undo_planned(draft, key, event, at)
        return
    begun(draft, key)
    run = draft.runs.get(key)
    parameters = event.parameters
    draft.open_attempt(OpenAttempt(key, event.kind, event.attempt, parameters, planned_at=at))
    if run is None:
        kind = draft.index.steps[key.path].step.kind
        run = StepRun(key, kind, _S.ASSIGNED, attempts=event.attempt, tries=1, parameters=parameters, planned_at=at)
    else:
        draft.unset_timers(key, kind=AttemptKind.RUN)
        run = run._replace(
            status=_S.ASSIGNED,
            reason=None,
            detail="",
            attempts=event.attempt,
            tries=run.tries + 1,
            parameters=parameters,
            planned_at=run.planned_at or at,
            retry_at=0,
            ended_at=0,
            outputs={},
        )
    draft.put(run)
    deadline = draft.index.steps[key.path].step.deadline
    if deadline:
        draft.set_timer(TimerKind.STEP_DEADLINE, key, run.planned_at + deadline)


def _undo_planned(draft: Draft, key: RunKey, event: e.AttemptPlanned, at: int) -> None:
    compensation.begun(draft, key)
    run = draft.runs[key]
    draft.open_attempt(
        OpenAttempt(key, event.kind, event.attempt, event.parameters, outputs=run.outputs, planned_at=at)
    )
    draft.unset_timers(key, kind=AttemptKind.UNDO)
    draft.put(
        run._replace(
            status=_S.COMPENSATING,
            reason=None,
            undo_attempts=event.attempt,
            undo_tries=run.undo_tries + 1,
            retry_at=0,
            undo_error="",
        )
    )


def _attempt_finished(draft: Draft, event: e.AttemptFinished, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    draft.close_attempt(key)
    if event.kind is AttemptKind.UNDO:
        _undo_finished(draft, key, event, at)
        return
    run = draft.runs[key]
    run = run._replace(
        status=event.becomes,
        outputs=event.outputs,
        error=event.error,
        failure_kind=event.failure_kind,
        evidence=event.evidence,
        started_at=event.started_at or run.started_at,
        ended_at=event.ended_at or at,
        retry_at=event.retry_at,
        interruptions=run.interruptions + 1 if event.outcome is Outcome.INTERRUPTED else 0,
    )
    if event.becomes is _S.PENDING:
        draft.put(run._replace(reason=PendingReason.RETRY, ended_at=0))
        draft.set_timer(TimerKind.RETRY, key, event.retry_at)
        return
    draft.unset_timers(key)
    draft.put(run)
    if event.becomes is _S.UNKNOWN:
        holding.hold(draft, key)
    else:
        run_ended(draft, key, at)


def _undo_finished(draft: Draft, key: RunKey, event: e.AttemptFinished, at: int) -> None:
    run = draft.runs[key]._replace(undo_error=event.error, evidence=event.evidence, retry_at=event.retry_at)
    if event.becomes is _S.COMPENSATING:
        draft.put(run._replace(reason=PendingReason.RETRY))
        draft.set_timer(TimerKind.UNDO_RETRY, key, event.retry_at)
        return
    draft.put(run._replace(status=event.becomes, undo_tries=0))
    compensation.ended(draft, event.becomes, f"undo of {key}: {event.error}", at)


HANDLERS: Final[Mapping[type[e.Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        e.AttemptPlanned: _attempt_planned,
        e.AttemptFinished: _attempt_finished,
    }
)
