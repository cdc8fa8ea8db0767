"""Which request an execution takes in which status. Facts (results, hosts, time) are always taken."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.engine.draft import Draft

_E = ExecutionStatus
_FORWARD: Final = frozenset({_E.RUNNING, _E.WAITING_APPROVAL, _E.NEEDS_ATTENTION, _E.PAUSING, _E.PAUSED})
_LIVE: Final = _FORWARD | {_E.CANCELLING, _E.FINISHING, _E.ROLLING_BACK}

ADMITTED: Final[Mapping[type[i.Input], frozenset[ExecutionStatus]]] = MappingProxyType(
    {
        i.Begin: frozenset({_E.PENDING}),
        i.PauseRequested: _LIVE - {_E.CANCELLING},
        i.Drift: _LIVE - {_E.CANCELLING},
        i.ResumeRequested: frozenset({_E.PAUSING, _E.PAUSED}),
        i.CancelRequested: _LIVE - {_E.ROLLING_BACK} | {_E.PENDING},
        i.GateReleased: _LIVE,
        i.ApprovalAnswered: _LIVE,
        i.ApprovalWithdrawn: _LIVE,
        i.UnknownResolved: _LIVE,
        i.RetryFailed: frozenset({_E.FAILED, _E.CANCELLED, _E.COMPLETED}),
        i.RerunFrom: frozenset({_E.FAILED, _E.CANCELLED, _E.COMPLETED}),
        i.RollbackRequested: _FORWARD | {_E.FAILED, _E.CANCELLED, _E.COMPLETED, _E.ROLLBACK_INCOMPLETE},
    }
)

_ADVICE: Final[Mapping[type[i.Input], tuple[str, str]]] = MappingProxyType(
    {
        i.Begin: ("begun", "it has begun already; start a new execution of its plan"),
        i.PauseRequested: ("paused", "only an execution that goes on can be paused"),
        i.Drift: ("paused", "only an execution that goes on can be paused"),
        i.ResumeRequested: ("resumed", "only a paused execution can be resumed"),
        i.CancelRequested: ("cancelled", "it has ended already"),
        i.GateReleased: ("released", "it waits for no gate"),
        i.ApprovalAnswered: ("approved or rejected", "it asks for no approval any more"),
        i.ApprovalWithdrawn: ("approved or rejected", "it asks for no approval any more"),
        i.UnknownResolved: ("resolved", "nothing in it is unknown"),
        i.RetryFailed: ("retried", "wait until it has ended; after a rollback, start a new execution"),
        i.RerunFrom: ("rerun", "wait until it has ended; after a rollback, start a new execution"),
        i.RollbackRequested: ("rolled back", "cancel it first, or wait until it has ended"),
    }
)


def admit(draft: Draft, input: i.Input) -> None:
    """Raise Refused unless the execution's status takes the request."""
    admitted = ADMITTED.get(type(input))
    if admitted is None or draft.status in admitted:
        return
    what, advice = _ADVICE[type(input)]
    if isinstance(input, i.CancelRequested) and draft.status is _E.ROLLING_BACK:
        advice = "pause it instead, or let the rollback come to its end"
    raise Refused(f"{draft.id} cannot be {what}: it is {draft.status}. {advice[0].upper()}{advice[1:]}.")
