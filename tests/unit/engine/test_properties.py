"""Random plans in a random world: whatever happens, the invariants of an execution hold (TESTING: Invariants)."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import ExecutionStatus, PendingReason, StepRunStatus
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import (
    Batch,
    Effect,
    FailureKind,
    HostsFrom,
    OnFailure,
    OnOffline,
    Plan,
    PlannedStep,
    RollbackPlan,
    Rollout,
    RolloutFailure,
)
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine.due import due, next_wakeup
from pilotage_proto.attempt import AttemptKey

from tests.unit.engine.build import SECOND, FakeWorld, Run, call, check, gate, group, here, leaf, placed, plan, tries

HOSTS = ["h1", "h2", "h3", "h4"]
REQUESTS: list[i.Input] = [
    i.PauseRequested("anna"),
    i.ResumeRequested("anna"),
    i.CancelRequested("anna"),
    i.RetryFailed("anna"),
    i.RollbackRequested("anna"),
    i.Drift("something"),
    i.RerunFrom("s0", "anna"),
    i.RerunFrom("s1", "anna"),
    i.Recovered(),
    i.Tick(),
]


class Maker:
    """Draws plans from a seeded generator: hypothesis shrinks the seed's surroundings, not the plan."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def plan(self) -> Plan:
        """Any plan."""
        steps = self.siblings("s", self.random.randint(1, 4), 2, on_host=False)
        finally_ = self.siblings("f", self.random.randint(0, 2), 0, on_host=False)
        rollback = None
        if self.random.random() < 0.2:
            actions = tuple(placed(step) for step in self.siblings("r", 2, 0, on_host=False))
            rollback = RollbackPlan(actions=actions)
        deadline = self.random.choice([0, 0, 0, 100 * SECOND])
        chosen = self.random.choice(list(OnFailure))
        return plan(*steps, finally_=finally_, rollback=rollback, deadline=deadline, on_failure=chosen)

    def siblings(self, letter: str, count: int, depth: int, *, on_host: bool) -> list[PlannedStep]:
        """Steps with dependencies on earlier ones."""
        found: list[PlannedStep] = []
        for number in range(count):
            after = [step.path for step in found if self.random.random() < 0.5]
            found.append(self.step(f"{letter}{number}", after, depth, on_host=on_host))
        return found

    def step(self, id: str, after: list[str], depth: int, *, on_host: bool) -> PlannedStep:
        """Any step."""
        hosts = [] if on_host else self.random.sample(HOSTS, self.random.randint(1, 4))
        kind = self.random.choice(
            ["leaf", "leaf", "leaf", "here", "gate", "group", "call"] if depth else ["leaf", "here"]
        )
        common: dict[str, Any] = {"on_failure": self.random.choice(list(OnFailure))}
        if self.random.random() < 0.15:
            common["when"] = self.random.choice(["true", "false"])
        finally_ = self.siblings("f", self.random.randint(0, 1), 0, on_host=on_host)
        if kind == "group":
            inner = self.siblings("i", self.random.randint(1, 3), depth - 1, on_host=True)
            finally_ = self.siblings("f", self.random.randint(0, 1), 0, on_host=True)
            rollout = self.judged(id, hosts, self.rollout())
            if self.random.random() < 0.4:
                checks = [check("k0"), check("k1", after=["k0"] if self.random.random() < 0.5 else [])]
                inner.append(gate(checks, [step.path for step in inner], for_=self.random.choice([0, 10])))
            return group(id, hosts, inner, after, rollout=rollout, finally_=tuple(finally_), **common)
        if kind == "call":
            inner = self.siblings("c", self.random.randint(1, 3), depth - 1, on_host=on_host)
            outputs = {"n": "${{ 1 + 1 }}"}
            return call(id, inner, after, finally_=tuple(finally_), outputs=outputs, **common)
        if kind == "here":
            parameters = {"that": self.random.choice(["true", "true", "false"])}
            return here(id, after=after, parameters=parameters, retry=tries(self.random.randint(1, 2)), **common)
        if kind == "gate":
            return here(id, "gate.pause", after=after, **common)
        return self.leaf(id, hosts, after, common)

    def leaf(self, id: str, hosts: list[str], after: list[str], common: dict[str, Any]) -> PlannedStep:
        """A step on hosts."""
        draw = self.random
        step = leaf(
            id,
            *hosts,
            after=after,
            effect=draw.choice(list(Effect)),
            retry=tries(draw.randint(1, 3), jitter=0.3),
            on_offline=draw.choice(list(OnOffline)),
            offline_deadline=draw.choice([0, 50 * SECOND]),
            on_unknown=draw.choice(["hold", "hold", "fail"]),
            irreversible=draw.random() < 0.1,
            deadline=draw.choice([0, 0, 20 * SECOND]),
            rollout=self.rollout(),
            **common,
        )
        if draw.random() < 0.2:
            return replace(step, for_each=draw.choice(["${{ ['x', 'y'] }}", "${{ [] }}", "${{ 7 }}"]))
        if draw.random() < 0.2:
            return replace(step, undo="steps", undo_steps=(leaf("u0"), leaf("u1", after=["u0"])))
        if hosts and after and draw.random() < 0.2:
            return replace(step, hosts=(), hosts_from=HostsFrom(draw.choice(after), order="random"))
        return step

    def judged(self, id: str, hosts: list[str], rollout: Rollout) -> Rollout:
        """The rollout, perhaps with an analysis and an order."""
        draw = self.random
        if hosts and draw.random() < 0.4:
            judges = [leaf("n0", draw.choice(HOSTS), run_once=True), here("n1", parameters={"that": "true"})]
            rollout = replace(rollout, analysis=tuple(judges[: draw.randint(1, 2)]))
        if hosts and draw.random() < 0.3:
            asked = (leaf("q0", *hosts, effect=Effect.READ),) if draw.random() < 0.5 else ()
            rollout = replace(rollout, order_by="${{ host.name }}", refresh=asked)
        return rollout

    def rollout(self) -> Rollout:
        """Any rollout."""
        draw = self.random
        batches = draw.choice(
            [
                (),
                (),
                (Batch(Share(1)),),
                (Batch(Share(1), wait=5 * SECOND), Batch(Share(50, percent=True))),
                (Batch(Share(2), gate="look"),),
            ]
        )
        return Rollout(
            max_parallel=draw.choice([None, Share(1), Share(2)]),
            batches=batches,
            max_failures=draw.choice([None, None, Share(0), Share(1), Share(50, percent=True)]),
            on_failure=draw.choice(list(RolloutFailure)),
        )


