"""What the events of steps, batches, loops and frames make of the state."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from immutables import Map

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, Frame, GateScope, Loop, OpenGate, Passed, Phase
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.domain.plan import Batch, RolloutFailure
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine import failure, reopening
from pilotage_coordinator.engine.closing import (
    fan_progressed,
    frame_status,
    loop_progressed,
    open_frame,
    run_ended,
)
from pilotage_coordinator.engine.draft import Draft, Work
from pilotage_coordinator.engine.happening.turn import begun
from pilotage_coordinator.engine.nesting import fresh_run

_S = StepRunStatus


def _step_opened(draft: Draft, event: e.StepOpened, at: int) -> None:
    info = draft.index.steps[event.path]
    rollout = info.step.rollout
    total = len(event.hosts)
    key = RunKey(event.path, "", event.item)
    fan = _taken_up(draft, key, event.hosts)._replace(dropped=event.dropped)
    for host in event.dropped:
        run = fresh_run(draft, RunKey(event.path, host, event.item))
        draft.put(run._replace(status=_S.NOT_RUN, detail="a step it depends on did not succeed here", ended_at=at))
        draft.warnings = True
    limit = rollout.max_failures
    if limit is None and rollout.on_failure is not RolloutFailure.STOP:
        limit = Share(0)  # a rollout that reverts has a failure to revert at
    draft.put_fan(
        key,
        fan._replace(
            tally=fan.tally.plus(_S.NOT_RUN, len(event.dropped)),
            max_parallel=0 if info.loops or rollout.max_parallel is None else max(1, rollout.max_parallel.of(total)),
            max_failures=-1 if limit is None else limit.of(total),
            total=total,
            batch_end=max(fan.cursor, _batch_end(rollout.batches, fan.batch, fan.batch_start, total, len(fan.hosts))),
        ),
    )
    fan_progressed(draft, key, at)


def _taken_up(draft: Draft, key: RunKey, hosts: tuple[str, ...]) -> Fan:
    """Return the fan of a step that goes over hosts; before a retry it may have come to some of its batches.

    What was kept of the batches behind it stays there; what was kept of the one that it was in is still to be judged.
    """
    before = draft.passed.get(key, Passed(0, Map()))
    behind: list[str] = []
    begun: list[str] = []
    fresh: list[str] = []
    fan = Fan(hosts=())
    for host in hosts:
        unit = RunKey(key.path, host, key.item)
        if unit not in draft.kept:
            fresh.append(host)
            continue
        draft.kept = draft.kept.delete(unit)
        fan = fan._replace(tally=fan.tally.plus(draft.runs[unit].status))
        (behind if host in before.hosts else begun).append(host)
    return fan._replace(
        hosts=(*behind, *begun, *fresh),
        cursor=len(behind) + len(begun),
        batch=before.batch if behind else 0,
        batch_start=len(behind),
    )


def _batch_end(batches: tuple[Batch, ...], number: int, start: int, total: int, last: int) -> int:
    if not batches:
        return last
    size = batches[min(number, len(batches) - 1)].size
    return min(last, start + max(1, size.of(total)))


def _batch_opened(draft: Draft, event: e.BatchOpened, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    fan = draft.fans[key]
    batches = draft.index.steps[event.path].step.rollout.batches
    draft.set_timer(TimerKind.BATCH, key, 0)
    draft.put_fan(
        key,
        fan._replace(
            batch=event.number,
            batch_start=fan.cursor,
            batch_end=_batch_end(batches, event.number, fan.cursor, fan.total, len(fan.hosts)),
            waiting=False,
            wait_until=0,
            gate="",
        ),
    )
    draft.agenda.append(Work("fan", key))


def _batch_held(draft: Draft, event: e.BatchHeld, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    fan = draft.fans[key]
    draft.put_fan(key, fan._replace(waiting=True, wait_until=event.until, gate=event.gate))
    draft.set_timer(TimerKind.BATCH, key, event.until)
    if event.gate and event.gate not in draft.gates:
        prompt = f"batch {fan.batch + 1} of {event.path} is done"
        gate = OpenGate(event.gate, event.path, "", event.item, prompt, opened_at=at, scope=GateScope.BATCH)
        draft.gates = draft.gates.set(event.gate, gate)


def _rollout_ended(draft: Draft, event: e.RolloutEnded, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    fan = draft.fans[key]
    info = draft.index.steps[event.path]
    draft.set_timer(TimerKind.BATCH, key, 0)
    revert = failure.wants_revert(info) if event.revert == "" else event.revert == "yes" and not info.reverts
    draft.close_gate(fan.gate)
    draft.put_fan(
        key,
        fan._replace(ended=event.reason, defeated=True, revert=revert, waiting=False, wait_until=0, gate=""),
    )
    draft.warnings = True
    failure.rollout_ended(draft, key, event.reason)
    fan_progressed(draft, key, at)


def _loop_opened(draft: Draft, event: e.LoopOpened, at: int) -> None:
    key = RunKey(event.path, event.host)
    begun(draft, key)
    share = draft.index.steps[event.path].step.rollout.max_parallel
    loop = Loop(keys=(), values=dict(event.items))
    draft.items = draft.items.set(key, loop.values)
    keys: list[str] = []
    for name, _ in event.items:
        item = RunKey(event.path, event.host, name)
        if item in draft.kept:
            draft.kept = draft.kept.delete(item)
            loop = loop._replace(tally=loop.tally.plus(draft.runs[item].status))
        else:
            keys.append(name)
    width = 0 if share is None else max(1, share.of(len(event.items)))
    draft.put_loop(key, loop._replace(keys=tuple(keys), max_parallel=width))
    loop_progressed(draft, key, at)


def _frame_opened(draft: Draft, event: e.FrameOpened, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    begun(draft, key)
    if event.arguments:
        draft.arguments = draft.arguments.set(key, event.arguments)
    draft.put(fresh_run(draft, key)._replace(status=_S.RUNNING, started_at=at, ended_at=0, error="", unknown=0))
    gate = draft.index.steps[event.path].step.health
    if gate is None:
        open_frame(draft, key, Frame(), at)
    else:
        draft.set_timer(TimerKind.HEALTH_DEADLINE, key, at + gate.within)
        reopening.open_anew(draft, key, Frame(), at)


def _call_returned(draft: Draft, event: e.CallReturned, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    frame = draft.frames[key]
    status = frame_status(frame)
    if event.error and status is _S.SUCCEEDED:
        status = _S.FAILED
        frame = frame._replace(finally_failed=True)
    draft.put_frame(key, frame._replace(phase=Phase.CLOSED))
    draft.put(draft.runs[key]._replace(status=status, outputs=event.outputs, error=event.error, ended_at=at))
    run_ended(draft, key, at)


HANDLERS: Final[Mapping[type[e.Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        e.StepOpened: _step_opened,
        e.BatchOpened: _batch_opened,
        e.BatchHeld: _batch_held,
        e.RolloutEnded: _rollout_ended,
        e.LoopOpened: _loop_opened,
        e.FrameOpened: _frame_opened,
        e.CallReturned: _call_returned,
    }
)
