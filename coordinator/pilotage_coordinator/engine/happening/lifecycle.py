"""What the events of the execution as a whole make of its state: begin, pause, halt, end, reopen."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Frame, Phase
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.state import ROOT_KEY
from pilotage_coordinator.domain.execution.states import ExecutionStatus, StepRunStatus, advance_execution
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.engine import failure, reopening
from pilotage_coordinator.engine.closing import (
    begin_finally,
    open_frame,
)
from pilotage_coordinator.engine.draft import Draft

_S = StepRunStatus


def _execution_begun(draft: Draft, event: e.ExecutionBegun, at: int) -> None:
    draft.seed = event.seed
    draft.requested_by = event.requested_by
    draft.request = event.request
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
    draft.pause_change = event.change
    if draft.status is ExecutionStatus.PAUSED:
        # It stays paused, for another reason than before.
        draft.reason = draft.pause_reason


def _resume_asked(draft: Draft, event: e.ResumeAsked, at: int) -> None:
    draft.pause_reason = None
    if draft.pause_change:
        draft.accepted = draft.accepted.set(draft.pause_change, None)
        draft.pause_change = ""
    draft.reason = draft.frames[ROOT_KEY].halt_reason


def _frame_halted(draft: Draft, event: e.FrameHalted, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    if event.cause == "cancel":
        draft.pause_reason = None
        draft.pause_change = ""
    failure.mark_halted(draft, key, event.cause, event.reason)
    if key == ROOT_KEY:
        draft.halted = event.cause if draft.halted != "cancel" else draft.halted
        draft.reason = event.reason
    if event.cause == "deadline":
        draft.set_timer(TimerKind.EXECUTION_DEADLINE, ROOT_KEY, 0)


def _finally_begun(draft: Draft, event: e.FinallyBegun, at: int) -> None:
    begin_finally(draft, ROOT_KEY, at)


def _execution_reopened(draft: Draft, event: e.ExecutionReopened, at: int) -> None:
    reopening.reopen(draft, event.step, event.by, at)


def _notification(draft: Draft, event: e.NotificationQueued | e.NotificationGivenUp, at: int) -> None:
    """Change nothing: what waits for delivery is kept by the store, and delivered without the engine."""


HANDLERS: Final[Mapping[type[e.Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        e.ExecutionBegun: _execution_begun,
        e.ExecutionMoved: _execution_moved,
        e.PauseAsked: _pause_asked,
        e.ResumeAsked: _resume_asked,
        e.FrameHalted: _frame_halted,
        e.FinallyBegun: _finally_begun,
        e.ExecutionReopened: _execution_reopened,
        e.NotificationQueued: _notification,
        e.NotificationGivenUp: _notification,
    }
)
