"""Planning one attempt of a run: on its host if it is there, or at once where the coordinator decides by itself."""

from collections.abc import Mapping
from typing import cast

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import Role, StepInfo
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import GateScope
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.expression.template import texts
from pilotage_coordinator.domain.notification import notification_id
from pilotage_coordinator.domain.plan import FailureKind, Json, OnOffline, Place, PlannedStep
from pilotage_coordinator.domain.planning.drift import value_drift
from pilotage_coordinator.domain.values import SECOND
from pilotage_coordinator.engine import approving, retrying
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.nesting import gate_name
from pilotage_coordinator.engine.scope import variables
from pilotage_coordinator.engine.world import CoordinatorStep, StepOutcome

_S = StepRunStatus

RECONNECT_GRACE = 30 * SECOND
"""How long a host may be away before `on_offline: skip` or `fail` takes it for offline: agents and coordinators are
restarted, and connections break and come back."""


def begin(decision: Decision, key: RunKey) -> None:
    """Plan the next attempt of a run whose turn has come, or hold or end it where its host is away."""
    decision.steps += 1
    draft = decision.draft
    info = draft.index.steps[key.path]
    step = info.step
    run = draft.runs.get(key)
    number = run.attempts + 1 if run is not None else 1
    if step.place is Place.COORDINATOR:
        own = decision.world.coordinator_steps.get(step.type.name) if step.type is not None else None
        if own is not None:
            _decide_here(decision, info, key, own, number)
            return
    elif not decision.world.online(key.host):
        _host_away(decision, info, key)
        return
    try:
        parameters = render(decision, info, key, step.parameters) if info.templated else step.parameters
    except DomainError as error:
        decision.emit(e.RunsSettled((key,), _S.FAILED, str(error), FailureKind.PARAMETER))
        return
    if step.place is not Place.COORDINATOR and (
        _has_drifted(decision, step, key, parameters) or _is_forbidden(decision, info, key, parameters)
    ):
        return
    decision.emit(e.AttemptPlanned(key.path, key.host, key.item, AttemptKind.RUN, number, parameters))


def _has_drifted(decision: Decision, step: PlannedStep, key: RunKey, parameters: Mapping[str, Json]) -> bool:
    """Check a run against its plan (SEMANTICS: Plans). What nobody has accepted yet holds the run and pauses all.

    An execution that ends is not held up for it: its `finally` steps run as they can, but never on another machine.
    """
    draft = decision.draft
    found = decision.world.drift(draft.plan, step, key.host)
    if found is None or found.change in draft.accepted:
        found = value_drift(draft.index.planned, step, key.host, key.item, parameters)
    if found is None or found.change in draft.accepted:
        return False
    if draft.halted:
        if found.other_machine:
            decision.emit(e.RunsSettled((key,), _S.FAILED, found.text, FailureKind.TARGET))
        return found.other_machine
    decision.emit(e.RunHeld(key.path, key.host, key.item, PendingReason.DRIFT))
    decision.emit(e.PauseAsked("", f"drift: {found.text}", found.change))
    return True


def _is_forbidden(decision: Decision, info: StepInfo, key: RunKey, parameters: Mapping[str, Json]) -> bool:
    """Ask the policy once more. What it does not allow now holds the run and pauses all; each resume asks again.

    It holds up what begins, never what puts in order: an execution that ends, `finally` steps, and undo steps go on.
    """
    draft = decision.draft
    if draft.halted or not draft.request or _puts_in_order(decision, info):
        return False
    why = decision.world.forbids(draft.plan, info.step, key.host, parameters, draft.request, decision.now)
    if not why:
        return False
    decision.emit(e.RunHeld(key.path, key.host, key.item, PendingReason.POLICY))
    decision.emit(e.PauseAsked("", f"policy: {why}"))
    return True


