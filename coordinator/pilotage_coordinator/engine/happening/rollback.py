"""What the events of a rollback make of the state."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import ACTIONS, undo_frame
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Frame, Phase
from pilotage_coordinator.domain.execution.state import ROOT_KEY, Rollback
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.engine import compensation, reopening
from pilotage_coordinator.engine.closing import (
    open_frame,
)
from pilotage_coordinator.engine.draft import Draft, Duty

_S = StepRunStatus


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


def _undo_opened(draft: Draft, event: e.UndoOpened, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    compensation.begun(draft, key)
    draft.put(draft.runs[key]._replace(status=_S.COMPENSATING, undo_error=""))
    frame = RunKey(undo_frame(event.path), event.host, event.item)
    if frame in draft.frames:
        reopening.reset_frame(draft, frame)
    open_frame(draft, frame, Frame(), at)


def _compensation_settled(draft: Draft, event: e.CompensationSettled, at: int) -> None:
    for key in event.runs:
        draft.unset_timers(key, kind=AttemptKind.UNDO)
        draft.put(draft.runs[key]._replace(status=event.status, reason=None, undo_error=event.reason, undo_tries=0))
        compensation.ended(draft, event.status, f"undo of {key}: {event.reason}", at)


HANDLERS: Final[Mapping[type[e.Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        e.RollbackBegun: _rollback_begun,
        e.UndoOpened: _undo_opened,
        e.CompensationSettled: _compensation_settled,
    }
)
