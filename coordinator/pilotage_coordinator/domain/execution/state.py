"""The state of one execution: the fold of its events, in persistent maps.

Everything that a decision needs is kept at hand (counters, the queue of what is ready, open attempts by host, timers),
so that nothing here is searched. Only `engine.evolve` makes new states.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from immutables import Map

from pilotage_coordinator.domain.execution.index import ROOT, PlanIndex, index_plan
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, Frame, Loop, OpenGate
from pilotage_coordinator.domain.execution.run import OpenAttempt, StepRun
from pilotage_coordinator.domain.execution.states import ExecutionStatus, PendingReason, StepRunStatus
from pilotage_coordinator.domain.execution.timers import Timers
from pilotage_coordinator.domain.plan import Json, Plan, PlannedStep

ROOT_KEY = RunKey(ROOT)

WorkKind: TypeAlias = Literal["step", "fan", "loop", "run", "undo", "wave"]
"""What can start: a step in its frame, more hosts, more items, one run, one compensation, the next compensations."""

DutyKind: TypeAlias = Literal["failure", "over", "return", "halt"]
"""What must be settled even in a pause: a failure's policy, a rollout's end, a frame's end, an inherited halt."""


class Work(NamedTuple):
    """Something that may start now."""

    kind: WorkKind
    key: RunKey


class Duty(NamedTuple):
    """A consequence that is still to be recorded."""

    kind: DutyKind
    key: RunKey


@dataclass(frozen=True, slots=True)
class Rollback:
    """Compensation under way: of the whole execution, or of one rollout's hosts."""

    reason: str
    step: str = ""
    """The rollout's step; empty for the whole execution."""
    item: str = ""
    waves: tuple[tuple[RunKey, ...], ...] = ()
    """What to compensate, in order; a wave begins when the one before it has ended."""
    wave: int = 0
    remaining: int = 0
    failed: bool = False
    actions: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionState:
    """One execution at one moment. Two states that folded the same events are equal."""

    id: str
    plan: Plan
    index: PlanIndex = field(compare=False, repr=False)
    status: ExecutionStatus = ExecutionStatus.PENDING
    reason: str = ""
    seed: str = ""
    requested_by: str = ""
    begun_at: int = 0
    ended_at: int = 0
    outputs: Mapping[str, Json] = field(default_factory=dict)
    warnings: bool = False
    """Something failed or was not run, and the execution went on all the same."""
    pause_reason: str | None = None
    """Set while a pause is asked."""
    halted: str = ""
    """Why the whole execution starts nothing new: stop, rollback, cancel or deadline; empty while it does."""

    runs: Map[RunKey, StepRun] = field(default_factory=Map)
    by_path: Map[str, Map[RunKey, None]] = field(default_factory=Map)
    frames: Map[RunKey, Frame] = field(default_factory=Map)
    fans: Map[RunKey, Fan] = field(default_factory=Map)
    loops: Map[RunKey, Loop] = field(default_factory=Map)
    waits: Map[RunKey, int] = field(default_factory=Map)
    """Steps in their frames, to how many dependencies have not ended (only where more than one)."""
    kept: Map[RunKey, None] = field(default_factory=Map)
    """Runs that ended before a retry and still count: adopted when their turn comes."""
    open: Map[RunKey, OpenAttempt] = field(default_factory=Map)
    cancels: Map[RunKey, None] = field(default_factory=Map)
    """Open attempts that are to be stopped."""
    by_host: Map[str, Map[RunKey, None]] = field(default_factory=Map)
    """Open attempts, and runs that wait for their host, by host."""
    gates: Map[str, OpenGate] = field(default_factory=Map)
    unknown: Map[RunKey, None] = field(default_factory=Map)
    timers: Timers = field(default_factory=Timers)
    sleeping: int = 0
    """How many runs and batches go on by themselves later: retries, hosts awaited, waits between batches."""
    sequence: int = 0
    ready: tuple[Work, ...] = ()
    """What may start now and has not: empty between inputs, except in a pause."""
    duties: tuple[Duty, ...] = ()
    rollbacks: tuple[Rollback, ...] = ()
    """The first is under way."""
    kept_back: Map[RunKey, str] = field(default_factory=Map)
    """What a rollback leaves as it is, and why: irreversible, undo: none, or a failed compensation."""

    @classmethod
    def new(cls, execution: str, plan: Plan) -> "ExecutionState":
        """Return the state before any event. O(size of the plan)."""
        return cls(id=execution, plan=plan, index=index_plan(plan))

    def step(self, path: str) -> PlannedStep:
        """Return the planned step at `path`; KeyError if there is none."""
        return self.index.steps[path].step

    def run(self, key: RunKey) -> StepRun:
        """Return a run; one whose turn has not come is pending, with the reason. KeyError for an unknown path."""
        found = self.runs.get(key)
        if found is not None:
            return found
        info = self.index.steps[key.path]
        fan = self.fans.get(RunKey(key.path, "", key.item)) if info.fans else None
        reason = PendingReason.DEPENDENCY if fan is None else PendingReason.ROLLOUT
        return StepRun(key, info.step.kind, StepRunStatus.PENDING, reason)

    @property
    def terminal(self) -> bool:
        """Return whether nothing more happens by itself."""
        return self.status.terminal
