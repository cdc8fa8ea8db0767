"""What a blueprint alone says of its steps, where there is no plan: less than a plan, and it says what is not known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pilotage_coordinator.domain.blueprint.model import Blueprint, Step, StepKind
from pilotage_coordinator.domain.compliance.facts import StepFacts
from pilotage_coordinator.domain.planning.approvals import EVERY
from pilotage_coordinator.domain.planning.request import Library
from pilotage_coordinator.domain.step_type import StepTypeInfo


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
        self._open.append(blueprint.id)
        for step in (*blueprint.steps, *blueprint.finally_):
            main = step.id in asked or (EVERY in asked and any(step is each for each in blueprint.steps))
            yield from self._step(step, before, around or ("the blueprint" if main else None), asked, main=True)
        if blueprint.rollback_plan is not None:
            for step in blueprint.rollback_plan.actions:
                yield from self._step(step, before, around, asked, main=False)
        self._open.pop()

    def _step(self, step: Step, before: str, around: str | None, asked: set[str], *, main: bool) -> Iterator[StepFacts]:
        path = before + step.id
        who = around or ("the step" if step.requires_approval else "the blueprint" if step.id in asked else None)
        if step.kind is StepKind.LEAF:
            yield self._leaf(step, path, who, main=main)
        elif step.kind is StepKind.CALL:
            yield from self._called(step, path, who)
        for inner in _inside(step):
            yield from self._step(inner, f"{path}/", who, asked, main=main)
        for inner in step.undo_steps:
            yield from self._step(inner, f"{path}/", who, asked, main=False)

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
            step.effect or (info.effect if info is not None else None),
            info.destructive if info is not None else None,
            step.irreversible,
            who,
            main,
        )


def _inside(step: Step) -> Sequence[Step]:
    """Return the steps inside that are part of the work."""
    found = [*step.steps, *step.finally_]
    if step.rollout is not None:
        found += (*step.rollout.refresh, *step.rollout.analysis)
        if step.rollout.health is not None:
            found += step.rollout.health.steps
    return found
