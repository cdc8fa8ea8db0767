"""Tiny words for plans, a small world, and an execution that a test drives by hand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.codec import decode, encode, type_name
from pilotage_coordinator.domain.execution.coordinator_step import CoordinatorStep
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import (
    BlueprintRef,
    Effect,
    FailureKind,
    Health,
    HostsFrom,
    Json,
    Place,
    Plan,
    PlannedStep,
    Retry,
    StepKind,
    StepTypeUse,
)
from pilotage_coordinator.domain.planning.drift import HostDrift
from pilotage_coordinator.engine.decide import Reaction, react
from pilotage_coordinator.engine.draft import Work
from pilotage_coordinator.engine.due import due, next_wakeup
from pilotage_coordinator.engine.evolve import evolve, fold
from pilotage_coordinator.steps import coordinator_steps
from pilotage_proto.attempt import AttemptKey, AttemptKind

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def leaf(id: str, *hosts: str, after: Sequence[str] = (), **more: Any) -> PlannedStep:
    """A step on hosts (none: inside a group)."""
    more.setdefault("type", StepTypeUse("dummy.run"))
    return PlannedStep(path=id, kind=StepKind.LEAF, hosts=hosts, dependencies=tuple(after), **more)


def here(id: str, type: str = "validation.assert", after: Sequence[str] = (), **more: Any) -> PlannedStep:
    """A step on the coordinator."""
    use = StepTypeUse(type)
    return PlannedStep(
        path=id, kind=StepKind.LEAF, type=use, place=Place.COORDINATOR, dependencies=tuple(after), **more
    )


def group(
    id: str, hosts: Sequence[str], steps: Sequence[PlannedStep], after: Sequence[str] = (), **more: Any
) -> PlannedStep:
    """A group; the ids inside are given without the group's own."""
    return PlannedStep(
        path=id, kind=StepKind.GROUP, hosts=tuple(hosts), steps=tuple(steps), dependencies=tuple(after), **more
    )


def call(id: str, steps: Sequence[PlannedStep], after: Sequence[str] = (), **more: Any) -> PlannedStep:
    """A call of a blueprint with these steps."""
    return PlannedStep(path=id, kind=StepKind.CALL, steps=tuple(steps), dependencies=tuple(after), **more)


def gate(
    checks: Sequence[PlannedStep], after: Sequence[str], for_: int = 10, within: int = 60, every: int = 5
) -> PlannedStep:
    """A health gate inside a group; times in seconds."""
    times = Health(for_ * SECOND, within * SECOND, every * SECOND)
    return PlannedStep(
        path="!health", kind=StepKind.HEALTH, steps=tuple(checks), dependencies=tuple(after), health=times
    )


def check(id: str, **more: Any) -> PlannedStep:
    """A step that only reads."""
    return leaf(id, effect=Effect.READ, **more)


def placed(step: PlannedStep, parent: str = "") -> PlannedStep:
    """The step with paths that are joined from the ids around it."""
    path = f"{parent}/{step.path}" if parent else step.path
    join = (lambda name: f"{parent}/{name}") if parent else (lambda name: name)
    return replace(
        step,
        path=path,
        dependencies=tuple(join(name) for name in step.dependencies),
        hosts_from=_of_sibling(step, join),
        steps=tuple(placed(inner, path) for inner in step.steps),
        finally_=tuple(placed(inner, path) for inner in step.finally_),
        undo_steps=tuple(placed(inner, path) for inner in step.undo_steps),
        rollout=replace(
            step.rollout,
            analysis=tuple(placed(inner, path) for inner in step.rollout.analysis),
            refresh=tuple(placed(inner, path) for inner in step.rollout.refresh),
        ),
    )


def _of_sibling(step: PlannedStep, join: Callable[[str], str]) -> HostsFrom | None:
    """The step's `hosts_from`, which names a step that it depends on as its dependencies do, and any other in full."""
    source = step.hosts_from
    return (
        replace(source, path=join(source.path)) if source is not None and source.path in step.dependencies else source
    )


def plan(*steps: PlannedStep, finally_: Sequence[PlannedStep] = (), **more: Any) -> Plan:
    """A plan of these steps."""
    more.setdefault("parameters", {})
    more.setdefault("targets", ())
    return Plan(
        blueprint=BlueprintRef("test", "1.0.0", "sha256:0"),
        steps=tuple(placed(step) for step in steps),
        finally_=tuple(placed(step) for step in finally_),
        digest="sha256:1",
        **more,
    )


def tries(count: int, delay: int = SECOND, **more: Any) -> Retry:
    """A retry policy."""
    return Retry(max_attempts=count, initial_delay=delay, **more)


