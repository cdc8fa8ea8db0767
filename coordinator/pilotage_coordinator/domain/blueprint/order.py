"""What has ended before what: which step an expression may read, decided when the blueprint is loaded.

Sets of steps are integers, one bit for each step, so that five thousand steps in a chain cost no millions of entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pilotage_coordinator.domain.blueprint.errors import at_nowhere
from pilotage_coordinator.domain.blueprint.graph import find_cycle
from pilotage_coordinator.domain.blueprint.model import Blueprint, Step
from pilotage_coordinator.domain.plan import Place, StepKind


class Role(StrEnum):
    """In which list of its surroundings a step stands."""

    STEPS = "steps"
    FINALLY = "finally"
    REFRESH = "refresh"
    HEALTH = "health"
    ANALYSIS = "analysis"
    UNDO = "undo"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a step stands. `before` are the steps that have ended, where it runs, when it starts."""

    step: Step
    role: Role
    around: tuple["Standing", ...]
    """The steps around it, outermost first."""
    bit: int
    inside: int
    """The step itself and every step inside it."""
    before: int
    per_host: bool
    """Whether it runs on each of several hosts; else once."""
    loops: bool


class Order:
    """Where every step of a blueprint stands, by id. The blueprint's graph must be sound (`check_graph`).

    Raises BlueprintError for one whose steps wait for each other.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        self.standings: dict[str, Standing] = {}
        self._bits = {step.id: 1 << index for index, step in enumerate(blueprint.all_steps())}
        main = 0
        for step in blueprint.steps:
            main |= self._inside(step)
        self._family(blueprint.steps, Role.STEPS, (), 0)
        self._family(blueprint.finally_, Role.FINALLY, (), main)
        if blueprint.rollback_plan is not None:
            self._family(blueprint.rollback_plan.actions, Role.ROLLBACK, (), main)
        self.main = main
        """The steps that are not in finally, nor in the rollback plan."""

    def _inside(self, step: Step) -> int:
        bits = self._bits[step.id]
        for each in step.inner():
            bits |= self._inside(each)
        return bits

    def _family(self, siblings: Sequence[Step], role: Role, around: tuple[Standing, ...], before: int) -> None:
        """Place siblings, each after those that it waits for."""
        cycle = find_cycle(siblings)
        if cycle:
            raise at_nowhere("", f"these steps wait for each other: {' → '.join((*cycle, cycle[0]))}", "remove one")
        waiting = {step.id: step for step in siblings}
        reach: dict[str, int] = {}
        stack = list(reversed(siblings))
        while stack:
            step = stack[-1]
            missing = [waiting[name] for name in step.dependencies if name in waiting and name not in reach]
            if missing:
                stack += missing
                continue
            stack.pop()
            if step.id in reach:
                continue
            own = 0
            for name in step.dependencies:
                own |= reach.get(name, 0)
            inside = self._inside(step)
            reach[step.id] = own | inside
            self._place(step, role, around, before | own, inside)

    def _place(self, step: Step, role: Role, around: tuple[Standing, ...], before: int, inside: int) -> None:
        bit = self._bits[step.id]
        standing = Standing(
            step, role, around, bit, inside, before, _per_host(step, role, around), _loops(step, around)
        )
        self.standings[step.id] = standing
        within = (*around, standing)
        rollout = step.rollout
        refreshed = 0
        for each in rollout.refresh if rollout is not None else ():
            refreshed |= self._inside(each)
        own = bit if step.kind is StepKind.LEAF else 0
        for each in step.steps:
            own |= self._inside(each)
        self._family(step.steps, Role.STEPS, within, before | refreshed)
        self._family(step.finally_, Role.FINALLY, within, before | refreshed | own)
        self._family(step.undo_steps, Role.UNDO, within, before | own)
        if rollout is not None:
            self._family(rollout.refresh, Role.REFRESH, within, before)
            self._family(rollout.analysis, Role.ANALYSIS, within, before | refreshed | own)
            if rollout.health is not None:
                self._family(rollout.health.steps, Role.HEALTH, within, before | refreshed | own)


def _per_host(step: Step, role: Role, around: Sequence[Standing]) -> bool:
    if role is Role.ANALYSIS:
        return False
    if around:
        return around[-1].per_host or (role is Role.REFRESH and not step.run_once)
    return not (step.run_once or step.place is Place.COORDINATOR or step.kind is StepKind.CALL)


def _loops(step: Step, around: Sequence[Standing]) -> bool:
    return step.for_each is not None or any(each.loops for each in around)


def share_a_host(one: Standing, other: Standing) -> Standing | None:
    """Return the innermost step around both, or None: inside it they run host by host, side by side."""
    common = None
    for mine, theirs in zip((*one.around, one), (*other.around, other), strict=False):
        if mine.step.id != theirs.step.id:
            break
        common = mine
    return common
