"""What happens when a time comes: retries, waits that end, deadlines."""

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.execution.timers import Timer, TimerKind
from pilotage_coordinator.domain.plan import FailureKind, OnOffline
from pilotage_coordinator.engine import approving, attempting, cascade, health, reverting, stopping
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Draft

_S = StepRunStatus


def first(state: Draft | ExecutionState) -> tuple[int, Timer] | None:
    """Return what time alone changes next, and when (UTC microseconds).

    A pause suspends all but requests for approval: people were told until when they may answer. O(open gates) there,
    else O(1).
    """
    if state.pause_reason is None:
        return state.timers.first()
    timers = (
        Timer(TimerKind.APPROVAL, RunKey(gate.name)) for gate in state.gates.values() if gate.approval is not None
    )
    return min(((state.timers.times[each], each) for each in timers), default=None)


def fire(decision: Decision) -> None:
    """Let everything happen that is due by now. What a bounded decision does not come to is still due after it."""
    draft = decision.draft
    while True:
        due = first(draft)
        if due is None or due[0] > decision.now:
            return
        decision.steps += 1
        kind, key = due[1]
        _fire(decision, kind, key)
        cascade.run(decision)
        if decision.spent:
            return


def _fire(decision: Decision, kind: TimerKind, key: RunKey) -> None:
    draft = decision.draft
    match kind:
        case TimerKind.RETRY:
            attempting.begin(decision, key)
        case TimerKind.UNDO_RETRY:
            reverting.begin_undo(decision, key)
        case TimerKind.OFFLINE:
            _host_never_came(decision, key)
        case TimerKind.STEP_DEADLINE:
            _step_deadline(decision, key)
        case TimerKind.BATCH:
            fan = draft.fans[key]
            if fan.gate:
                decision.emit(e.BatchHeld(key.path, key.item, 0, fan.gate))
            else:
                decision.emit(e.BatchOpened(key.path, key.item, fan.batch + 1))
        case TimerKind.HEALTH:
            decision.emit(e.HealthRoundOpened(*key))
        case TimerKind.HEALTH_DEADLINE:
            health.too_late(decision, key)
        case TimerKind.EXECUTION_DEADLINE:
            stopping.halt(decision, "deadline", "the execution's deadline passed")
        case TimerKind.APPROVAL:
            approving.time_passed(decision, key.path)


def _host_never_came(decision: Decision, key: RunKey) -> None:
    run = decision.draft.runs[key]
    policy = decision.draft.index.steps[key.path].step.on_offline
    if policy is OnOffline.WAIT or run.tries:
        reason = f"{key.host} was offline for longer than offline_deadline"
    else:
        reason = f"{key.host} is offline"
    if run.status is _S.COMPENSATING:
        decision.emit(e.CompensationSettled((key,), _S.COMPENSATION_FAILED, reason))
    elif policy is OnOffline.SKIP and not run.tries:
        decision.emit(e.RunsSettled((key,), _S.NOT_RUN, reason))
    else:
        decision.emit(e.RunsSettled((key,), _S.FAILED, reason, FailureKind.TARGET))


def _step_deadline(decision: Decision, key: RunKey) -> None:
    draft = decision.draft
    reason = f"the deadline of {key.path} passed"
    if key in draft.open:
        decision.emit(e.CancelSent((key,), reason, expired=True))
    else:
        decision.emit(e.RunsSettled((key,), _S.FAILED, reason, FailureKind.STEP))
