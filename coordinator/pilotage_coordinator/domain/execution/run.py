"""One step run, and the attempt that it has open."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.plan import FailureKind, Json, StepKind

NOTHING: Final[Mapping[str, Json]] = {}
"""What has no outputs, parameters or evidence shares this; never written to."""


class StepRun(NamedTuple):
    """One step on one host and item. Runs whose turn has not come are not held: see `ExecutionState.run`.

    A tuple, because each event makes a new one: `_replace` costs a quarter of what a frozen dataclass takes.
    """

    key: RunKey
    kind: StepKind
    status: StepRunStatus
    reason: PendingReason | None = None
    """While pending: what it waits for."""
    detail: str = ""
    """Why it is skipped, not run, or waits: for people."""
    attempts: int = 0
    """How many attempts of kind `run` were ever made: the last one's number."""
    tries: int = 0
    """How many of them since the run was last taken up; what `max_attempts` bounds."""
    interruptions: int = 0
    """How many attempts in a row ended interrupted and were safely made again."""
    undo_attempts: int = 0
    undo_tries: int = 0
    parameters: Mapping[str, Json] = NOTHING
    """As rendered for its last attempt; an undo gets the same."""
    outputs: Mapping[str, Json] = NOTHING
    error: str = ""
    failure_kind: FailureKind | None = None
    evidence: Mapping[str, Json] = NOTHING
    planned_at: int = 0
    """When its first attempt of this taking up was planned."""
    started_at: int = 0
    ended_at: int = 0
    retry_at: int = 0
    expired: bool = False
    """Its step deadline has passed: what runs is being stopped, and that is a failure."""
    unknown: int = 0
    """For a group or call: how many runs inside are unknown."""
    sequence: int = 0
    """Its place in the order in which runs settled; 0 = not settled."""
    undo_error: str = ""
    gate: str = ""
    """While it waits for one: the gate's name."""


class OpenAttempt(NamedTuple):
    """An attempt that is planned and not ended: what the runtime must see to."""

    run: RunKey
    kind: AttemptKind
    attempt: int
    parameters: Mapping[str, Json]
    outputs: Mapping[str, Json] = NOTHING
    """For an undo: the outputs of the run that is undone."""
    planned_at: int = 0
    started: bool = False
    cancel_reason: str | None = None
    """Set once it is to be stopped."""
