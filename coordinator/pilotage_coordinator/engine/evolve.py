"""The fold: what each event makes of the state. Total on events that `decide` gave; evaluates nothing."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import ACTIONS, undo_frame
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, Frame, Loop, OpenGate, Phase
from pilotage_coordinator.domain.execution.run import OpenAttempt, StepRun
from pilotage_coordinator.domain.execution.state import ROOT_KEY, ExecutionState, Rollback
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus, advance_execution
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import Batch, RolloutFailure
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine import compensation, failure, halting, holding, reopening
from pilotage_coordinator.engine.closing import (
    begin_finally,
    fan_progressed,
    frame_status,
    loop_progressed,
    open_frame,
    run_ended,
)
from pilotage_coordinator.engine.draft import Draft, Duty, Work
from pilotage_coordinator.engine.nesting import fan_key, fresh_run, loop_key

_S = StepRunStatus


def evolve(state: ExecutionState, event: e.Event, at: int) -> ExecutionState:
    """Return the state after an event that was committed `at` (UTC microseconds)."""
    draft = Draft(state)
    apply(draft, event, at)
    return draft.freeze()


def fold(state: ExecutionState, history: Iterable[tuple[e.Event, int]]) -> ExecutionState:
    """Return the state after a whole history of (event, time)."""
    draft = Draft(state)
    for event, at in history:
        apply(draft, event, at)
        draft.agenda.clear()
        draft.duties.clear()
        draft.touched.clear()
    return draft.freeze()


def apply(draft: Draft, event: e.Event, at: int) -> None:
    """Change a draft by one event."""
    _HANDLERS[type(event)](draft, event, at)
    while draft.halting or draft.returned:
        if draft.halting:
            halting.settle_inside(draft, draft.halting.popleft(), at)
        else:
            compensation.frame_returned(draft, draft.returned.popleft(), at)


def _execution_begun(draft: Draft, event: e.ExecutionBegun, at: int) -> None:
    draft.seed = event.seed
    draft.requested_by = event.requested_by
    draft.begun_at = at
    draft.set_timer(TimerKind.EXECUTION_DEADLINE, ROOT_KEY, at + draft.plan.deadline if draft.plan.deadline else 0)
    for path, info in draft.index.steps.items():
        if info.step.at_plan:
            for host, outputs in info.step.planned_outputs.items():
                key = RunKey(path, host)
                draft.sequence += 1
                run = StepRun(key, info.step.kind, _S.SUCCEEDED, ended_at=at, sequence=draft.sequence)
                draft.put(run._replace(outputs=outputs if isinstance(outputs, dict) else {"value": outputs}))
                draft.kept = draft.kept.set(key, None)
    open_frame(draft, ROOT_KEY, Frame(), at)


def _execution_moved(draft: Draft, event: e.ExecutionMoved, at: int) -> None:
    draft.status = advance_execution(draft.status, event.to)
    draft.reason = event.reason
    if event.to.terminal:
        draft.ended_at = at
        draft.outputs = event.outputs
        draft.warnings = event.warnings
        draft.set_timer(TimerKind.EXECUTION_DEADLINE, ROOT_KEY, 0)
        if ROOT_KEY in draft.frames:
            draft.put_frame(ROOT_KEY, draft.frames[ROOT_KEY]._replace(phase=Phase.CLOSED))


def _pause_asked(draft: Draft, event: e.PauseAsked, at: int) -> None:
    draft.pause_reason = event.reason or f"asked by {event.by}"


def _resume_asked(draft: Draft, event: e.ResumeAsked, at: int) -> None:
    draft.pause_reason = None
    draft.reason = draft.frames[ROOT_KEY].halt_reason


def _step_opened(draft: Draft, event: e.StepOpened, at: int) -> None:
    info = draft.index.steps[event.path]
    rollout = info.step.rollout
    total = len(event.hosts)
    hosts: list[str] = []
    fan = Fan(hosts=(), dropped=event.dropped)
    for host in event.hosts:
        unit = RunKey(event.path, host, event.item)
        if unit in draft.kept:
            draft.kept = draft.kept.delete(unit)
            fan = fan._replace(tally=fan.tally.plus(draft.runs[unit].status))
        else:
            hosts.append(host)
    for host in event.dropped:
        run = fresh_run(draft, RunKey(event.path, host, event.item))
        draft.put(run._replace(status=_S.NOT_RUN, detail="a step it depends on did not succeed here", ended_at=at))
        draft.warnings = True
    limit = rollout.max_failures
    if limit is None and rollout.on_failure is not RolloutFailure.STOP:
        limit = Share(0)  # a rollout that reverts has a failure to revert at
    key = RunKey(event.path, "", event.item)
    draft.put_fan(
        key,
        fan._replace(
            hosts=tuple(hosts),
            tally=fan.tally.plus(_S.NOT_RUN, len(event.dropped)),
            max_parallel=0 if info.loops or rollout.max_parallel is None else max(1, rollout.max_parallel.of(total)),
            max_failures=-1 if limit is None else limit.of(total),
            total=total,
            batch_end=_batch_end(info.step.rollout.batches, 0, 0, total, len(hosts)),
        ),
    )
    fan_progressed(draft, key, at)


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
        gate = OpenGate(event.gate, event.path, "", event.item, prompt, opened_at=at, batch=True)
        draft.gates = draft.gates.set(event.gate, gate)


def _rollout_ended(draft: Draft, event: e.RolloutEnded, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    fan = draft.fans[key]
    info = draft.index.steps[event.path]
    draft.set_timer(TimerKind.BATCH, key, 0)
    revert = failure.wants_revert(info)
    draft.put_fan(
        key,
        fan._replace(ended=event.reason, defeated=True, revert=revert, waiting=False, wait_until=0, gate=""),
    )
    draft.warnings = True
    failure.rollout_ended(draft, key, event.reason)
    fan_progressed(draft, key, at)


def _loop_opened(draft: Draft, event: e.LoopOpened, at: int) -> None:
    key = RunKey(event.path, event.host)
    _begun(draft, key)
    share = draft.index.steps[event.path].step.rollout.max_parallel
    loop = Loop(keys=(), values=dict(event.items))
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
    _begun(draft, key)
    draft.put(fresh_run(draft, key)._replace(status=_S.RUNNING, started_at=at, ended_at=0, error="", unknown=0))
    open_frame(draft, key, Frame(), at)


def _undo_opened(draft: Draft, event: e.UndoOpened, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    compensation.begun(draft, key)
    draft.put(draft.runs[key]._replace(status=_S.COMPENSATING, undo_error=""))
    frame = RunKey(undo_frame(event.path), event.host, event.item)
    if frame in draft.frames:
        reopening.reset_frame(draft, frame)
    open_frame(draft, frame, Frame(), at)


def _frame_halted(draft: Draft, event: e.FrameHalted, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    if event.cause == "cancel":
        draft.pause_reason = None
    failure.mark_halted(draft, key, event.cause, event.reason)
    if key == ROOT_KEY:
        draft.halted = event.cause if draft.halted != "cancel" else draft.halted
        draft.reason = event.reason
    if event.cause == "deadline":
        draft.set_timer(TimerKind.EXECUTION_DEADLINE, ROOT_KEY, 0)


def _finally_begun(draft: Draft, event: e.FinallyBegun, at: int) -> None:
    begin_finally(draft, ROOT_KEY, at)


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


def _runs_settled(draft: Draft, event: e.RunsSettled, at: int) -> None:
    for key in event.runs:
        _begun(draft, key)
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
        _begun(draft, key)
        draft.set_timer(TimerKind.RETRY, key, 0)
        draft.put(fresh_run(draft, key)._replace(reason=event.reason, retry_at=0))
    draft.set_timer(TimerKind.OFFLINE, key, event.until)


def _gate_opened(draft: Draft, event: e.GateOpened, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    _begun(draft, key)
    run = fresh_run(draft, key)
    draft.put(run._replace(reason=PendingReason.GATE, detail=event.prompt, gate=event.name, started_at=at))
    gate = OpenGate(event.name, event.path, event.host, event.item, event.prompt, opened_at=at)
    draft.gates = draft.gates.set(event.name, gate)


def _gate_answered(draft: Draft, event: e.GateAnswered, at: int) -> None:
    gate = draft.gates[event.name]
    draft.gates = draft.gates.delete(event.name)
    if gate.batch:
        key = RunKey(gate.path, "", gate.item)
        draft.put_fan(key, draft.fans[key]._replace(gate=""))
        draft.agenda.append(Work("fan", key))


def _attempt_planned(draft: Draft, event: e.AttemptPlanned, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    if event.kind is AttemptKind.UNDO:
        _undo_planned(draft, key, event, at)
        return
    _begun(draft, key)
    run = draft.runs.get(key)
    parameters = event.parameters
    draft.open_attempt(OpenAttempt(key, event.kind, event.attempt, parameters, planned_at=at))
    if run is None:
        kind = draft.index.steps[key.path].step.kind
        run = StepRun(key, kind, _S.ASSIGNED, attempts=event.attempt, tries=1, parameters=parameters, planned_at=at)
    else:
        draft.unset_timers(key, kind=AttemptKind.RUN)
        run = run._replace(
            status=_S.ASSIGNED,
            reason=None,
            detail="",
            attempts=event.attempt,
            tries=run.tries + 1,
            parameters=parameters,
            planned_at=run.planned_at or at,
            retry_at=0,
            ended_at=0,
            outputs={},
        )
    draft.put(run)
    deadline = draft.index.steps[key.path].step.deadline
    if deadline:
        draft.set_timer(TimerKind.STEP_DEADLINE, key, run.planned_at + deadline)


def _undo_planned(draft: Draft, key: RunKey, event: e.AttemptPlanned, at: int) -> None:
    compensation.begun(draft, key)
    run = draft.runs[key]
    draft.open_attempt(
        OpenAttempt(key, event.kind, event.attempt, event.parameters, outputs=run.outputs, planned_at=at)
    )
    draft.unset_timers(key, kind=AttemptKind.UNDO)
    draft.put(
        run._replace(
            status=_S.COMPENSATING,
            reason=None,
            undo_attempts=event.attempt,
            undo_tries=run.undo_tries + 1,
            retry_at=0,
            undo_error="",
        )
    )


def _attempt_begun(draft: Draft, event: e.AttemptBegun, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    draft.open_attempt(replace(draft.open[key], started=True))
    run = draft.runs[key]
    if run.status is _S.ASSIGNED:
        draft.put(run._replace(status=_S.RUNNING, started_at=event.started_at))


def _attempt_finished(draft: Draft, event: e.AttemptFinished, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    draft.close_attempt(key)
    if event.kind is AttemptKind.UNDO:
        _undo_finished(draft, key, event, at)
        return
    run = draft.runs[key]
    run = run._replace(
        status=event.becomes,
        outputs=event.outputs,
        error=event.error,
        failure_kind=event.failure_kind,
        evidence=event.evidence,
        started_at=event.started_at or run.started_at,
        ended_at=event.ended_at or at,
        retry_at=event.retry_at,
        interruptions=run.interruptions + 1 if event.outcome is Outcome.INTERRUPTED else 0,
    )
    if event.becomes is _S.PENDING:
        draft.put(run._replace(reason=PendingReason.RETRY, ended_at=0))
        draft.set_timer(TimerKind.RETRY, key, event.retry_at)
        return
    draft.unset_timers(key)
    draft.put(run)
    if event.becomes is _S.UNKNOWN:
        holding.hold(draft, key)
    else:
        run_ended(draft, key, at)


def _undo_finished(draft: Draft, key: RunKey, event: e.AttemptFinished, at: int) -> None:
    run = draft.runs[key]._replace(undo_error=event.error, evidence=event.evidence, retry_at=event.retry_at)
    if event.becomes is _S.COMPENSATING:
        draft.put(run._replace(reason=PendingReason.RETRY))
        draft.set_timer(TimerKind.UNDO_RETRY, key, event.retry_at)
        return
    draft.put(run._replace(status=event.becomes, undo_tries=0))
    compensation.ended(draft, event.becomes, f"undo of {key}: {event.error}", at)


def _cancel_sent(draft: Draft, event: e.CancelSent, at: int) -> None:
    for key in event.runs:
        draft.open_attempt(replace(draft.open[key], cancel_reason=event.reason))
        draft.cancels = draft.cancels.set(key, None)
        run = draft.runs[key]
        draft.set_timer(TimerKind.STEP_DEADLINE, key, 0)
        draft.put(run._replace(status=_S.CANCELLING, expired=run.expired or event.expired))


def _unknown_settled(draft: Draft, event: e.UnknownSettled, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    holding.release(draft, key)
    run = draft.runs[key]
    if event.as_ == "retry":
        draft.put(run._replace(status=_S.PENDING, reason=PendingReason.RETRY, tries=0, interruptions=0, retry_at=at))
        draft.set_timer(TimerKind.RETRY, key, at)
        return
    status = _S.SUCCEEDED if event.as_ == "succeeded" else _S.FAILED
    note = f"resolved by {event.by}" + (f": {event.comment}" if event.comment else "")
    draft.put(run._replace(status=status, detail=note, ended_at=at))
    run_ended(draft, key, at)


def _rollback_begun(draft: Draft, event: e.RollbackBegun, at: int) -> None:
    draft.rollback_failed = "" if not event.path else draft.rollback_failed
    if event.unmet:
        draft.rollback_unmet = event.unmet
        draft.rolled_back = True
        draft.duties.append(Duty("body", ROOT_KEY))
        return
    if not event.path:
        draft.rolled_back = False
        draft.halted = "rollback"
        frame = draft.frames[ROOT_KEY]
        draft.put_frame(ROOT_KEY, frame._replace(phase=Phase.ROLLBACK, halted="rollback"))
    if event.actions and RunKey(ACTIONS) in draft.frames:
        reopening.reset_frame(draft, RunKey(ACTIONS))
    rollback = Rollback(event.reason, step=event.path, item=event.item, actions=event.actions)
    compensation.begin(draft, rollback, event.hosts, at)


def _compensation_settled(draft: Draft, event: e.CompensationSettled, at: int) -> None:
    for key in event.runs:
        draft.unset_timers(key, kind=AttemptKind.UNDO)
        draft.put(draft.runs[key]._replace(status=event.status, reason=None, undo_error=event.reason, undo_tries=0))
        compensation.ended(draft, event.status, f"undo of {key}: {event.reason}", at)


def _execution_reopened(draft: Draft, event: e.ExecutionReopened, at: int) -> None:
    reopening.reopen(draft, event.step, at)


def _begun(draft: Draft, key: RunKey) -> None:
    """Count a run that is the next of its loop or fan as begun."""
    info = draft.index.steps[key.path]
    if info.loops and key.item:
        where = loop_key(key)
        loop = draft.loops[where]
        if loop.cursor < len(loop.keys) and loop.keys[loop.cursor] == key.item:
            draft.put_loop(where, loop._replace(cursor=loop.cursor + 1, running=loop.running.set(key.item, None)))
    elif info.fans:
        where = fan_key(draft.index, key)
        fan = draft.fans[where]
        if fan.cursor < len(fan.hosts) and fan.hosts[fan.cursor] == key.host:
            draft.put_fan(where, fan._replace(cursor=fan.cursor + 1, running=fan.running.set(key.host, None)))


_HANDLERS: Final[dict[type[e.Event], Callable[[Draft, Any, int], None]]] = {
    e.ExecutionBegun: _execution_begun,
    e.ExecutionMoved: _execution_moved,
    e.PauseAsked: _pause_asked,
    e.ResumeAsked: _resume_asked,
    e.StepOpened: _step_opened,
    e.BatchOpened: _batch_opened,
    e.BatchHeld: _batch_held,
    e.RolloutEnded: _rollout_ended,
    e.LoopOpened: _loop_opened,
    e.FrameOpened: _frame_opened,
    e.UndoOpened: _undo_opened,
    e.FrameHalted: _frame_halted,
    e.FinallyBegun: _finally_begun,
    e.CallReturned: _call_returned,
    e.RunsSettled: _runs_settled,
    e.RunHeld: _run_held,
    e.GateOpened: _gate_opened,
    e.GateAnswered: _gate_answered,
    e.AttemptPlanned: _attempt_planned,
    e.AttemptBegun: _attempt_begun,
    e.AttemptFinished: _attempt_finished,
    e.CancelSent: _cancel_sent,
    e.UnknownSettled: _unknown_settled,
    e.RollbackBegun: _rollback_begun,
    e.CompensationSettled: _compensation_settled,
    e.ExecutionReopened: _execution_reopened,
}
