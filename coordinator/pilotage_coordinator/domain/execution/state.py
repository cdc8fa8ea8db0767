"""The state of one execution: the fold of its events, in persistent maps.

Everything that a decision needs is kept at hand (counters, open attempts by host, timers),
so that nothing here is searched. Only `engine.evolve` makes new states.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from immutables import Map

from pilotage_coordinator.domain.execution.index import ROOT, PlanIndex, index_plan
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, Frame, Grant, Loop, OpenGate, Passed
from pilotage_coordinator.domain.execution.run import OpenAttempt, StepRun
from pilotage_coordinator.domain.execution.states import ExecutionStatus, PendingReason, StepRunStatus
from pilotage_coordinator.domain.execution.timers import Timers
from pilotage_coordinator.domain.plan import Json, Plan, PlannedStep

ROOT_KEY = RunKey(ROOT)


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
    """Compensations of the present wave that have not ended."""
    waiting: Map[RunKey, None] = field(default_factory=Map)
    """Those of them that have not begun."""
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
    request: Mapping[str, Json] = field(default_factory=dict)
    """Who asked, as a policy sees it, and what for; empty where that was not recorded."""
    begun_at: int = 0
    ended_at: int = 0
    outputs: Mapping[str, Json] = field(default_factory=dict)
    warnings: bool = False
    """Something failed or was not run, and the execution went on all the same."""
    pause_reason: str | None = None
    """Set while a pause is asked."""
    pause_change: str = ""
    """What has drifted, if that is why it is paused."""
    accepted: Map[str, None] = field(default_factory=Map)
    """What has drifted and was accepted by a person who resumed."""
    halted: str = ""
    """Why the whole execution starts nothing new: stop, rollback, cancel or deadline; empty while it does."""

    runs: Map[RunKey, StepRun] = field(default_factory=Map)
    by_path: Map[str, Map[RunKey, None]] = field(default_factory=Map)
    frames: Map[RunKey, Frame] = field(default_factory=Map)
    fans: Map[RunKey, Fan] = field(default_factory=Map)
    loops: Map[RunKey, Loop] = field(default_factory=Map)
    arguments: Map[RunKey, Mapping[str, Json]] = field(default_factory=Map)
    """Calls that have begun, to the parameters that they began with besides those that the plan gives to all. Kept for
    good: what is inside may be compensated when the call itself is long over."""
    items: Map[RunKey, Mapping[str, Json]] = field(default_factory=Map)
    """Loops that have begun, to their items by key. Kept for good, as `arguments` are."""
    waits: Map[RunKey, int] = field(default_factory=Map)
    """Steps in their frames, to how many dependencies have not ended (only where more than one)."""
    kept: Map[RunKey, None] = field(default_factory=Map)
    """Runs that ended before a retry and still count: adopted when their turn comes."""
    passed: Map[RunKey, Passed] = field(default_factory=Map)
    """How far rollouts had come before a retry."""
    open: Map[RunKey, OpenAttempt] = field(default_factory=Map)
    cancels: Map[RunKey, None] = field(default_factory=Map)
    """Open attempts that are to be stopped."""
    by_host: Map[str, Map[RunKey, None]] = field(default_factory=Map)
    """Open attempts, and runs that wait for their host, by host."""
    gates: Map[str, OpenGate] = field(default_factory=Map)
    grants: Map[str, Grant] = field(default_factory=Map)
    """Gates before steps, and before everything, that people have answered. A retry asks anew."""
    asked: int = 0
    """How many requests for approval there were."""
    reopened_by: str = ""
    """Who took it up again last."""
    unknown: Map[RunKey, None] = field(default_factory=Map)
    timers: Timers = field(default_factory=Timers)
    sleeping: int = 0
    """How many runs and batches go on by themselves later: retries, hosts awaited, waits between batches."""
    sequence: int = 0
    rollbacks: tuple[Rollback, ...] = ()
    """The first is under way."""
    rolled_back: bool = False
    """The whole execution's rollback has ended."""
    rollback_failed: str = ""
    """Which compensation failed; empty while none has."""
    rollback_unmet: str = ""
    """The condition that forbade the rollback."""
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
        item = key.item if info.carries_item else ""
        frame = self.frames.get(RunKey(info.frame, key.host if info.on_host else "", item))
        if frame is not None and key.path in frame.closed:
            cancelled = frame.closed[key.path] is StepRunStatus.CANCELLED
            status = StepRunStatus.CANCELLED if cancelled else StepRunStatus.NOT_RUN
            return StepRun(key, info.step.kind, status, detail=frame.halt_reason)
        waits_for_turn = info.fans and RunKey(key.path, "", item) in self.fans
        reason = PendingReason.ROLLOUT if waits_for_turn else PendingReason.DEPENDENCY
        return StepRun(key, info.step.kind, StepRunStatus.PENDING, reason)

    @property
    def terminal(self) -> bool:
        """Return whether nothing more happens by itself."""
        return self.status.terminal
