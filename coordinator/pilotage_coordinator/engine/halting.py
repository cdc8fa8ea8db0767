"""Settling what is pending inside a frame that was halted: part of the fold, run once per halted frame."""

from pilotage_coordinator.domain.execution.events import HaltCause
from pilotage_coordinator.domain.execution.index import analysis_frame, refresh_frame
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Phase
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.domain.plan import StepKind
from pilotage_coordinator.engine import failure, grants
from pilotage_coordinator.engine.closing import fan_progressed, loop_progressed, run_ended, step_ended
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.nesting import fresh_run, loop_key

_S = StepRunStatus


def settle_inside(draft: Draft, key: RunKey, at: int) -> None:
    """End everything in a halted frame that has not begun, or that waits to begin again."""
    frame = draft.frames[key]
    cause = frame.halted
    if frame.phase is not Phase.BODY or cause is None:
        return
    for path in draft.index.frames[key.path].body:
        frame = draft.frames[key]
        if path not in frame.closed:
            grants.no_longer_waits(draft, RunKey(path, key.host, key.item))
            _settle_step(draft, key, path, cause, frame.halt_reason, at)


def _settle_step(draft: Draft, frame: RunKey, path: str, cause: HaltCause, reason: str, at: int) -> None:
    info = draft.index.steps[path]
    if not info.fans:
        _settle_unit(draft, RunKey(path, frame.host, frame.item), cause, reason, at)
        return
    where = RunKey(path, "", frame.item)
    fan = draft.fans.get(where)
    if fan is None:
        step_ended(draft, frame, path, idle_status(cause), at)
        return
    if fan.status is not None:
        return
    _release_batch(draft, where)
    fan = draft.fans[where]._replace(ended=fan.ended or reason, waiting=False, wait_until=0, gate="", doubt="")
    draft.put_fan(where, fan)
    for inner in (analysis_frame(path), refresh_frame(path)):
        if RunKey(inner, "", frame.item) in draft.frames:
            failure.mark_halted(draft, RunKey(inner, "", frame.item), cause, reason)
    for host in fan.hosts[: fan.cursor]:
        if host in fan.running or host in fan.held:
            _settle_unit(draft, RunKey(path, host, frame.item), cause, reason, at)
    fan_progressed(draft, where, at)


def _release_batch(draft: Draft, fan: RunKey) -> None:
    draft.set_timer(TimerKind.BATCH, fan, 0)
    for name in (draft.fans[fan].gate, draft.fans[fan].doubt):
        draft.close_gate(name)


def _settle_unit(draft: Draft, key: RunKey, cause: HaltCause, reason: str, at: int) -> None:
    info = draft.index.steps[key.path]
    loop = draft.loops.get(loop_key(key)) if info.loops else None
    if loop is None:
        _settle_run(draft, key, cause, reason, at)
        return
    if loop.status is not None:
        return
    where = loop_key(key)
    draft.put_loop(where, loop._replace(ended=loop.ended or reason))
    for item in loop.keys[: loop.cursor]:
        if item in loop.running:
            _settle_run(draft, RunKey(key.path, key.host, item), cause, reason, at)
    loop_progressed(draft, where, at)


def _settle_run(draft: Draft, key: RunKey, cause: HaltCause, reason: str, at: int) -> None:
    run = draft.runs.get(key)
    if run is None or run.status is _S.PENDING:
        again = run is not None and run.reason is PendingReason.RETRY and cause != "cancel"
        status = _S.FAILED if again else idle_status(cause)
        detail = f"not tried again: {reason}" if again else reason
        end_pending(draft, key, status, detail, at)
    elif run.reason is PendingReason.HEALTH:
        draft.put_frame(key, draft.frames[key]._replace(phase=Phase.CLOSED))
        end_pending(draft, key, idle_status(cause), reason, at)
    elif run.kind is not StepKind.LEAF and run.status is _S.RUNNING:
        failure.mark_halted(draft, key, cause, reason)


def end_pending(draft: Draft, key: RunKey, status: StepRunStatus, detail: str, at: int) -> None:
    """End a run that waits (for its turn, its host, a gate or its next try) as `status`."""
    draft.unset_timers(key)
    run = fresh_run(draft, key)
    draft.close_gate(run.gate)
    draft.put(run._replace(status=status, detail=detail, ended_at=at, retry_at=0, gate=""))
    run_ended(draft, key, at)


def idle_status(cause: HaltCause) -> StepRunStatus:
    """Return how something ends that has not begun when its frame is halted."""
    return _S.CANCELLED if cause == "cancel" else _S.NOT_RUN
