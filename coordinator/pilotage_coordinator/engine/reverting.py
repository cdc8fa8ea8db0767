"""Starting compensations: of the whole execution, of a rollout's hosts, wave by wave."""

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import ROOT
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.state import ROOT_KEY
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.plan import OnFailure, RolloutFailure
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Work
from pilotage_coordinator.engine.scope import variables

_S = StepRunStatus


def wanted(decision: Decision) -> bool:
    """Return whether the execution's end calls for a rollback that has not been made."""
    draft = decision.draft
    if draft.rolled_back:
        return False
    late = draft.halted == "deadline" and draft.plan.on_failure is OnFailure.ROLLBACK
    return late or draft.halted == "rollback"


def begin_all(decision: Decision, reason: str, by: str = "") -> None:
    """Begin the rollback of the whole execution, if its conditions hold."""
    rollback = decision.draft.plan.rollback
    unmet = unmet_condition(decision)
    actions = rollback is not None and bool(rollback.actions) and not unmet
    decision.emit(e.RollbackBegun(reason, by=by, actions=actions, unmet=unmet))


def unmet_condition(decision: Decision) -> str:
    """Return a condition of the rollback plan that does not hold; empty if all do."""
    rollback = decision.draft.plan.rollback
    for condition in () if rollback is None else rollback.conditions:
        try:
            scope = decision.scope(variables(decision, RunKey(ROOT), "", None, (condition,)))
            if not decision.world.expressions.evaluate_condition(condition, scope):
                return condition
        except DomainError as error:
            return f"{condition}: {error}"
    return ""


def begin_rollout(decision: Decision, key: RunKey) -> None:
    """Begin to revert the hosts of a rollout that was given up, as its `on_failure` says."""
    draft = decision.draft
    fan = draft.fans[key]
    if not fan.revert or any((each.step, each.item) == (key.path, key.item) for each in draft.rollbacks):
        return
    match draft.index.steps[key.path].step.rollout.on_failure:
        case RolloutFailure.REVERT_HOST if not fan.condemned:
            hosts = tuple(sorted(fan.failed))
        case RolloutFailure.REVERT_HOST:
            hosts = tuple(sorted({*fan.failed, *fan.hosts[fan.batch_start : fan.batch_end]}))
        case RolloutFailure.REVERT_BATCH:
            hosts = fan.hosts[fan.batch_start : fan.batch_end]
        case _:
            hosts = tuple(sorted({run.host for run in draft.by_path.get(key.path, ())}))
    decision.emit(e.RollbackBegun(fan.ended, path=key.path, item=key.item, hosts=hosts))


def start_wave(decision: Decision) -> None:
    """Start the compensations of the present wave that have not begun."""
    rollback = decision.draft.rollbacks[0] if decision.draft.rollbacks else None
    if rollback is None or rollback.wave >= len(rollback.waves):
        return
    for key in rollback.waves[rollback.wave]:
        if key not in rollback.waiting:
            continue
        begin_undo(decision, key)
        if decision.spent:
            decision.draft.agenda.appendleft(Work("wave", ROOT_KEY))
            return


def begin_undo(decision: Decision, key: RunKey) -> None:
    """Plan the next attempt to compensate a run, or hold it until its host is back."""
    decision.steps += 1
    draft = decision.draft
    run = draft.runs[key]
    step = draft.index.steps[key.path].step
    if step.undo == "steps":
        decision.emit(e.UndoOpened(key.path, key.host, key.item))
        return
    if not decision.world.online(key.host):
        if run.reason is not PendingReason.OFFLINE:
            until = decision.now + step.offline_deadline if step.offline_deadline else 0
            held = e.RunHeld(key.path, key.host, key.item, PendingReason.OFFLINE, until, AttemptKind.UNDO)
            decision.emit(held)
        return
    drift = decision.world.drift(draft.plan, step, key.host)
    if drift is not None and drift.other_machine:
        decision.emit(e.RunHeld(key.path, key.host, key.item, PendingReason.DRIFT, kind=AttemptKind.UNDO))
        decision.emit(e.CompensationSettled((key,), _S.COMPENSATION_FAILED, drift.text))
        return
    number = run.undo_attempts + 1
    decision.emit(e.AttemptPlanned(key.path, key.host, key.item, AttemptKind.UNDO, number, run.parameters))
