"""What the stored events of one execution must say, whatever happened around it: read in order, from its first."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.plan import Effect, Plan, PlannedStep, StepKind
from pilotage_coordinator.domain.planning.every_step import hosts_of
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.simulation.batches import Batches
from tests.simulation.gates import Gates

Unit = tuple[str, str, str]
"""Path, host, item: one step run."""

RESTARTABLE = (Effect.READ, Effect.IDEMPOTENT)
FORGOTTEN = "without it"
"""What the evidence says of the journal of a host that began an attempt and forgot it with its power."""


@dataclass
class Rollout:
    """How far a step is on its hosts."""

    hosts: tuple[str, ...]
    begun: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)


@dataclass
class Course:
    """Follows an execution's events. `violate` is called with what is wrong."""

    execution: str
    plan: Plan
    violate: Callable[[str], None]
    calm: int = 0
    """When all faults were over, UTC microseconds; 0: not yet."""
    planned: Counter[AttemptKey] = field(default_factory=Counter)
    ended: Counter[AttemptKey] = field(default_factory=Counter)
    begun: set[AttemptKey] = field(default_factory=set)
    interrupted: dict[AttemptKey, str] = field(default_factory=dict)
    """Interrupted attempts, with what a probe said of them."""
    forgotten: set[AttemptKey] = field(default_factory=set)
    """Those of them that their hosts began and do not know any more, though their journals are unbroken."""
    unbegun: dict[AttemptKey, str] = field(default_factory=dict)
    """Attempts that ended without having begun, as their hosts say, and how."""
    _steps: Mapping[str, PlannedStep] = field(init=False)
    _open: set[AttemptKey] = field(default_factory=set)
    _undecided: set[Unit] = field(default_factory=set)
    """Runs that were interrupted where only a person may say what comes next."""
    _rollouts: dict[str, Rollout] = field(default_factory=dict)
    _paused: bool = False
    _good: set[tuple[str, str, str]] = field(default_factory=set)
    """Path, host and item of steps that succeeded there last; without the item where the step loops by itself."""
    gates: Gates = field(init=False)
    batches: Batches = field(init=False)

    def __post_init__(self) -> None:
        self.gates = Gates(self.execution, self.plan, self.violate, self.calm)
        self.batches = Batches(self.execution, self.plan, self.violate)
        self._steps = {step.path: step for step in _all_steps([*self.plan.steps, *self.plan.finally_])}
        self._meant = hosts_of(self.plan)

    def follow(self, events: Iterable[tuple[str, Mapping[str, Any], int]]) -> None:
        """Read the events: type, data, and time in UTC microseconds."""
        for type_, data, at in events:
            self.gates.follow(type_, data, at)
            self.batches.follow(type_, data, at)
            handle = getattr(self, f"_{type_}", None)
            if handle is not None:
                handle(data)

    def starts_once(self, key: AttemptKey) -> bool:
        """Return whether the plan says that an attempt may be started once only."""
        return key.kind is AttemptKind.RUN and self._steps[key.path].effect not in RESTARTABLE

    # One method for each type of event that says something here

    def _attempt_planned(self, data: Mapping[str, Any]) -> None:
        key, unit = self._key(data), _unit(data)
        self.planned[key] += 1
        self._open.add(key)
        if self.planned[key] > 1:
            self._wrong("6", key, "was planned twice")
        if self._paused:
            self._wrong("pause", key, "was planned in a pause")
        if key.kind is AttemptKind.RUN:
            if unit in self._undecided:
                self._wrong("1", key, "follows an interrupted attempt about which nobody has decided")
            self._meant_for(key, data.get("parameters", {}))
            self._host_begins(key)

    def _meant_for(self, key: AttemptKey, told: Mapping[str, Any]) -> None:
        """Check that a run stands where its plan wants it, and was told where that is."""
        if told.get("h", key.host) != key.host or told.get("i", key.item) != key.item:
            self._wrong("place", key, f"is told that it is {told}")
        if key.host not in self._meant.get(key.path, ()):
            self._wrong("place", key, "is planned on a host that it is not meant for")
        source = self._steps[key.path].hosts_from
        if source is None:
            return
        item = self._item_around(source.path, key.item)
        if not {(source.path, key.host, item), (source.path, key.host, "")} & self._good:
            self._wrong("place", key, f"is planned where {source.path} did not succeed")

    def _item_around(self, path: str, item: str) -> str:
        """Return the item of the loop around a step; "" where there is none, also if the step loops by itself."""
        return "" if self._steps[path].for_each is not None else item

    def _attempt_begun(self, data: Mapping[str, Any]) -> None:
        self.begun.add(self._key(data))

    def _attempt_finished(self, data: Mapping[str, Any]) -> None:
        key = self._key(data)
        self.ended[key] += 1
        self._open.discard(key)
        if self.ended[key] > 1:
            self._wrong("6", key, "ended twice")
        if key not in self.planned:
            self._wrong("6", key, "ended and was never planned")
        if key.kind is not AttemptKind.RUN:
            return
        self._host_ends(key, str(data["becomes"]))
        change = self._good.add if data["becomes"] == "succeeded" else self._good.discard
        change((key.path, key.host, self._item_around(key.path, key.item)))
        step = self._steps.get(key.path)
        outcome = str(data["outcome"])
        if outcome == "declined" or (outcome == "cancelled" and not data.get("started_at")):
            self.unbegun[key] = outcome
        if outcome != "interrupted":
            return
        evidence = data.get("evidence", {})
        probed = self.interrupted[key] = str(evidence.get("probe", ""))
        if evidence.get("journal") == FORGOTTEN:
            self.forgotten.add(key)
        if step is None:
            return
        out_of_order = evidence.get("recovery") == "failed"
        if out_of_order and data["becomes"] != ("failed" if step.on_unknown == "fail" else "unknown"):
            self._wrong("recovery", key, f"is not in order, and its run becomes {data['becomes']}")
        if out_of_order or (step.effect not in RESTARTABLE and probed != "not_done"):
            self._undecided.add(_unit(data))

    def _unknown_settled(self, data: Mapping[str, Any]) -> None:
        self._undecided.discard(_unit(data))
        if data.get("as_") == "succeeded":
            self._good.add((data["path"], data.get("host", ""), self._item_around(data["path"], data.get("item", ""))))
        rollout = self._rollouts.get(data["path"])
        if rollout is not None:
            rollout.unknown.discard(data.get("host", ""))
            if data.get("as_") == "failed":
                rollout.failed.add(data.get("host", ""))

    def _execution_reopened(self, data: Mapping[str, Any]) -> None:
        self._undecided.clear()
        self._rollouts.clear()
        self._paused = False

    def _execution_moved(self, data: Mapping[str, Any]) -> None:
        if ExecutionStatus(data["to"]).terminal and self._open:
            self._wrong("6", min(self._open), f"is open, and its execution is {data['to']}")

    def _pause_asked(self, data: Mapping[str, Any]) -> None:
        self._paused = True

    def _resume_asked(self, data: Mapping[str, Any]) -> None:
        self._paused = False

    def _frame_halted(self, data: Mapping[str, Any]) -> None:
        # Cancelling a paused execution lets it finish.
        self._paused = self._paused and bool(data.get("path"))

    # Rollouts: of steps that are no group and no loop, whose hosts can be counted without the engine's help

    def _run_held(self, data: Mapping[str, Any]) -> None:
        rollout = self._rollout(data["path"])
        if rollout is not None:
            # Its turn came; it waits for its host only.
            rollout.begun.add(data.get("host", ""))

    def _host_begins(self, key: AttemptKey) -> None:
        rollout = self._rollout(key.path)
        if rollout is None:
            return
        rollout.running.add(key.host)
        if key.host in rollout.begun:
            # Made again, perhaps because a person said so: that takes no regard of the window.
            return
        rollout.begun.add(key.host)
        limits = self._steps[key.path].rollout
        bad, total = len(rollout.failed) + len(rollout.unknown), len(rollout.hosts)
        if limits.max_failures is not None and bad > limits.max_failures.of(total):
            self._wrong("rollout", key, f"begins on another host after {bad} have failed")
        if limits.max_parallel is not None and len(rollout.running) > limits.max_parallel.of(total):
            self._wrong("rollout", key, f"runs on {len(rollout.running)} hosts at the same time")

    def _host_ends(self, key: AttemptKey, becomes: str) -> None:
        rollout = self._rollout(key.path)
        if rollout is None:
            return
        rollout.running.discard(key.host)
        if becomes in ("failed", "unknown"):
            (rollout.failed if becomes == "failed" else rollout.unknown).add(key.host)

    def _rollout(self, path: str) -> Rollout | None:
        step = self._steps.get(path)
        if step is None or step.kind is not StepKind.LEAF or not step.hosts or step.for_each or "/" in path:
            return None
        return self._rollouts.setdefault(path, Rollout(step.hosts))

    def _key(self, data: Mapping[str, Any]) -> AttemptKey:
        path, host, item = _unit(data)
        return AttemptKey(self.execution, path, host, item, AttemptKind(data["kind"]), data["attempt"])

    def _wrong(self, invariant: str, key: AttemptKey, what: str) -> None:
        item = f"#{key.item}" if key.item else ""
        where = f"{key.execution[-1]}:{key.path}@{key.host}{item} {key.kind} {key.attempt}"
        self.violate(f"{invariant}: {where} {what}")


def _unit(data: Mapping[str, Any]) -> Unit:
    return data["path"], data.get("host", ""), data.get("item", "")


def _all_steps(steps: Iterable[PlannedStep]) -> Iterator[PlannedStep]:
    for step in steps:
        yield step
        yield from _all_steps(step.inside)
