"""From one change to the next, until nothing more follows: duties first, then what may start."""

from collections.abc import Mapping
from typing import cast

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import ROOT
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Phase
from pilotage_coordinator.domain.execution.state import ROOT_KEY
from pilotage_coordinator.domain.execution.states import ExecutionStatus, PendingReason, StepRunStatus
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.engine import attempting, batching, grants, health, reverting, starting
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Duty, Work
from pilotage_coordinator.engine.outcome import body_outcome, final_status, shown_status
from pilotage_coordinator.engine.scope import variables

_S = StepRunStatus


def run(decision: Decision) -> None:
    """Let everything that follows follow, then record the execution's status if it has changed."""
    draft = decision.draft
    while draft.duties or draft.agenda:
        if draft.duties:
            decision.steps += 1
            _do(decision, draft.duties.popleft())
        elif not decision.starting:
            draft.agenda.clear()  # found again by `survey` when the pause ends
        elif decision.spent:
            break
        else:
            decision.steps += 1
            _start(decision, draft.agenda.popleft())
    if ROOT_KEY not in draft.frames or draft.frames[ROOT_KEY].phase is Phase.CLOSED:
        return
    shown = shown_status(draft, going_on=bool(draft.agenda))
    if shown is not draft.status:
        reason = draft.pause_reason if draft.pause_reason is not None else draft.reason
        decision.emit(e.ExecutionMoved(shown, reason))


def _start(decision: Decision, work: Work) -> None:
    match work.kind:
        case "step":
            starting.start_step(decision, work.key)
        case "fan":
            starting.start_hosts(decision, work.key)
        case "loop":
            starting.start_items(decision, work.key)
        case "wave":
            reverting.start_wave(decision)
        case "host":
            _go_on_with(decision, work.key.host)


def _do(decision: Decision, duty: Duty) -> None:
    match duty.kind:
        case "body":
            _body_over(decision)
        case "revert":
            reverting.begin_rollout(decision, duty.key)
        case "return":
            _return(decision, duty.key)
        case "health":
            health.judge(decision, duty.key)
        case "analysis":
            batching.judge(decision, duty.key)
        case "refresh":
            batching.refreshed(decision, duty.key)


def _body_over(decision: Decision) -> None:
    draft = decision.draft
    frame = draft.frames[ROOT_KEY]
    if frame.remaining or draft.rollbacks or frame.phase not in (Phase.BODY, Phase.ROLLBACK):
        return
    if not grants.allowed(draft):
        # Nothing was allowed to begin: neither is there anything to undo, nor to clear away.
        _conclude(decision)
    elif reverting.wanted(decision):
        reverting.begin_all(decision, draft.reason)
    elif any(path not in frame.closed for path in draft.index.frames[ROOT].finally_):
        decision.emit(e.FinallyBegun(body_outcome(draft)))
    else:
        _conclude(decision)


def _return(decision: Decision, key: RunKey) -> None:
    draft = decision.draft
    if draft.frames[key].phase is not Phase.RETURNING:
        return
    if key == ROOT_KEY:
        _conclude(decision)
        return
    step = draft.index.steps[key.path].step
    outputs, error = _outputs(decision, key, key.path, step.outputs)
    decision.emit(e.CallReturned(key.path, key.host, key.item, outputs, error))


def _conclude(decision: Decision) -> None:
    draft = decision.draft
    outputs, error = _outputs(decision, ROOT_KEY, "", draft.plan.outputs)
    status = final_status(draft)
    reason = draft.rollback_failed or draft.reason
    if draft.rollback_unmet:
        reason = f"{draft.reason}; not rolled back, as this does not hold: {draft.rollback_unmet}"
    if error:
        reason = f"{reason}; {error}" if reason else error
    if draft.status is ExecutionStatus.PENDING or draft.status.terminal:
        rolling_back = draft.halted == "rollback"
        decision.emit(
            e.ExecutionMoved(ExecutionStatus.ROLLING_BACK if rolling_back else ExecutionStatus.RUNNING, reason)
        )
    decision.emit(e.ExecutionMoved(status, reason, outputs, warnings=draft.warnings or bool(error)))


def _outputs(decision: Decision, key: RunKey, call: str, templates: Mapping[str, str]) -> tuple[dict[str, Json], str]:
    found: dict[str, Json] = {}
    for name, template in sorted(templates.items()):
        try:
            scope = decision.scope(variables(decision, key, call, template))
            found[name] = cast("Json", decision.world.expressions.render(template, scope))
        except DomainError as error:
            return {}, f"output `{name}`: {error}"
    return found, ""


def survey(decision: Decision) -> None:
    """Put everything that could start on the agenda: after a pause or a restart. O(state)."""
    draft = decision.draft
    for key in sorted(draft.frames):
        frame = draft.frames[key]
        info = draft.index.frames[key.path]
        if frame.phase is Phase.CLOSED:
            continue
        paths = info.finally_ if frame.phase is Phase.FINALLY else () if frame.halted else info.body
        for path in paths:
            dependencies = draft.index.steps[path].step.dependencies
            if path not in frame.closed and all(each in frame.closed for each in dependencies):
                draft.agenda.append(Work("step", RunKey(path, key.host, key.item)))
    draft.agenda += [Work("fan", key) for key in sorted(draft.fans) if draft.fans[key].status is None]
    draft.agenda += [Work("loop", key) for key in sorted(draft.loops) if draft.loops[key].status is None]
    if draft.rollbacks:
        draft.agenda.append(Work("wave", ROOT_KEY))


def look_for(decision: Decision, host: str) -> None:
    """Put on the agenda what waits for a host, if it is there now, and what was held for its drift."""
    decision.draft.agenda.append(Work("host", RunKey("", host)))


def _go_on_with(decision: Decision, host: str) -> None:
    draft = decision.draft
    online = decision.world.online(host)
    for key in sorted(draft.by_host.get(host, ())):
        if not decision.starting:
            return
        found = draft.runs[key]
        held = found.reason in (PendingReason.DRIFT, PendingReason.POLICY)
        if not held and not (online and found.reason is PendingReason.OFFLINE):
            continue
        if found.status is _S.COMPENSATING:
            reverting.begin_undo(decision, key)
        else:
            attempting.begin(decision, key)
        if decision.spent:
            draft.agenda.appendleft(Work("host", RunKey("", host)))
            return
