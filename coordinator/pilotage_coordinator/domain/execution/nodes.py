"""The moving parts between a plan and its runs: frames (a sequence of steps), fans (hosts), loops (items).

They count what is open and how the rest ended, so that one result costs the same in a fleet of ten or of ten thousand.
Named tuples, as runs are: every event makes new ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from immutables import Map

from pilotage_coordinator.domain.approval.request import Request
from pilotage_coordinator.domain.execution.events import HaltCause
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.plan import Json


class Tally(NamedTuple):
    """How many parts ended in which way."""

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    not_run: int = 0
    cancelled: int = 0

    def plus(self, status: StepRunStatus, count: int = 1) -> "Tally":
        """Return the tally with `count` more parts that ended as `status`."""
        return Tally(
            self.succeeded + (count if status is StepRunStatus.SUCCEEDED else 0),
            self.failed + (count if status is StepRunStatus.FAILED else 0),
            self.skipped + (count if status is StepRunStatus.SKIPPED else 0),
            self.not_run + (count if status is StepRunStatus.NOT_RUN else 0),
            self.cancelled + (count if status is StepRunStatus.CANCELLED else 0),
        )

    @property
    def total(self) -> int:
        """Return how many parts ended."""
        return self.succeeded + self.failed + self.skipped + self.not_run + self.cancelled


class Phase(StrEnum):
    """Where a frame is."""

    BODY = "body"
    ROLLBACK = "rollback"
    """The whole execution's frame only."""
    FINALLY = "finally"
    RETURNING = "returning"
    """All steps have ended; a call's outputs are to be evaluated, or the execution is to be concluded."""
    CLOSED = "closed"


class Frame(NamedTuple):
    """A sequence of steps being gone through: the execution itself, a group on a host, a call, an undo's steps."""

    phase: Phase = Phase.BODY
    remaining: int = 0
    """Steps of this phase that have not ended."""
    tally: Tally = Tally()
    """How the steps of the body ended."""
    finally_failed: bool = False
    halted: HaltCause | None = None
    halt_reason: str = ""
    closed: Map[str, StepRunStatus] = Map()
    """Paths of the steps that have ended, and how."""
    healthy_since: int = 0
    """For a health gate: when the first of its latest rounds, all of them good, had ended; 0 = the last was not."""
    stale: bool = False
    """For a health gate: its time began anew amid a round, which is worth nothing any more."""


class Fan(NamedTuple):
    """A step going over its hosts, in batches and within a window."""

    hosts: tuple[str, ...]
    """In rollout order."""
    dropped: tuple[str, ...] = ()
    total: int = 0
    """What percentages are of: its hosts, with those that had succeeded before a retry."""
    max_parallel: int = 0
    """0 = no limit."""
    max_failures: int = -1
    """-1 = no limit."""
    cursor: int = 0
    """How many hosts have begun."""
    batch: int = 0
    batch_start: int = 0
    batch_end: int = 0
    running: Map[str, None] = Map()
    """Hosts that have begun, not ended, and are not held by an unknown."""
    held: Map[str, None] = Map()
    """Hosts with an unknown run inside."""
    tally: Tally = Tally()
    failed: Map[str, None] = Map()
    """Hosts that failed."""
    waiting: bool = False
    """The batch is done; the next one waits for a time, a gate, or both."""
    wait_until: int = 0
    gate: str = ""
    ordering: bool = False
    """What its order depends on is being asked."""
    refreshed: int = -1
    """The last batch before which that was asked."""
    ordered: int = -1
    """The last batch before which its hosts were ordered."""
    analysing: bool = False
    """Its batch is being judged."""
    analysed: int = -1
    """The last batch that was judged good, by its analysis or by a person."""
    doubt: str = ""
    """Name of the gate at which a person decides on a batch whose analysis was inconclusive."""
    condemned: bool = False
    """Its batch was judged bad."""
    ended: str = ""
    """Why no more hosts are started; empty while they are."""
    defeated: bool = False
    """It ended because too many hosts failed, or its gate was denied."""
    revert: bool = False
    """What its hosts did is still to be compensated before it ends."""
    status: StepRunStatus | None = None
    """How the step ended as a whole; None while it has not."""


class Passed(NamedTuple):
    """How far a rollout had come when it was taken up again: what was judged, asked and waited for is not undone."""

    batch: int
    """The batch that it goes on with."""
    hosts: Map[str, None]
    """Those of the batches before."""


class Loop(NamedTuple):
    """A step going over the items of its `for_each` on one host."""

    keys: tuple[str, ...]
    values: Mapping[str, Json]
    max_parallel: int = 0
    cursor: int = 0
    running: Map[str, None] = Map()
    tally: Tally = Tally()
    ended: str = ""
    status: StepRunStatus | None = None
    unknown: int = 0


class GateScope(StrEnum):
    """What a gate holds."""

    RUN = "run"
    """One run: a step that is a gate itself."""
    BATCH = "batch"
    """A rollout, after a batch."""
    STEP = "step"
    """A step, wherever it is about to begin."""
    EXECUTION = "execution"
    """Everything."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What became of the request before a step, or before everything, in this pass of the execution."""

    request: str
    approved: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OpenGate:
    """A named gate that somebody or something must release."""

    name: str
    path: str
    host: str = ""
    item: str = ""
    prompt: str = ""
    opened_at: int = 0
    scope: GateScope = GateScope.RUN
    approval: Request | None = None
    """What is asked of people; None: whoever may release gates does."""
    waiting: Map[RunKey, None] = field(default_factory=Map)
    """Before a step, or before everything: the steps in their frames that go on once it is open."""
