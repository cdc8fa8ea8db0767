"""What an execution has come to, and the status that it shows: pure projections of its state."""

from pilotage_coordinator.domain.execution.nodes import Phase
from pilotage_coordinator.domain.execution.state import ROOT_KEY
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.engine.draft import Draft

_E = ExecutionStatus


def body_outcome(draft: Draft) -> ExecutionStatus:
    """Return what the body, and the rollback if there was one, came to: what `finally` steps see."""
    if draft.rollback_failed:
        return _E.ROLLBACK_INCOMPLETE
    if draft.rolled_back and not draft.rollback_unmet:
        return _E.ROLLED_BACK
    if draft.halted == "cancel":
        return _E.CANCELLED
    return _E.FAILED if draft.halted else _E.COMPLETED


def final_status(draft: Draft) -> ExecutionStatus:
    """Return how the execution ends, its `finally` steps included."""
    outcome = body_outcome(draft)
    if outcome is _E.COMPLETED and draft.frames[ROOT_KEY].finally_failed:
        return _E.FAILED
    return outcome


def shown_status(draft: Draft, *, going_on: bool = False) -> ExecutionStatus:
    """Return the status that the state of an execution that has begun and not ended amounts to.

    `going_on`: more is about to start, whatever it waits for besides.
    """
    if draft.pause_reason is not None:
        return _E.PAUSING if draft.open else _E.PAUSED
    if not draft.open and not draft.sleeping and not going_on:
        if draft.unknown:
            return _E.NEEDS_ATTENTION
        if draft.gates:
            return _E.WAITING_APPROVAL
    phase = draft.frames[ROOT_KEY].phase
    if phase is Phase.ROLLBACK and not draft.rolled_back:
        return _E.ROLLING_BACK
    if phase is Phase.FINALLY:
        return _E.FINISHING
    return _E.CANCELLING if draft.halted == "cancel" else _E.RUNNING