class FakeWorld:
    """Hosts that are online unless said otherwise."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self.offline: set[str] = set()
        self.left: dict[str, int] = {}
        self.drifts: dict[str, HostDrift] = {}
        self.forbidden: dict[str, str] = {}
        self.hosts: dict[str, Mapping[str, Json]] = {name: {"name": name, "labels": {}, "facts": {}} for name in hosts}
        self.expressions = Expressions()
        self.coordinator_steps: Mapping[str, CoordinatorStep] = coordinator_steps()

    def online(self, host: str) -> bool:
        """Whether the host is there."""
        return host not in self.offline

    def drift(self, plan: Plan, step: PlannedStep, host: str) -> HostDrift | None:
        """What has changed on a host."""
        return self.drifts.get(host)

    def forbids(
        self,
        plan: Plan,
        step: PlannedStep,
        host: str,
        parameters: Mapping[str, Json],
        request: Mapping[str, Json],
        now: int,
    ) -> str:
        """What the policy forbids on a host."""
        return self.forbidden.get(host, "")

    def away_since(self, host: str) -> int:
        """Since when it is not; by default for so long that nobody waits for its return."""
        return self.left.get(host, 0)


class Run:
    """An execution under test: every input checks that the fold of its events is its state."""

    def __init__(self, plan: Plan, *, begin: bool = True, world: FakeWorld | None = None) -> None:
        self.plan = plan
        self.world = world or FakeWorld()
        self.now = START
        self.state = ExecutionState.new("exe_1", plan)
        self.most = 0
        self.left: tuple[Work, ...] = ()
        """What a decision bounded by `most` has left to the next."""
        self.history: list[tuple[e.Event, int]] = []
        self.starts: list[AttemptKey] = []
        if begin:
            self.give(i.Begin("seed", "anna"))

    def give(self, input: i.Input) -> Reaction:
        """Feed one input."""
        reaction = react(self.state, input, self.now, self.world, left=self.left, most=self.most)
        self.left = reaction.left
        state = self.state
        for event in reaction.events:
            event = decode(type_name(event), encode(event))
            state = evolve(state, event, self.now)
            self.history.append((event, self.now))
        assert state == reaction.state
        before, self.state = self.state, state
        changed = {key for key, run in state.runs.items() if before.runs.get(key) is not run}
        assert changed >= {key for key in reaction.touched if before.runs.get(key) != state.runs[key]}
        assert {key for key in changed if before.runs.get(key) != state.runs[key]} <= set(reaction.touched)
        self.starts += [
            AttemptKey(state.id, ev.path, ev.host, ev.item, ev.kind, ev.attempt)
            for ev in reaction.events
            if isinstance(ev, e.AttemptPlanned)
        ]
        return reaction

    def refold(self) -> None:
        """Check that the history alone gives the same state and the same work."""
        again = fold(ExecutionState.new("exe_1", self.plan), self.history)
        assert again == self.state
        assert due(again) == due(self.state)
        assert next_wakeup(again) == next_wakeup(self.state)

    @property
    def status(self) -> str:
        """The execution's status."""
        return str(self.state.status)

    def open(self) -> list[str]:
        """Paths and hosts of what is open, such as `a@h1`; an undo as `undo a@h1`."""
        return [_name(run, attempt.kind) for run, attempt in sorted(self.state.open.items())]

    def run(self, name: str) -> StepRun:
        """The run named `path`, `path@host` or `path@host#item`."""
        return self.state.run(key_of(name))

    def statuses(self, path: str) -> dict[str, str]:
        """Host (and item) to status, of all runs of a step."""
        return {
            key.host + (f"#{key.item}" if key.item else ""): str(run.status)
            for key, run in sorted(self.state.runs.items())
            if key.path == path
        }

    def key(self, name: str) -> AttemptKey:
        """The key of the open attempt of a run."""
        run = key_of(name)
        attempt = self.state.open[run]
        return AttemptKey("exe_1", run.path, run.host, run.item, attempt.kind, attempt.attempt)

    def end(self, name: str, outcome: Outcome = Outcome.SUCCEEDED, started: bool = True, **more: Any) -> Reaction:
        """End the open attempt of a run."""
        return self.report(self.key(name), outcome, started, **more)

    def report(
        self, key: AttemptKey, outcome: Outcome = Outcome.SUCCEEDED, started: bool = True, **more: Any
    ) -> Reaction:
        """Report the end of any attempt."""
        if outcome is Outcome.FAILED:
            more.setdefault("failure_kind", FailureKind.STEP)
            more.setdefault("error", "broken")
        report = AttemptReport(
            key, 1, outcome, started_at=self.now - SECOND if started else 0, ended_at=self.now, **more
        )
        return self.give(i.AttemptEnded(report))

    def fail(self, name: str, **more: Any) -> Reaction:
        """End the open attempt of a run as failed."""
        return self.end(name, Outcome.FAILED, **more)

    def wait(self, microseconds: int) -> Reaction:
        """Let time pass, then tick."""
        self.now += microseconds
        return self.give(i.Tick())

    def finish(self, outputs: Mapping[str, Json] | None = None) -> None:
        """End everything that opens as succeeded, until nothing is open."""
        while self.state.open:
            for run in sorted(self.state.open):
                if run in self.state.open:
                    self.report(self.key(_name(run)), outputs=outputs or {})
        self.refold()


def key_of(name: str) -> RunKey:
    """Read `path@host#item`."""
    rest, _, item = name.partition("#")
    path, _, host = rest.partition("@")
    return RunKey(path, host, item)


def _name(run: RunKey, kind: AttemptKind = AttemptKind.RUN) -> str:
    text = run.path + (f"@{run.host}" if run.host else "") + (f"#{run.item}" if run.item else "")
    return f"undo {text}" if kind is AttemptKind.UNDO else text
