"""How ends travel outwards: a run ends its loop's item, its fan's host, its frame's step, and so on to the execution.

Part of the fold: pure arithmetic on counters, no expression is evaluated and no time is read. What an end makes
possible goes to the draft's agenda; what it makes necessary, to its duties.
"""

from collections.abc import Iterable

from pilotage_coordinator.domain.execution.index import ROOT, PlanIndex, Role, StepInfo
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, Frame, Phase, Tally
from pilotage_coordinator.domain.execution.state import ROOT_KEY
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.plan import StepKind
from pilotage_coordinator.engine import failure
from pilotage_coordinator.engine.draft import Draft, Duty, Work
from pilotage_coordinator.engine.nesting import fan_key, frame_key, fresh_run, loop_key, without

_S = StepRunStatus


def run_ended(draft: Draft, key: RunKey, at: int) -> None:
    """Carry the end of a run outwards; its final status is already stored."""
    info = draft.index.steps[key.path]
    run = draft.runs[key]
    draft.sequence += 1
    draft.runs = draft.runs.set(key, run._replace(sequence=draft.sequence))
    if info.loops and key.item:
        key = _item_ended(draft, key, run.status, at)
        loop_progressed(draft, key, at)
    else:
        unit_ended(draft, key, run.status, at)


def _item_ended(draft: Draft, key: RunKey, status: StepRunStatus, at: int) -> RunKey:
    where = loop_key(key)
    loop = draft.loops[where]
    running = without(loop.running, key.item)
    ended = loop.ended
    if status is _S.FAILED and not ended and failure.matters(draft.index.steps[key.path].step):
        ended = f"{key} failed"
    draft.put_loop(where, loop._replace(running=running, tally=loop.tally.plus(status), ended=ended))
    return where


def loop_progressed(draft: Draft, key: RunKey, at: int) -> None:
    """End a loop whose items have all ended; else see whether more can start."""
    loop = draft.loops[key]
    if loop.status is not None:
        return
    rest = len(loop.keys) - loop.cursor
    if loop.running or (rest and not loop.ended):
        draft.agenda.append(Work("loop", key))
        return
    tally = loop.tally.plus(_S.NOT_RUN, rest)
    status = _loop_status(tally)
    draft.put_loop(key, loop._replace(tally=tally, cursor=len(loop.keys), status=status))
    unit_ended(draft, key, status, at)


def unit_ended(draft: Draft, key: RunKey, status: StepRunStatus, at: int) -> None:
    """Carry the end of a step on one host outwards: to its fan, or to its frame."""
    info = draft.index.steps[key.path]
    if status in (_S.FAILED, _S.NOT_RUN) and not info.checks:
        draft.warnings = True
    if not info.fans:
        if status is _S.FAILED:
            failure.happened(draft, key)
        step_ended(draft, frame_key(draft.index, key), key.path, status, at)
        return
    where = fan_key(draft.index, key)
    fan = draft.fans[where]
    draft.put_fan(
        where,
        fan._replace(
            running=without(fan.running, key.host),
            held=without(fan.held, key.host),
            tally=fan.tally.plus(status),
            failed=fan.failed.set(key.host, None) if status is _S.FAILED else fan.failed,
        ),
    )
    if status is _S.FAILED:
        failure.happened(draft, key)
    fan_progressed(draft, where, at)


def fan_progressed(draft: Draft, key: RunKey, at: int) -> None:
    """End a fan whose hosts have all ended; else see whether more can start."""
    fan = draft.fans[key]
    if fan.status is not None:
        return
    rest = fan.hosts[fan.cursor :]
    if fan.running or fan.held or not _may_end(draft, key, fan):
        draft.agenda.append(Work("fan", key))
        return
    if rest:
        info = draft.index.steps[key.path]
        for host in rest:
            unit = RunKey(key.path, host, key.item)
            draft.put(fresh_run(draft, unit)._replace(status=_S.NOT_RUN, detail=fan.ended, ended_at=at))
        fan = fan._replace(cursor=len(fan.hosts), tally=fan.tally.plus(_S.NOT_RUN, len(rest)))
        draft.put_fan(key, fan)
    if fan.revert:
        draft.duties.append(Duty("revert", key))
        return
    status = _fan_status(fan)
    draft.close_gate(fan.gate)
    draft.put_fan(key, fan._replace(status=status))
    info = draft.index.steps[key.path]
    step_ended(draft, RunKey(info.frame, "", key.item), key.path, status, at)


def _may_end(draft: Draft, key: RunKey, fan: Fan) -> bool:
    """Return whether no host is to start any more, and no batch is to be judged."""
    if fan.ordering or fan.analysing:
        return False
    return bool(fan.ended) or (fan.cursor == len(fan.hosts) and not awaits_analysis(draft.index, key, fan))


def awaits_analysis(index: PlanIndex, key: RunKey, fan: Fan) -> bool:
    """Return whether the hosts of a fan's batch have all begun, and the batch is still to be judged."""
    begun = fan.cursor == fan.batch_end > fan.batch_start
    return begun and fan.analysed < fan.batch and bool(index.steps[key.path].step.rollout.analysis)


