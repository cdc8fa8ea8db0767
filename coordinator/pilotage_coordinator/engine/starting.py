"""Starting what may start: a step in its frame, the next hosts of a fan, the next items of a loop."""

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import Role, StepInfo, refreshed_by
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Phase
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.plan import FailureKind, Json, StepKind
from pilotage_coordinator.domain.planning.arguments import begin_arguments
from pilotage_coordinator.domain.planning.items import item_keys, read_items
from pilotage_coordinator.engine import approving, attempting, batching
from pilotage_coordinator.engine.choosing import hosts_from, succeeded_on
from pilotage_coordinator.engine.closing import awaits_analysis
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Work
from pilotage_coordinator.engine.nesting import fan_key, frame_key
from pilotage_coordinator.engine.scope import variables

_S = StepRunStatus


def start_step(decision: Decision, key: RunKey) -> None:
    """Open a step whose turn has come in its frame; nothing if it has begun or its frame takes no more steps."""
    draft = decision.draft
    info = draft.index.steps[key.path]
    frame = draft.frames.get(frame_key(draft.index, key))
    if frame is None:
        return
    expected = Phase.BODY if info.role is Role.BODY else Phase.FINALLY
    if key.path in frame.closed or frame.phase is not expected or has_begun(decision, info, key):
        return
    if not approving.may_begin(decision, key):
        return
    if not info.fans:
        unmet = _unmet(decision, info, key, key.host)
        if unmet:
            decision.emit(e.RunsSettled((key,), _S.NOT_RUN, f"{unmet} did not succeed"))
            return
        waits, denial = approving.held(decision, key, (key.host,))
        if denial:
            decision.emit(e.RunsSettled((key,), _S.FAILED, f"not approved: {denial}", FailureKind.APPROVAL))
        elif not waits:
            start_unit(decision, key)
        return
    try:
        hosts = _hosts(decision, info, key)
    except DomainError as error:
        decision.emit(e.StepOpened(key.path, key.item, ()))
        decision.emit(e.RolloutEnded(key.path, key.item, str(error)))
        return
    dropped = tuple(host for host in hosts if _unmet(decision, info, key, host))
    gone = frozenset(dropped)
    left = tuple(host for host in hosts if host not in gone)
    waits, denial = approving.held(decision, key, left)
    if waits:
        return
    decision.emit(e.StepOpened(key.path, key.item, left, dropped))
    if denial:
        decision.emit(e.RolloutEnded(key.path, key.item, f"not approved: {denial}"))


def _hosts(decision: Decision, info: StepInfo, key: RunKey) -> tuple[str, ...]:
    """Return the hosts of a step; of one that a rollout's order depends on, those where that has not begun."""
    draft = decision.draft
    step = info.step
    hosts = step.hosts if step.hosts_from is None else hosts_from(draft, step, key.item, decision.world.hosts)
    rollout = refreshed_by(info.frame)
    if not rollout or step.run_once:
        return hosts
    fan = draft.fans[RunKey(rollout, "", key.item)]
    left = frozenset(fan.hosts[fan.cursor :])
    return tuple(host for host in hosts if host in left)


def has_begun(decision: Decision, info: StepInfo, key: RunKey) -> bool:
    """Return whether a step has begun in its frame."""
    draft = decision.draft
    if info.fans:
        return fan_key(draft.index, key) in draft.fans
    if info.loops and RunKey(key.path, key.host) in draft.loops:
        return True
    run = draft.runs.get(key)
    return run is not None and not (
        run.status is _S.PENDING
        and run.reason in (PendingReason.DEPENDENCY, PendingReason.ROLLOUT, PendingReason.APPROVAL)
    )


def _unmet(decision: Decision, info: StepInfo, key: RunKey, host: str) -> str:
    """Return a dependency that keeps the step from running on a host; empty if there is none."""
    draft = decision.draft
    closed = draft.frames[frame_key(draft.index, key)].closed
    for path in info.step.dependencies:
        status = closed[path]
        if draft.index.steps[path].fans and host:
            loop = draft.loops.get(RunKey(path, host))
            run = draft.runs.get(RunKey(path, host, key.item))
            own = loop.status if loop is not None else run.status if run is not None else None
            status = own if own is not None else status
        if not status.satisfies:
            return path
    return ""


def start_hosts(decision: Decision, key: RunKey) -> None:
    """Start as many hosts of a fan as its batch, its window and its failures allow."""
    draft = decision.draft
    while decision.starting:
        decision.steps += 1
        fan = draft.fans.get(key)
        if fan is None or fan.status is not None or fan.ended or fan.ordering or fan.analysing or fan.doubt:
            return
        if 0 <= fan.max_failures < fan.tally.failed + len(fan.held):
            return
        if awaits_analysis(draft.index, key, fan) and not fan.running:
            decision.emit(e.AnalysisBegun(key.path, key.item))
            return
        if fan.cursor >= len(fan.hosts):
            return
        if fan.cursor == fan.batch_end:
            if fan.running or not batching.next_batch(decision, key, fan):
                return
            continue
        if batching.awaits_order(draft, key, fan):
            if not batching.order(decision, key, fan):
                return
            continue
        if fan.max_parallel and len(fan.running) >= fan.max_parallel:
            return
        start_unit(decision, RunKey(key.path, fan.hosts[fan.cursor], key.item))
        if decision.spent:
            draft.agenda.appendleft(Work("fan", key))
            return


