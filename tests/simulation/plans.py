"""Random plans for simulations: small, of every form that makes the runtime and the agents work together."""

import random
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
)
from pilotage_coordinator.domain.planning.codec import digest
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import SECOND, group, here, leaf, plan, tries

EFFECTS = [Effect.ONCE, Effect.ONCE, Effect.ONCE, Effect.PROBE, Effect.IDEMPOTENT, Effect.READ]


class PlanMaker:
    """Draws plans over the given hosts."""

    def __init__(self, draw: random.Random, hosts: tuple[str, ...]) -> None:
        self.draw = draw
        self.hosts = hosts

    def plan(self) -> Plan:
        """Draw a plan, with the digest of its content."""
        draw = self.draw
        steps = self._siblings("s", draw.randint(1, 4), deep=True, on_host=False)
        finally_ = self._siblings("f", draw.choice([0, 0, 1]), deep=False, on_host=False)
        deadline = draw.choice([0, 0, 0, 0, 40 * SECOND])
        on_failure = draw.choice([OnFailure.STOP, OnFailure.STOP, OnFailure.CONTINUE, OnFailure.ROLLBACK])
        made = plan(*steps, finally_=finally_, deadline=deadline, on_failure=on_failure)
        made = replace(made, digest="")
        return replace(made, digest=digest(made))

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
                return group(id, hosts, inner, after, rollout=self._rollout(), **common)
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
            rollout=self._rollout(),
            parameters={"n": draw.randint(1, 9)},
            **common,
        )
        if draw.random() < 0.15:
            return replace(step, for_each="${{ ['x', 'y', 'z'] }}")
        return step

    def _rollout(self) -> Rollout:
        draw = self.draw
        return Rollout(
            max_parallel=draw.choice([None, None, Share(1), Share(2)]),
            batches=draw.choice([(), (), (Batch(Share(1)),), (Batch(Share(1), wait=2 * SECOND), Batch(Share(2)))]),
            max_failures=draw.choice([None, None, Share(0), Share(1)]),
            on_failure=draw.choice([RolloutFailure.STOP, RolloutFailure.REVERT_HOST, RolloutFailure.REVERT_ALL]),
        )
