"""What the events of runs and their attempts make of the state."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import GateScope, OpenGate
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.engine import compensation, holding
from pilotage_coordinator.engine.closing import fan_progressed, run_ended
from pilotage_coordinator.engine.draft import Draft, Work
from pilotage_coordinator.engine.happening.turn import begun
from pilotage_coordinator.engine.nesting import fresh_run

_S = StepRunStatus


def _runs_settled(draft: Draft, event: e.RunsSettled, at: int) -> None:
    for key in event.runs:
        begun(draft, key)
        run = fresh_run(draft, key)
        failed = event.status is _S.FAILED or event.retry_at
        run = run._replace(
            status=event.status,
            detail="" if failed else event.reason,
            error=event.reason if failed else "",
            failure_kind=event.failure_kind,
            outputs=event.outputs,
            ended_at=at,
            retry_at=event.retry_at,
            gate="",
        )
        if event.attempt:
            tried = event.attempt > run.attempts
            run = run._replace(
                attempts=event.attempt,
                tries=run.tries + (1 if tried else 0),
                planned_at=run.planned_at or at,
                started_at=at,
            )
        if event.retry_at:
            draft.put(run._replace(reason=PendingReason.RETRY, ended_at=0))
            draft.set_timer(TimerKind.RETRY, key, event.retry_at)
            continue
        draft.unset_timers(key)
        draft.put(run)
        run_ended(draft, key, at)


def _run_held(draft: Draft, event: e.RunHeld, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    if event.kind is AttemptKind.UNDO:
        compensation.begun(draft, key)
        draft.unset_timers(key, kind=AttemptKind.UNDO)
        draft.put(draft.runs[key]._replace(status=_S.COMPENSATING, reason=event.reason, retry_at=0))
    else:
        begun(draft, key)
        draft.set_timer(TimerKind.RETRY, key, 0)
        draft.put(fresh_run(draft, key)._replace(reason=event.reason, retry_at=0))
    draft.set_timer(TimerKind.OFFLINE, key, event.until)


def _gate_opened(draft: Draft, event: e.GateOpened, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    begun(draft, key)
    run = fresh_run(draft, key)
    draft.put(run._replace(reason=PendingReason.GATE, detail=event.prompt, gate=event.name, started_at=at))
    gate = OpenGate(event.name, event.path, event.host, event.item, event.prompt, opened_at=at)
    draft.gates = draft.gates.set(event.name, gate)


def _gate_answered(draft: Draft, event: e.GateAnswered, at: int) -> None:
    gate = draft.gates[event.name]
    draft.close_gate(event.name)
    if gate.scope is GateScope.BATCH:
        batch_answered(draft, gate, at, approved=event.outcome == "approved")


def batch_answered(draft: Draft, gate: OpenGate, at: int, *, approved: bool) -> None:
    """Let a rollout go on past a gate that stood after a batch, or end there."""
    key = RunKey(gate.path, "", gate.item)
    fan = draft.fans[key]
    if fan.doubt != gate.name:
        draft.put_fan(key, fan._replace(gate=""))
        draft.agenda.append(Work("fan", key))
    elif approved:
        draft.put_fan(key, fan._replace(doubt="", analysed=fan.batch))
        fan_progressed(draft, key, at)
    else:
        draft.put_fan(key, fan._replace(doubt="", condemned=True))


def _attempt_begun(draft: Draft, event: e.AttemptBegun, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    draft.open_attempt(draft.open[key]._replace(started=True))
    run = draft.runs[key]
    if run.status is _S.ASSIGNED:
        draft.put(run._replace(status=_S.RUNNING, started_at=event.started_at))


def _cancel_sent(draft: Draft, event: e.CancelSent, at: int) -> None:
    for key in event.runs:
        draft.open_attempt(draft.open[key]._replace(cancel_reason=event.reason))
        draft.cancels = draft.cancels.set(key, None)
        run = draft.runs[key]
        draft.set_timer(TimerKind.STEP_DEADLINE, key, 0)
        draft.put(run._replace(status=_S.CANCELLING, expired=run.expired or event.expired))


def _unknown_settled(draft: Draft, event: e.UnknownSettled, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    holding.release(draft, key)
    run = draft.runs[key]
    if event.as_ == "retry":
        anew = run._replace(tries=0, interruptions=0, planned_at=0, expired=False)
        draft.put(anew._replace(status=_S.PENDING, reason=PendingReason.RETRY, retry_at=at))
        draft.set_timer(TimerKind.RETRY, key, at)
        return
    status = _S.SUCCEEDED if event.as_ == "succeeded" else _S.FAILED
    note = f"resolved by {event.by}" + (f": {event.comment}" if event.comment else "")
    if status is _S.SUCCEEDED:
        run = run._replace(error="", failure_kind=None)
    draft.put(run._replace(status=status, detail=note, ended_at=at))
    run_ended(draft, key, at)


HANDLERS: Final[Mapping[type[e.Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        e.RunsSettled: _runs_settled,
        e.RunHeld: _run_held,
        e.GateOpened: _gate_opened,
        e.GateAnswered: _gate_answered,
        e.AttemptBegun: _attempt_begun,
        e.CancelSent: _cancel_sent,
        e.UnknownSettled: _unknown_settled,
    }
)
