"""The states of executions and step runs, and which change may follow which (SEMANTICS: States)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pilotage_coordinator.domain.execution.errors import IllegalTransition


class ExecutionStatus(StrEnum):
    """Where an execution is."""

    PENDING = "pending"
    WAITING_APPROVAL = "waiting_approval"
    """A gate is closed and nothing else can progress."""
    RUNNING = "running"
    PAUSING = "pausing"
    """Nothing new starts; what runs is still running."""
    PAUSED = "paused"
    CANCELLING = "cancelling"
    """Until every agent concerned has durably answered."""
    FINISHING = "finishing"
    """The `finally` steps run."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    NEEDS_ATTENTION = "needs_attention"
    """A step run is unknown and nothing else can progress: a person decides."""
    ROLLBACK_INCOMPLETE = "rollback_incomplete"
    """A compensation failed: what remains is listed."""

    @property
    def terminal(self) -> bool:
        """Return whether nothing more happens by itself."""
        return self in _TERMINAL


class StepRunStatus(StrEnum):
    """Where one step on one host (and item) is."""

    PENDING = "pending"
    ASSIGNED = "assigned"
    """An attempt is committed; its agent has not yet said that it started."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Its `when` was false. Satisfies a dependency."""
    NOT_RUN = "not_run"
    """Something it depends on failed, its host was offline, or the execution ended first. Satisfies nothing."""
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """Began, and nobody knows how it ended."""
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"

    @property
    def satisfies(self) -> bool:
        """Return whether a step that depends on this one may run."""
        return self in (StepRunStatus.SUCCEEDED, StepRunStatus.SKIPPED)

    @property
    def settled(self) -> bool:
        """Return whether the run's own work has ended, whatever a rollback does to it afterwards."""
        return self not in _UNSETTLED


class PendingReason(StrEnum):
    """What a step run waits for."""

    DEPENDENCY = "dependency"
    APPROVAL = "approval"
    RESERVATION = "reservation"
    WINDOW = "window"
    OFFLINE = "offline"
    ROLLOUT = "rollout"
    """Its turn in the batches and the window."""
    GATE = "gate"
    DRIFT = "drift"
    """Its host, or a value of it, is not what was planned: somebody must say that it may go on all the same."""
    POLICY = "policy"
    """The policy does not allow it now: somebody must change that, or let the execution try again."""
    RETRY = "retry"
    HEALTH = "health"
    """A health gate that runs: its next round."""


_E = ExecutionStatus
_S = StepRunStatus

_TERMINAL: Final = frozenset({_E.COMPLETED, _E.FAILED, _E.CANCELLED, _E.ROLLED_BACK, _E.ROLLBACK_INCOMPLETE})
_UNSETTLED: Final = frozenset({_S.PENDING, _S.ASSIGNED, _S.RUNNING, _S.CANCELLING, _S.UNKNOWN})

_ACTIVE: Final = frozenset(
    {
        _E.WAITING_APPROVAL,
        _E.RUNNING,
        _E.PAUSING,
        _E.PAUSED,
        _E.CANCELLING,
        _E.FINISHING,
        _E.ROLLING_BACK,
        _E.NEEDS_ATTENTION,
    }
)

EXECUTION_TRANSITIONS: Final[Mapping[ExecutionStatus, frozenset[ExecutionStatus]]] = MappingProxyType(
    {
        _E.PENDING: _ACTIVE | {_E.CANCELLED},
        # The status is a projection of the step runs, so any active one may follow any other: a host that answers
        # ends needs_attention in whatever phase the execution is. Terminal ones are left by a person's act only.
        **{status: (_ACTIVE | _TERMINAL) - {status} for status in _ACTIVE},
        _E.COMPLETED: _ACTIVE,
        _E.FAILED: _ACTIVE,
        _E.CANCELLED: _ACTIVE,
        _E.ROLLED_BACK: frozenset(),
        _E.ROLLBACK_INCOMPLETE: _ACTIVE,
    }
)

STEP_RUN_TRANSITIONS: Final[Mapping[StepRunStatus, frozenset[StepRunStatus]]] = MappingProxyType(
    {
        _S.PENDING: frozenset({_S.ASSIGNED, _S.RUNNING, _S.SUCCEEDED, _S.FAILED, _S.SKIPPED, _S.NOT_RUN, _S.CANCELLED}),
        _S.ASSIGNED: frozenset(
            {_S.PENDING, _S.RUNNING, _S.SUCCEEDED, _S.FAILED, _S.CANCELLING, _S.CANCELLED, _S.UNKNOWN}
        ),
        _S.RUNNING: frozenset(
            {_S.PENDING, _S.SUCCEEDED, _S.FAILED, _S.SKIPPED, _S.NOT_RUN, _S.CANCELLING, _S.CANCELLED, _S.UNKNOWN}
        ),
        _S.CANCELLING: frozenset({_S.PENDING, _S.SUCCEEDED, _S.FAILED, _S.CANCELLED, _S.UNKNOWN}),
        _S.UNKNOWN: frozenset({_S.PENDING, _S.SUCCEEDED, _S.FAILED, _S.CANCELLED}),
        _S.SUCCEEDED: frozenset({_S.PENDING, _S.COMPENSATING, _S.COMPENSATED}),
        _S.FAILED: frozenset({_S.PENDING}),
        _S.SKIPPED: frozenset({_S.PENDING}),
        _S.NOT_RUN: frozenset({_S.PENDING}),
        _S.CANCELLED: frozenset({_S.PENDING}),
        _S.COMPENSATING: frozenset({_S.COMPENSATED, _S.COMPENSATION_FAILED}),
        _S.COMPENSATED: frozenset({_S.PENDING}),
        _S.COMPENSATION_FAILED: frozenset({_S.COMPENSATING}),
    }
)


def advance_execution(current: ExecutionStatus, to: ExecutionStatus) -> ExecutionStatus:
    """Return `to`; raise IllegalTransition unless the table lets it follow `current`."""
    if to not in EXECUTION_TRANSITIONS[current]:
        raise IllegalTransition(f"an execution cannot go from {current} to {to}")
    return to


def advance_step_run(current: StepRunStatus, to: StepRunStatus) -> StepRunStatus:
    """Return `to`; raise IllegalTransition unless the table lets it follow `current`."""
    if to not in STEP_RUN_TRANSITIONS[current]:
        raise IllegalTransition(f"a step run cannot go from {current} to {to}")
    return to
