"""Random plans for simulations: small, of every form that makes the runtime and the agents work together."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pilotage_coordinator.domain.plan import (
    Batch,
    Effect,
    OnFailure,
    OnOffline,
    Plan,
    PlannedStep,
    Rollout,
    RolloutFailure,
    StepTypeUse,
)
from pilotage_coordinator.domain.planning.codec import digest
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.runtime.inventory import StepTypeReader

from tests.simulation.approvals import with_approvals
from tests.simulation.machine import FIRST_VERSION, announced
from tests.simulation.shapes import Shapes
from tests.unit.engine.build import SECOND, check, gate, group, here, leaf, placed, plan, tries

EFFECTS = [Effect.ONCE, Effect.ONCE, Effect.ONCE, Effect.PROBE, Effect.IDEMPOTENT, Effect.READ]


JUDGE = "judge"
"""Id of the steps that judge a batch: their workers draw a verdict."""
ORDER = "${{ steps.role.outputs.made }}"
"""By a number that a refresh step gave: another each time."""


class PlanMaker:
    """Draws plans over the given hosts."""

    def __init__(self, draw: random.Random, hosts: tuple[str, ...]) -> None:
        self.draw = draw
        self.hosts = hosts
        self._type = StepTypeUse("dummy.run")

    def plan(self) -> Plan:
        """Draw a plan, with the digest of its content."""
        draw = self.draw
        pinned = draw.random() < 0.7
        self._type = pinned_type() if pinned else StepTypeUse("dummy.run")
        steps = self._siblings("s", draw.randint(1, 4), deep=True, on_host=False)
        finally_ = self._siblings("f", draw.choice([0, 0, 1]), deep=False, on_host=False)
        deadline = draw.choice([0, 0, 0, 0, 40 * SECOND])
        on_failure = draw.choice([OnFailure.STOP, OnFailure.STOP, OnFailure.CONTINUE, OnFailure.ROLLBACK])
        made = plan(*steps, finally_=finally_, deadline=deadline, on_failure=on_failure)
        made = replace(made, steps=(*made.steps, *self._shaped(digest(made))))
        made = with_approvals(made, digest(made))
        made = replace(made, digest="", host_ids={host: f"hst_{host}" for host in self.hosts} if pinned else {})
        return replace(made, digest=digest(made))

    def _shaped(self, seed: str) -> tuple[PlannedStep, ...]:
        """Draw steps of rarer shapes for some of the plans, from what is drawn already."""
        draw = random.Random(seed)
        if draw.random() < 0.7:
            return ()
        other = PlanMaker(draw, self.hosts)
        other._type = self._type

        def make_leaf(id: str, after: Sequence[str]) -> PlannedStep:
            common = {"on_failure": draw.choice([OnFailure.STOP, OnFailure.STOP, OnFailure.CONTINUE])}
            return other._leaf(id, [], list(after), common)

        return tuple(placed(step) for step in Shapes(draw, self.hosts, make_leaf, self._type).steps())

    def _siblings(self, letter: str, count: int, *, deep: bool, on_host: bool) -> list[PlannedStep]:
        found: list[PlannedStep] = []
        for number in range(count):
            after = [step.path for step in found if self.draw.random() < 0.4]
            found.append(self._step(f"{letter}{number}", after, deep=deep, on_host=on_host))
        return found

    def _step(self, id: str, after: list[str], *, deep: bool, on_host: bool) -> PlannedStep:
        draw = self.draw
        hosts = [] if on_host else draw.sample(self.hosts, draw.randint(1, len(self.hosts)))
        kind = draw.choices(["leaf", "group", "here", "gate"], [10, 3 if deep else 0, 1, 1 if deep else 0])[0]
        common: dict[str, Any] = {"on_failure": draw.choice([OnFailure.STOP, OnFailure.STOP, OnFailure.CONTINUE])}
        match kind:
            case "group":
                inner = self._siblings("i", draw.randint(1, 2), deep=False, on_host=True)
                if draw.random() < 0.4:
                    inner.append(self._gate(inner))
                return group(id, hosts, inner, after, rollout=self._rollout(hosts), **common)
            case "here":
                return here(id, after=after, parameters={"that": "true"}, **common)
            case "gate":
                return here(id, "gate.pause", after=after, **common)
        return self._leaf(id, hosts, after, common)

    def _leaf(self, id: str, hosts: list[str], after: list[str], common: dict[str, Any]) -> PlannedStep:
        draw = self.draw
        step = leaf(
            id,
            *hosts,
            after=after,
            effect=draw.choice(EFFECTS),
            retry=tries(draw.choice([1, 1, 2, 3]), jitter=0.3),
            on_offline=draw.choice([OnOffline.WAIT, OnOffline.WAIT, OnOffline.SKIP, OnOffline.FAIL]),
            offline_deadline=draw.choice([0, 100 * SECOND]),
            on_unknown=draw.choice(["hold", "hold", "fail"]),
            timeout=draw.choice([0, 0, 3 * SECOND]),
            deadline=draw.choice([0, 0, 0, 20 * SECOND]),
            rollout=self._rollout(hosts),
            type=self._type,
            parameters={"n": draw.randint(1, 9)},
            **common,
        )
        if draw.random() < 0.15 and not step.rollout.analysis and not step.rollout.order_by:
            return replace(step, for_each="${{ ['x', 'y', 'z'] }}")
        return step

    def _gate(self, guarded: list[PlannedStep]) -> PlannedStep:
        """Draw a health gate behind the steps of a group."""
        draw = self.draw
        checks = [check("up", type=self._type, timeout=4 * SECOND)]
        if draw.random() < 0.3:
            checks.append(check("ready", after=["up"], type=self._type, timeout=4 * SECOND))
        for_ = draw.choice([0, 3, 6])
        return gate(checks, [step.path for step in guarded], for_=for_, within=30, every=draw.choice([1, 3]))

    def _rollout(self, hosts: list[str]) -> Rollout:
        draw = self.draw
        analysis: tuple[PlannedStep, ...] = ()
        refresh: tuple[PlannedStep, ...] = ()
        if hosts and draw.random() < 0.25:
            judge = leaf(JUDGE, draw.choice(self.hosts), effect=Effect.READ, run_once=True, type=self._type)
            that = draw.choice(["true", "true", "true", "false"])
            analysis = draw.choice([(judge,), (judge,), (here("sound", parameters={"that": that}),)])
        if hosts and draw.random() < 0.2:
            refresh = (check("role", type=self._type, timeout=4 * SECOND),)
            refresh = tuple(replace(each, hosts=tuple(hosts)) for each in refresh)
        return Rollout(
            order_by=ORDER if refresh else "",
            refresh=refresh,
            analysis=analysis,
            max_parallel=draw.choice([None, None, Share(1), Share(2)]),
            batches=draw.choice([(), (), (Batch(Share(1)),), (Batch(Share(1), wait=2 * SECOND), Batch(Share(2)))]),
            max_failures=draw.choice([None, None, Share(0), Share(1)]),
            on_failure=draw.choice([RolloutFailure.STOP, RolloutFailure.REVERT_HOST, RolloutFailure.REVERT_ALL]),
        )


def pinned_type() -> StepTypeUse:
    """Return the simulation's step type as a plan pins it."""
    info = StepTypeReader().read((announced(FIRST_VERSION),))["dummy.run"]
    return StepTypeUse(info.name, info.distribution, info.version, info.digest)
