"""What must happen outside the engine, derived from state: attempts to send or to stop, the next time to look."""

from collections.abc import Iterable
from dataclasses import dataclass

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.execution.events import AttemptPlanned, CancelSent, Event
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import OpenAttempt
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.engine import timing


@dataclass(frozen=True, slots=True)
class Due:
    """Attempts that have no answer yet (to be sent, again if need be), and those that are to be stopped.

    An attempt whose step has `place: coordinator`, or whose host is empty, is made by the runtime itself.
    """

    assign: tuple[OpenAttempt, ...] = ()
    cancel: tuple[OpenAttempt, ...] = ()


def due(state: ExecutionState) -> Due:
    """Return all that is open, in the order of run keys. O(open attempts): for recovery."""
    return _due(state, state.open)


def due_on(state: ExecutionState, host: str) -> Due:
    """Return what is open on one host: for a session that has just opened. O(open on that host)."""
    return _due(state, state.by_host.get(host, ()))


def due_after(state: ExecutionState, events: Iterable[Event]) -> Due:
    """Return what these events, already in `state`, made due. O(events): for use after each commit."""
    assign: list[OpenAttempt] = []
    cancel: list[OpenAttempt] = []
    for event in events:
        if isinstance(event, AttemptPlanned):
            attempt = state.open.get(RunKey(event.path, event.host, event.item))
            if attempt is not None and attempt.attempt == event.attempt and attempt.cancel_reason is None:
                assign.append(attempt)
        elif isinstance(event, CancelSent):
            cancel += [state.open[key] for key in event.runs if key in state.cancels]
    return Due(tuple(assign), tuple(cancel))


def next_wakeup(state: ExecutionState) -> int | None:
    """Return when a Tick is needed at the latest (UTC microseconds); None = nothing is due by time alone.

    A paused execution wakes up for requests for approval alone: what else fell due meanwhile happens at the resume.
    """
    if state.terminal:
        return None
    due = timing.first(state)
    return None if due is None else due[0]


def attempt_key(state: ExecutionState, attempt: OpenAttempt) -> AttemptKey:
    """Return the identity under which agents know an open attempt."""
    run = attempt.run
    return AttemptKey(state.id, run.path, run.host, run.item, attempt.kind, attempt.attempt)


def _due(state: ExecutionState, keys: Iterable[RunKey]) -> Due:
    attempts = [state.open[key] for key in sorted(keys) if key in state.open]
    return Due(
        assign=tuple(each for each in attempts if not each.started and each.cancel_reason is None),
        cancel=tuple(each for each in attempts if each.cancel_reason is not None),
    )