def step_ended(draft: Draft, key: RunKey, path: str, status: StepRunStatus, at: int) -> None:
    """Carry the end of a step, on all its hosts and items, to its frame; free what depended on it."""
    stack = [(path, status)]
    frame = draft.frames[key]
    while stack:
        path, status = stack.pop()
        if path in frame.closed:
            continue
        info = draft.index.steps[path]
        frame = _counted(draft, frame, info, status)
        stack += _freed(draft, key, frame, info.dependents)
    draft.put_frame(key, frame)
    if frame.remaining == 0:
        _frame_over(draft, key, frame, at)


def _counted(draft: Draft, frame: Frame, info: StepInfo, status: StepRunStatus) -> Frame:
    closed = frame.closed.set(info.step.path, status)
    if info.role is Role.BODY:
        return frame._replace(closed=closed, remaining=frame.remaining - 1, tally=frame.tally.plus(status))
    failed = frame.finally_failed or (status is _S.FAILED and failure.matters(info.step))
    return frame._replace(closed=closed, remaining=frame.remaining - 1, finally_failed=failed)


def _freed(draft: Draft, key: RunKey, frame: Frame, dependents: Iterable[str]) -> "list[tuple[str, StepRunStatus]]":
    adopted: list[tuple[str, StepRunStatus]] = []
    for path in dependents:
        here = RunKey(path, key.host, key.item)
        count = len(draft.index.steps[path].step.dependencies)
        if count > 1:
            left = draft.waits.get(here, count) - 1
            draft.waits = draft.waits.set(here, left) if left else draft.waits.delete(here)
            if left:
                continue
        adopted += _came_up(draft, here, frame)
    return adopted


def _came_up(draft: Draft, here: RunKey, frame: Frame) -> "list[tuple[str, StepRunStatus]]":
    if here.path in frame.closed:
        return []
    info = draft.index.steps[here.path]
    if here in draft.kept and not info.fans and not (info.loops and here.item):
        draft.kept = draft.kept.delete(here)
        return [(here.path, draft.runs[here].status)]
    draft.agenda.append(Work("step", here))
    return []


def open_frame(draft: Draft, key: RunKey, frame: Frame, at: int) -> None:
    """Begin a frame: its first steps come up."""
    body = draft.index.frames[key.path]
    _begin_phase(draft, key, frame._replace(phase=Phase.BODY, remaining=len(body.body)), body.first, at)


def begin_finally(draft: Draft, key: RunKey, at: int) -> None:
    """Begin a frame's `finally` steps."""
    body = draft.index.frames[key.path]
    frame = draft.frames[key]._replace(phase=Phase.FINALLY, remaining=len(body.finally_))
    _begin_phase(draft, key, frame, body.first_finally, at)


def _begin_phase(draft: Draft, key: RunKey, frame: Frame, first: tuple[str, ...], at: int) -> None:
    draft.put_frame(key, frame)
    adopted = [pair for path in first for pair in _came_up(draft, RunKey(path, key.host, key.item), frame)]
    for path, status in adopted:
        step_ended(draft, key, path, status, at)
    if not draft.index.frames[key.path].body and frame.remaining == 0:
        _frame_over(draft, key, frame, at)


def _frame_over(draft: Draft, key: RunKey, frame: Frame, at: int) -> None:
    if frame.phase is Phase.BODY and key.path == ROOT:
        draft.duties.append(Duty("body", ROOT_KEY))
    elif frame.phase is Phase.BODY and draft.index.frames[key.path].finally_:
        begin_finally(draft, key, at)
    elif _kind(draft, key.path) is StepKind.HEALTH:
        draft.put_frame(key, frame._replace(phase=Phase.RETURNING))
        draft.duties.append(Duty("health", key))
    elif key.path == ROOT or _kind(draft, key.path) is StepKind.CALL:
        draft.put_frame(key, frame._replace(phase=Phase.RETURNING))
        draft.duties.append(Duty("return", key))
    else:
        draft.put_frame(key, frame._replace(phase=Phase.CLOSED))
        if key.path in draft.index.steps:
            draft.put(draft.runs[key]._replace(status=frame_status(frame), ended_at=at))
            run_ended(draft, key, at)
        else:
            draft.returned.append(key)


def _kind(draft: Draft, path: str) -> StepKind | None:
    info = draft.index.steps.get(path)
    return None if info is None else info.step.kind


def frame_status(frame: Frame) -> StepRunStatus:
    """Return how a frame ended as a whole."""
    tally = frame.tally
    if tally.failed or frame.finally_failed:
        return _S.FAILED
    if tally.cancelled:
        return _S.CANCELLED
    return _S.NOT_RUN if tally.not_run else _S.SUCCEEDED


def _loop_status(tally: Tally) -> StepRunStatus:
    if tally.failed:
        return _S.FAILED
    if tally.cancelled:
        return _S.CANCELLED
    if tally.not_run:
        return _S.NOT_RUN
    return _S.SKIPPED if tally.skipped and not tally.succeeded else _S.SUCCEEDED


def _fan_status(fan: Fan) -> StepRunStatus:
    tally = fan.tally
    if fan.defeated or (tally.failed and (fan.max_failures < 0 or tally.failed > fan.max_failures)):
        return _S.FAILED
    if tally.cancelled:
        return _S.CANCELLED
    if fan.ended and tally.not_run:
        return _S.NOT_RUN
    if tally.succeeded:
        return _S.SUCCEEDED
    if tally.skipped and not tally.not_run and not tally.failed:
        return _S.SKIPPED
    return _S.NOT_RUN if tally.not_run else _S.FAILED if tally.failed else _S.SUCCEEDED