def _puts_in_order(decision: Decision, info: StepInfo) -> bool:
    """Return whether a step stands inside a `finally`, or inside what undoes another."""
    steps = decision.draft.index.steps
    while not (info.reverts or info.role is Role.FINALLY):
        around = steps.get(info.frame)
        if around is None:
            return False
        info = around
    return True


def render(decision: Decision, info: StepInfo, key: RunKey, tree: Json) -> dict[str, Json]:
    """Return a tree of templates with the values that the run sees."""
    scope = decision.scope(variables(decision, key, info.call, tree))
    return cast("dict[str, Json]", decision.world.expressions.render(tree, scope))


def _host_away(decision: Decision, info: StepInfo, key: RunKey) -> None:
    step = info.step
    run = decision.draft.runs.get(key)
    gone_for_good = decision.world.away_since(key.host) + RECONNECT_GRACE
    if step.on_offline is OnOffline.WAIT or (run is not None and run.tries):
        until = decision.now + step.offline_deadline if step.offline_deadline else 0
        _await_host(decision, key, until)
    elif decision.now < gone_for_good:
        _await_host(decision, key, gone_for_good)
    elif step.on_offline is OnOffline.SKIP:
        decision.emit(e.RunsSettled((key,), _S.NOT_RUN, f"{key.host} is offline"))
    else:
        decision.emit(e.RunsSettled((key,), _S.FAILED, f"{key.host} is offline", FailureKind.TARGET))


def _await_host(decision: Decision, key: RunKey, until: int) -> None:
    run = decision.draft.runs.get(key)
    if run is None or run.reason is not PendingReason.OFFLINE:
        decision.emit(e.RunHeld(key.path, key.host, key.item, PendingReason.OFFLINE, until))


def _decide_here(decision: Decision, info: StepInfo, key: RunKey, own: CoordinatorStep, number: int) -> None:
    outcome = _outcome(decision, info, key, own)
    if outcome.status == "waiting":
        name = gate_name(decision.draft, outcome.gate or str(key), key)
        decision.emit(e.GateOpened(name, key.path, key.host, key.item, outcome.prompt))
        if outcome.approval is not None:
            approving.ask(decision, name, outcome.approval, GateScope.RUN, key, outcome.prompt)
        return
    status = _S.SUCCEEDED if outcome.status == "succeeded" else _S.FAILED
    outputs = outcome.outputs
    if status is _S.SUCCEEDED and (sent := outcome.notification) is not None:
        notification = notification_id(decision.draft.id, key, number)
        decision.emit(e.NotificationQueued(*key, notification, sent.channel, sent.message.to_json()))
        outputs = {**outputs, "notification": notification}
    retry_at = 0
    kind = outcome.failure_kind
    if status is _S.FAILED:
        kind = kind or FailureKind.STEP
        run = decision.draft.runs.get(key) or StepRun(key, info.step.kind, _S.PENDING)
        retry_at = retrying.next_try(decision.draft.id, info.step, run, number, run.tries + 1, kind, decision.now)
    decision.emit(
        e.RunsSettled(
            (key,),
            _S.PENDING if retry_at else status,
            outcome.error,
            kind,
            outputs,
            attempt=number,
            retry_at=retry_at,
        )
    )


def _outcome(decision: Decision, info: StepInfo, key: RunKey, own: CoordinatorStep) -> StepOutcome:
    step = info.step
    try:
        expressions = decision.world.expressions
        templated = {name: value for name, value in step.parameters.items() if name not in own.raw}
        raw = {name: value for name, value in step.parameters.items() if name in own.raw}
        scope = decision.scope(variables(decision, key, info.call, templated, tuple(texts(raw))))
        rendered = cast("dict[str, Json]", expressions.render(templated, scope))
        return own.decide({**rendered, **raw}, lambda text: expressions.evaluate_condition(text, scope))
    except DomainError as error:
        return StepOutcome("failed", error=str(error), failure_kind=FailureKind.PARAMETER)
