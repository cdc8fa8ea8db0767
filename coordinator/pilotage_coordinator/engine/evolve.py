"""The fold: what each event makes of the state. Total on events that `decide` gave; evaluates nothing."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pilotage_coordinator.domain.execution.events import Event
from pilotage_coordinator.domain.execution.index import judged_by, refreshed_by
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.engine import compensation, halting
from pilotage_coordinator.engine.draft import Draft, Duty
from pilotage_coordinator.engine.happening import approvals, attempts, batches, health, lifecycle, nodes, rollback, runs


def evolve(state: ExecutionState, event: Event, at: int) -> ExecutionState:
    """Return the state after an event that was committed `at` (UTC microseconds)."""
    draft = Draft(state)
    apply(draft, event, at)
    return draft.freeze()


def fold(state: ExecutionState, history: Iterable[tuple[Event, int]]) -> ExecutionState:
    """Return the state after a whole history of (event, time)."""
    draft = Draft(state)
    for event, at in history:
        apply(draft, event, at)
        draft.agenda.clear()
        draft.duties.clear()
        draft.touched.clear()
    return draft.freeze()


def apply(draft: Draft, event: Event, at: int) -> None:
    """Change a draft by one event."""
    _HANDLERS[type(event)](draft, event, at)
    while draft.halting or draft.returned:
        if draft.halting:
            halting.settle_inside(draft, draft.halting.popleft(), at)
        else:
            _frame_returned(draft, draft.returned.popleft(), at)


def _frame_returned(draft: Draft, key: RunKey, at: int) -> None:
    if judged := judged_by(key.path):
        draft.duties.append(Duty("analysis", RunKey(judged, "", key.item)))
    elif refreshed := refreshed_by(key.path):
        draft.duties.append(Duty("refresh", RunKey(refreshed, "", key.item)))
    else:
        compensation.frame_returned(draft, key, at)


_HANDLERS: Final[Mapping[type[Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        **lifecycle.HANDLERS,
        **nodes.HANDLERS,
        **batches.HANDLERS,
        **health.HANDLERS,
        **runs.HANDLERS,
        **approvals.HANDLERS,
        **attempts.HANDLERS,
        **rollback.HANDLERS,
    }
)