class Storm:
    """Drives an execution through results, outages, requests and crashes, checking after each input."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        maker = Maker(seed)
        self.run = Run(maker.plan(), begin=False, world=FakeWorld(HOSTS))
        self.slices = random.Random(-seed - 1)
        self.run.most = self.slices.choice([0, 1, 2, 5])
        self.ended: list[AttemptKey] = []
        self.terminal: Counter[AttemptKey] = Counter()
        self.give(i.Begin("seed", "anna"))

    def give(self, input: i.Input) -> None:
        """Feed one input; a refusal must change nothing."""
        before = self.run.state
        try:
            reaction = self.run.give(input)
        except Refused:
            assert self.run.state is before
            return
        for event in reaction.events:
            if isinstance(event, e.AttemptFinished):
                key = AttemptKey("exe_1", event.path, event.host, event.item, event.kind, event.attempt)
                self.terminal[key] += 1
        self.check()

    def check(self) -> None:
        """Look at the state as a whole."""
        state = self.run.state
        starts = Counter(self.run.starts)
        assert all(count == 1 for count in starts.values()), "an attempt was planned twice"
        assert all(count == 1 for count in self.terminal.values()), "an attempt ended twice"
        assert set(self.terminal) <= set(starts)
        assert set(state.cancels) <= set(state.open)
        for key in state.open:
            assert state.runs[key].status in (
                StepRunStatus.ASSIGNED,
                StepRunStatus.RUNNING,
                StepRunStatus.CANCELLING,
                StepRunStatus.COMPENSATING,
            )
        assert {key for key, run in state.runs.items() if run.status is StepRunStatus.UNKNOWN} == set(state.unknown)
        listed = {key for keys in state.by_host.values() for key in keys}
        away = {key for key, run in state.runs.items() if run.reason is PendingReason.OFFLINE}
        assert listed == set(state.open) | away
        if state.status in (ExecutionStatus.NEEDS_ATTENTION, ExecutionStatus.WAITING_APPROVAL):
            assert not state.open, "something still progresses"
            assert not state.sleeping, "something still progresses"
            assert not self.run.left, "something still progresses"
        if state.terminal:
            assert not self.run.left
            assert not state.open
            assert not state.unknown
            assert not state.sleeping
            assert not state.gates
            assert state.timers.first() is None
        elif not state.open and state.pause_reason is None:
            waits = state.sleeping or state.unknown or state.gates or self.run.left
            assert waits, f"{state.status} with nothing to wait for"

    def blow(self) -> None:
        """One random thing happens."""
        draw, run = self.random, self.run
        kind = draw.choice(["end"] * 8 + ["start", "late", "host", "time", "request", "gate", "resolve", "crash"])
        open_ = sorted(run.state.open)
        match kind:
            case "end" if open_:
                self.end(self.key(draw.choice(open_)), draw.choice([Outcome.SUCCEEDED] * 3 + list(Outcome)))
            case "start" if open_:
                self.give(i.AttemptStarted(self.key(draw.choice(open_)), run.now))
            case "late" if self.ended:
                self.end(draw.choice(self.ended), draw.choice(list(Outcome)))
            case "host":
                host = draw.choice(HOSTS)
                run.world.offline ^= {host}
                self.give(i.HostChanged(host))
            case "time":
                run.now += draw.choice([1, SECOND, 10 * SECOND, 100 * SECOND])
                self.give(i.Tick())
            case "request":
                self.give(draw.choice(REQUESTS))
            case "gate" if run.state.gates:
                decisions: list[Literal["approved", "denied"]] = ["approved", "approved", "denied"]
                outcome = draw.choice(decisions)
                self.give(i.GateReleased(draw.choice(sorted(run.state.gates)), "anna", outcome))
            case "resolve" if run.state.unknown:
                answers: list[Literal["succeeded", "failed", "retry"]] = ["succeeded", "failed", "retry"]
                as_ = draw.choice(answers)
                self.give(i.UnknownResolved(draw.choice(sorted(run.state.unknown)), as_, "anna"))
            case "crash":
                run.refold()
                if run.left:
                    run.left = ()
                    self.give(i.Continue(anew=True))
        if run.left and self.slices.random() < 0.6:
            self.give(i.Continue())

    def key(self, run: RunKey) -> AttemptKey:
        """The key of a run's open attempt."""
        attempt = self.run.state.open[run]
        return AttemptKey("exe_1", run.path, run.host, run.item, attempt.kind, attempt.attempt)

    def end(self, key: AttemptKey, outcome: Outcome) -> None:
        """Report an end, as an agent would."""
        started = 0 if outcome is Outcome.DECLINED or self.random.random() < 0.3 else self.run.now
        kind = self.random.choice(list(FailureKind)) if outcome is Outcome.FAILED else None
        self.ended.append(key)
        self.give(
            i.AttemptEnded(AttemptReport(key, 1, outcome, failure_kind=kind, started_at=started, ended_at=self.run.now))
        )

    def calm(self) -> None:
        """Faults stop and people answer: the execution must come to an end within a bound."""
        run = self.run
        run.world.offline.clear()
        for host in HOSTS:
            self.give(i.HostChanged(host))
        for _ in range(2_000):
            if run.state.terminal:
                return
            if run.state.pause_reason is not None:
                self.give(i.ResumeRequested("anna"))
            elif run.left:
                self.give(i.Continue())
            elif run.state.open:
                self.end(self.key(sorted(run.state.open)[0]), Outcome.SUCCEEDED)
            elif (wakeup := next_wakeup(run.state)) is not None:
                run.now = max(run.now, wakeup)
                self.give(i.Tick())
            elif run.state.unknown:
                assert run.state.status is ExecutionStatus.NEEDS_ATTENTION
                self.give(i.UnknownResolved(sorted(run.state.unknown)[0], "failed", "anna"))
            else:
                assert run.state.status is ExecutionStatus.WAITING_APPROVAL
                self.give(i.GateReleased(sorted(run.state.gates)[0], "anna"))
        raise AssertionError(f"no end: {run.state.status}")


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), length=st.integers(0, 60))
def test_the_invariants_hold_in_any_storm(seed: int, length: int) -> None:
    _weather(seed, length)


@pytest.mark.parametrize("seed", [30, 92, 180, 1941, 5377, 6820])
def test_storms_that_once_broke_something(seed: int) -> None:
    _weather(seed, 50)


def _weather(seed: int, length: int) -> None:
    storm = Storm(seed)
    for _ in range(length):
        storm.blow()
    storm.run.refold()
    storm.calm()
    storm.run.refold()
    assert not due(storm.run.state).assign
