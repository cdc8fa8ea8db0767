"""What a blueprint alone says of its steps, where there is no plan: less than a plan, and it says what is not known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pilotage_coordinator.domain.blueprint.model import Blueprint, Step, StepKind
from pilotage_coordinator.domain.compliance.facts import StepFacts
from pilotage_coordinator.domain.execution.index import ASK
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.domain.planning.approvals import EVERY
from pilotage_coordinator.domain.planning.request import Library
from pilotage_coordinator.domain.step_type import StepTypeInfo, effect_for_rules


def steps_of_blueprint(
    blueprint: Blueprint, step_types: Mapping[str, StepTypeInfo], library: Library
) -> tuple[StepFacts, ...] | None:
    """Return the leaves of a blueprint and of those that it calls; None where one of them is not stored.

    Whether a policy asks for approval is not known: that depends on who runs it, and where.
    """
    walk = _Walk(step_types, library)
    found = tuple(walk.blueprint(blueprint, "", None))
    return found if walk.complete else None


@dataclass(slots=True)
class _Walk:
    step_types: Mapping[str, StepTypeInfo]
    library: Library
    complete: bool = True
    _open: list[str] = field(default_factory=list)

    def blueprint(self, blueprint: Blueprint, before: str, around: str | None) -> Iterator[StepFacts]:
        asked = {each.step for each in blueprint.approvals}
        for_all = around or ("the blueprint" if EVERY in asked else None)
        self._open.append(blueprint.id)
        yield from self._siblings(blueprint.steps, before, for_all, asked, main=True)
        yield from self._siblings(blueprint.finally_, before, around, asked, main=True)
        if blueprint.rollback_plan is not None:
            yield from self._siblings(blueprint.rollback_plan.actions, before, around, asked, main=False)
        self._open.pop()

    def _siblings(
        self, steps: Sequence[Step], before: str, around: str | None, asked: set[str], *, main: bool
    ) -> Iterator[StepFacts]:
        by_id = {step.id: step for step in steps}
        for step in steps:
            path = before + step.id
            who = around or ("the step" if step.requires_approval else "the blueprint" if step.id in asked else None)
            if who is None and _asked_before(step, by_id, set()):
                who = f"a step of type {ASK}"
            if step.kind is StepKind.LEAF:
                yield self._leaf(step, path, who, main=main)
            elif step.kind is StepKind.CALL:
                yield from self._called(step, path, who)
            for inside in _inside(step):
                yield from self._siblings(inside, f"{path}/", who, asked, main=main)
            yield from self._siblings(step.undo_steps, f"{path}/", who, asked, main=False)

    def _called(self, step: Step, path: str, who: str | None) -> Iterator[StepFacts]:
        call = step.call
        stored = self.library.newest(call.id, call.major) if call is not None and call.id not in self._open else None
        if stored is None:
            self.complete = False
            return
        yield from self.blueprint(stored.blueprint, f"{path}/", who)

    def _leaf(self, step: Step, path: str, who: str | None, *, main: bool) -> StepFacts:
        info = self.step_types.get(step.type)
        return StepFacts(
            path,
            step.type,
            _effect(step, info),
            info.destructive if info is not None else None,
            step.irreversible,
            who,
            main,
        )


def _asked_before(step: Step, by_id: Mapping[str, Step], seen: set[str]) -> bool:
    """Return whether a sibling that asks, always, must have succeeded before a step."""
    for name in step.dependencies:
        sibling = by_id.get(name)
        if sibling is None or name in seen:
            continue
        seen.add(name)
        if (sibling.type == ASK and sibling.when is None) or _asked_before(sibling, by_id, seen):
            return True
    return False


def _inside(step: Step) -> Iterator[Sequence[Step]]:
    """Yield the steps inside that are part of the work, those of one role together."""
    yield step.steps
    yield step.finally_
    if step.rollout is not None:
        yield step.rollout.refresh
        yield step.rollout.analysis
        if step.rollout.health is not None:
            yield step.rollout.health.steps


def _effect(step: Step, info: StepTypeInfo | None) -> Effect | None:
    """Return what a step does, as far as that is known: an author's word that it only reads proves nothing."""
    if info is not None:
        return effect_for_rules(step.effect or info.effect, [info])
    return step.effect if step.effect is not Effect.READ else None
