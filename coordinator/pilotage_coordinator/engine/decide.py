"""One input becomes events: the only way in which an execution changes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from pilotage_proto.attempt import AttemptKey, AttemptKind

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.execution.index import ROOT
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import GateScope, Phase
from pilotage_coordinator.domain.execution.state import ROOT_KEY, ExecutionState
from pilotage_coordinator.domain.execution.states import ExecutionStatus, StepRunStatus
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.engine import (
    approving,
    cascade,
    grants,
    health,
    reopening,
    reverting,
    stopping,
    timing,
    verdict,
)
from pilotage_coordinator.engine.admission import admit
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Draft, Work
from pilotage_coordinator.engine.nesting import frame_key
from pilotage_coordinator.engine.world import World

_E = ExecutionStatus
_S = StepRunStatus


@dataclass(frozen=True, slots=True)
class Reaction:
    """What one input led to."""

    events: tuple[e.Event, ...]
    state: ExecutionState
    """After the events: equal to what folding them gives."""
    touched: tuple[RunKey, ...]
    """Every step run that is another than before, in the order of first change."""
    steps: int
    """How many things the decision looked at: a measure of its cost that no clock blurs."""
    left: tuple[Work, ...] = ()
    """What a bounded decision did not come to: to be given to the next one. `Continue(anew=True)` finds it again."""


def react(
    state: ExecutionState, input: i.Input, now: int, world: World, *, left: Iterable[Work] = (), most: int = 0
) -> Reaction:
    """Decide what an input at `now` (UTC microseconds) leads to; raise Refused when the state cannot take it.

    `left`: what an earlier decision has left; it goes before what the input makes possible. `most`: after how many
    steps nothing more is started, so that a large plan does not keep everything else waiting; 0 is no bound. What must
    follow from the input itself always does.
    """
    decision = Decision(Draft(state), now, world, most=most)
    admit(decision.draft, input)
    decision.draft.agenda.extend(left)
    _HANDLERS[type(input)](decision, input)
    cascade.run(decision)
    if not decision.draft.status.terminal:
        timing.fire(decision)
        cascade.run(decision)
    draft = decision.draft
    left = () if draft.status.terminal else tuple(draft.agenda)
    if not decision.events:
        return Reaction((), state, (), decision.steps, left)
    return Reaction(tuple(decision.events), draft.freeze(), tuple(draft.touched), decision.steps, left)


def decide(state: ExecutionState, input: i.Input, now: int, world: World) -> tuple[e.Event, ...]:
    """Return the events that an input leads to, everything that follows included. See `react`."""
    return react(state, input, now, world).events


def _begin(decision: Decision, input: i.Begin) -> None:
    decision.emit(e.ExecutionBegun(input.seed, input.requested_by, input.request))


def _open_attempt(draft: Draft, key: AttemptKey) -> RunKey | None:
    run = RunKey(key.path, key.host, key.item)
    attempt = draft.open.get(run)
    known = attempt is not None and (attempt.kind, attempt.attempt) == (key.kind, key.attempt)
    return run if known and key.execution == draft.id else None


def _attempt_started(decision: Decision, input: i.AttemptStarted) -> None:
    key = _open_attempt(decision.draft, input.key)
    if key is None or decision.draft.open[key].started:
        return
    attempt = input.key
    decision.emit(e.AttemptBegun(*key, attempt.kind, attempt.attempt, input.started_at))


def _attempt_ended(decision: Decision, input: i.AttemptEnded) -> None:
    draft, report = decision.draft, input.report
    key = _open_attempt(draft, report.key)
    if key is None:
        return
    attempt, run = draft.open[key], draft.runs[key]
    judge = verdict.of_run if attempt.kind is AttemptKind.RUN else verdict.of_undo
    found = judge(draft.id, draft.index.steps[key.path].step, run, attempt, report, decision.now)
    if found.retry_at and attempt.kind is AttemptKind.RUN and (halted := _halted(draft, key)):
        found = replace(found, becomes=_S.FAILED, error=f"{found.error}; not tried again: {halted}", retry_at=0)
    decision.emit(
        e.AttemptFinished(
            *key,
            attempt.kind,
            attempt.attempt,
            report.outcome,
            found.becomes,
            report.outputs,
            found.failure_kind,
            found.error,
            report.digest,
            report.started_at,
            report.ended_at,
            report.evidence,
            found.retry_at,
        )
    )


def _halted(draft: Draft, key: RunKey) -> str:
    """Return why nothing new starts where a run stands; empty while it does."""
    frame = draft.frames[frame_key(draft.index, key)]
    return frame.halt_reason or str(frame.halted) if frame.phase is Phase.BODY and frame.halted else ""


def _host_changed(decision: Decision, input: i.HostChanged) -> None:
    if not decision.draft.status.terminal:
        cascade.look_for(decision, input.host)


def _tick(decision: Decision, input: i.Tick) -> None:
    """Time alone: what is due is looked at after every input."""


def _recovered(decision: Decision, input: i.Recovered) -> None:
    draft = decision.draft
    if draft.status.terminal or ROOT_KEY not in draft.frames:
        return
    health.restart(decision)
    _look_everywhere(decision)


def _continue(decision: Decision, input: i.Continue) -> None:
    draft = decision.draft
    if input.anew and not draft.status.terminal and ROOT_KEY in draft.frames:
        _look_everywhere(decision)


def _look_everywhere(decision: Decision) -> None:
    cascade.survey(decision)
    for host in sorted(decision.draft.by_host):
        cascade.look_for(decision, host)


def _delivery_given_up(decision: Decision, input: i.DeliveryGivenUp) -> None:
    decision.emit(e.NotificationGivenUp(input.notification, input.channel, input.attempts, input.error))


def _pause(decision: Decision, input: i.PauseRequested) -> None:
    if decision.draft.pause_reason is None or input.anew:
        decision.emit(e.PauseAsked(input.by, input.reason, decision.draft.pause_change))


def _drift(decision: Decision, input: i.Drift) -> None:
    if decision.draft.pause_reason is None:
        decision.emit(e.PauseAsked("", f"drift: {input.reason}"))


def _resume(decision: Decision, input: i.ResumeRequested) -> None:
    # A rollback can be neither cancelled nor planned anew: there, whoever may resume it answers for going on.
    if decision.draft.pause_change and decision.draft.index.asks and not _is_rolled_back(decision.draft):
        raise Refused(
            f"{decision.draft.id} cannot be resumed: {decision.draft.pause_reason}. What was approved is its plan as it"
            " was, so nobody can accept this for those who approved it. Cancel it or roll it back, and plan anew."
        )
    decision.emit(e.ResumeAsked(input.by))
    # What was held goes before what is new: the next host may have drifted too, and pause again.
    for host in sorted(decision.draft.by_host):
        cascade.look_for(decision, host)
    _recovered(decision, i.Recovered())


def _is_rolled_back(draft: Draft) -> bool:
    """Whether the execution as a whole is being rolled back."""
    return bool(draft.rollbacks) and not draft.rollbacks[0].step


def _cancel(decision: Decision, input: i.CancelRequested) -> None:
    draft = decision.draft
    reason = input.reason or f"cancelled by {input.by}"
    if draft.status is _E.PENDING:
        decision.emit(e.ExecutionMoved(_E.CANCELLED, reason))
        return
    if _is_rolled_back(draft):
        raise Refused(f"{draft.id} cannot be cancelled: it is being rolled back. Pause it instead.")
    again = draft.halted == "cancel" or draft.status is _E.FINISHING
    paused = not decision.starting
    stopping.halt(decision, "cancel", reason, input.by, everything=again)
    if paused:
        _recovered(decision, i.Recovered())


def _gate_released(decision: Decision, input: i.GateReleased) -> None:
    draft = decision.draft
    gate = draft.gates.get(input.name)
    if gate is None:
        waiting = ", ".join(sorted(draft.gates)) or "none"
        raise Refused(f"{draft.id} has no closed gate `{input.name}`. Gates that wait: {waiting}.")
    decision.emit(e.GateAnswered(input.name, input.by, input.outcome, input.comment))
    denial = f"{input.name} was denied by {input.by}" + (f": {input.comment}" if input.comment else "")
    if gate.approval is not None:
        raise Refused(
            f"{input.name} of {draft.id} is an approval: answer it with `pilotage approval approve"
            f" {gate.approval.id}`, or reject it"
        )
    if gate.scope is GateScope.BATCH:
        if input.outcome == "denied":
            decision.emit(e.RolloutEnded(gate.path, gate.item, denial))
        return
    key = RunKey(gate.path, gate.host, gate.item)
    number = draft.runs[key].attempts + 1
    if input.outcome == "approved":
        outputs = {"by": input.by, "comment": input.comment}
        decision.emit(e.RunsSettled((key,), _S.SUCCEEDED, outputs=outputs, attempt=number))
    else:
        decision.emit(e.RunsSettled((key,), _S.FAILED, denial, FailureKind.APPROVAL, attempt=number))


def _approval_answered(decision: Decision, input: i.ApprovalAnswered) -> None:
    approving.answered(decision, input)


def _approval_withdrawn(decision: Decision, input: i.ApprovalWithdrawn) -> None:
    approving.withdrawn(decision, input)


def _unknown_resolved(decision: Decision, input: i.UnknownResolved) -> None:
    draft = decision.draft
    if input.key not in draft.unknown:
        unknown = "; ".join(str(key) for key in sorted(draft.unknown)[:10]) or "none"
        raise Refused(f"{input.key} is not unknown in {draft.id}. Unknown runs: {unknown}.")
    if input.as_ == "retry" and (halted := _halted(draft, input.key)):
        raise Refused(
            f"{input.key} cannot be tried again: nothing new starts there ({halted})."
            " Resolve it as failed or succeeded, then use `run retry`."
        )
    decision.emit(e.UnknownSettled(*input.key, input.as_, input.by, input.comment))


def _retry_failed(decision: Decision, input: i.RetryFailed) -> None:
    draft = decision.draft
    if draft.status is _E.COMPLETED and not draft.warnings:
        raise Refused(f"{draft.id} has nothing to retry: every step succeeded. Start a new execution instead.")
    decision.emit(e.ExecutionReopened(input.by))


def _rerun_from(decision: Decision, input: i.RerunFrom) -> None:
    draft = decision.draft
    info = draft.index.steps.get(input.step)
    if info is None or reopening.in_finally(draft.index, input.step) or "!" in _outermost(draft, input.step):
        raise Refused(
            f"{draft.id} has no step `{input.step}` to run from. Give the path of a step, as the plan shows it."
        )
    decision.emit(e.ExecutionReopened(input.by, input.step))


def _outermost(draft: Draft, path: str) -> str:
    while path in draft.index.steps:
        path = draft.index.steps[path].frame
    return path


def _rollback(decision: Decision, input: i.RollbackRequested) -> None:
    draft = decision.draft
    reason = input.reason or f"rollback asked by {input.by}"
    if ROOT_KEY not in draft.frames:
        raise Refused(f"{draft.id} cannot be rolled back: it never began.")
    if not grants.allowed(draft) and not any(run.attempts for run in draft.runs.values()):
        raise Refused(f"{draft.id} cannot be rolled back: nothing of it was ever approved, so nothing was done.")
    if draft.status.terminal:
        unmet = reverting.unmet_condition(decision)
        if unmet:
            raise Refused(f"{draft.id} cannot be rolled back: a condition of its rollback plan does not hold: {unmet}.")
        reverting.begin_all(decision, reason, input.by)
        return
    paused = not decision.starting
    if paused:
        decision.emit(e.ResumeAsked(input.by))
    decision.emit(e.FrameHalted(ROOT, "", "", "rollback", reason, input.by))
    if paused:
        _recovered(decision, i.Recovered())


_HANDLERS: Final[dict[type[i.Input], Callable[[Decision, Any], None]]] = {
    i.Begin: _begin,
    i.AttemptStarted: _attempt_started,
    i.AttemptEnded: _attempt_ended,
    i.HostChanged: _host_changed,
    i.Tick: _tick,
    i.Recovered: _recovered,
    i.Continue: _continue,
    i.DeliveryGivenUp: _delivery_given_up,
    i.PauseRequested: _pause,
    i.Drift: _drift,
    i.ResumeRequested: _resume,
    i.CancelRequested: _cancel,
    i.GateReleased: _gate_released,
    i.ApprovalAnswered: _approval_answered,
    i.ApprovalWithdrawn: _approval_withdrawn,
    i.UnknownResolved: _unknown_resolved,
    i.RetryFailed: _retry_failed,
    i.RerunFrom: _rerun_from,
    i.RollbackRequested: _rollback,
}
