"""Stopping an execution from outside: a cancel, its deadline, a rollback that somebody asks for."""

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import ROOT, Role
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Draft


def halt(decision: Decision, cause: e.HaltCause, reason: str, by: str = "", *, everything: bool = False) -> None:
    """Start nothing new, and stop what runs; `everything`: the `finally` steps that run, too."""
    decision.emit(e.FrameHalted(ROOT, "", "", cause, reason, by))
    draft = decision.draft
    running = tuple(key for key in sorted(draft.open) if _stoppable(draft, key, everything=everything))
    if running:
        decision.emit(e.CancelSent(running, reason))


def _stoppable(draft: Draft, key: RunKey, *, everything: bool) -> bool:
    """Return whether an open attempt is to be stopped. A compensation never is, and only once."""
    if draft.open[key].kind is AttemptKind.UNDO or key in draft.cancels:
        return False
    return everything or not _cleaning(draft, key)


def _cleaning(draft: Draft, key: RunKey) -> bool:
    """Return whether a run is, or stands inside, a `finally` step of any frame."""
    path = key.path
    while path in draft.index.steps:
        info = draft.index.steps[path]
        if info.role is Role.FINALLY:
            return True
        path = info.frame
    return False