def start_items(decision: Decision, key: RunKey) -> None:
    """Start as many items of a loop as its window allows."""
    draft = decision.draft
    while decision.starting:
        decision.steps += 1
        loop = draft.loops.get(key)
        if loop is None or loop.status is not None or loop.ended or loop.unknown or loop.cursor >= len(loop.keys):
            return
        if loop.max_parallel and len(loop.running) >= loop.max_parallel:
            return
        start_body(decision, RunKey(key.path, key.host, loop.keys[loop.cursor]))
        if decision.spent:
            draft.agenda.appendleft(Work("loop", key))
            return


def start_unit(decision: Decision, key: RunKey) -> None:
    """Start a step on one host (or on the coordinator): its condition, its items, or its body at once."""
    info = decision.draft.index.steps[key.path]
    unmeant = _unmeant(decision, info, key)
    if unmeant:
        decision.emit(e.RunsSettled((key,), _S.SKIPPED, unmeant))
        return
    if not info.when_per_item and not _condition_holds(decision, info, key, None):
        return
    if info.loops:
        _open_loop(decision, info, key)
    else:
        start_body(decision, key)


def _unmeant(decision: Decision, info: StepInfo, key: RunKey) -> str:
    """Return why a step inside a group is not meant for its group's host; empty where it is."""
    step = info.step
    if not info.on_host:
        return ""
    if step.hosts and key.host not in step.hosts:
        return f"{key.host} is not among its targets"
    if step.hosts_from is not None and not succeeded_on(decision.draft, step.hosts_from, key):
        return f"{step.hosts_from.path} did not succeed on {key.host}, or the step excludes it"
    return ""


def start_body(decision: Decision, key: RunKey) -> None:
    """Start the work itself: a leaf's attempt, or a frame."""
    info = decision.draft.index.steps[key.path]
    if info.when_per_item and not _condition_holds(decision, info, key, _item(decision, info, key)):
        return
    if info.step.kind is StepKind.LEAF:
        attempting.begin(decision, key)
    elif info.step.kind is StepKind.CALL and info.step.parameters:
        _begin_call(decision, info, key)
    else:
        decision.emit(e.FrameOpened(key.path, key.host, key.item))


def _begin_call(decision: Decision, info: StepInfo, key: RunKey) -> None:
    step, planned = info.step, decision.draft.index.planned
    try:
        seen = variables(decision, key, info.call, dict(step.parameters), item=_item(decision, info, key))
        scope = decision.scope(seen)
        arguments = begin_arguments(step, planned, key.host, key.item, decision.world.expressions, scope)
    except DomainError as error:
        decision.emit(e.RunsSettled((key,), _S.FAILED, str(error), FailureKind.PARAMETER))
        return
    decision.emit(e.FrameOpened(key.path, key.host, key.item, arguments))


def _item(decision: Decision, info: StepInfo, key: RunKey) -> tuple[str, Json] | None:
    loop = decision.draft.loops.get(RunKey(key.path, key.host)) if info.loops else None
    return None if loop is None else (key.item, loop.values[key.item])


def _condition_holds(decision: Decision, info: StepInfo, key: RunKey, item: tuple[str, Json] | None) -> bool:
    when = info.step.when
    if not when:
        return True
    try:
        scope = decision.scope(variables(decision, key, info.call, None, (when,), item))
        if decision.world.expressions.evaluate_condition(when, scope):
            return _was_asked(decision, key)
    except DomainError as error:
        decision.emit(e.RunsSettled((key,), _S.FAILED, f"when: {error}", FailureKind.PARAMETER))
        return False
    decision.emit(e.RunsSettled((key,), _S.SKIPPED, f"when: {when}"))
    return False


def _was_asked(decision: Decision, key: RunKey) -> bool:
    """Return whether a step may run although its condition did not hold when it was planned."""
    if not approving.unasked(decision.draft, key.path):
        return True
    why = "its `when` did not hold when this was planned and does now, and nobody was asked to approve it: plan it anew"
    decision.emit(e.RunsSettled((key,), _S.FAILED, why, FailureKind.APPROVAL))
    return False


def _open_loop(decision: Decision, info: StepInfo, key: RunKey) -> None:
    step = info.step
    expressions = decision.world.expressions
    try:
        seen = variables(decision, key, info.call, (step.for_each, step.key))
        planned: object = step.planned_items.get(key.host)
        if planned is None:
            planned = expressions.render(step.for_each, decision.scope(seen))
        items = read_items(planned, step.max_items)
        keys = item_keys(items, step.key, expressions, seen)
    except DomainError as error:
        decision.emit(e.RunsSettled((key,), _S.FAILED, str(error), FailureKind.PARAMETER))
        return
    decision.emit(e.LoopOpened(key.path, key.host, tuple(zip(keys, items, strict=True))))
