"""What a step may say where it stands: inside a group, as an undo, as a check (docs/blueprints.md: Inside a group)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from pilotage_coordinator.domain.blueprint.errors import Problems
from pilotage_coordinator.domain.blueprint.model import Blueprint, Step
from pilotage_coordinator.domain.blueprint.order import Role
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.blueprint.rollout import Rollout
from pilotage_coordinator.domain.plan import StepKind

_BOUND: Final = {
    Role.UNDO: "an undo step runs where its step ran",
    Role.HEALTH: "a check of a health gate runs on the gate's host",
}
"""Steps that run where another one does, and nowhere else."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a list of steps stands."""

    role: Role
    on_host: bool = False
    """Its steps run on the host of what is around them."""
    looped: str = ""
    """Id of the step around it that has a `for_each`."""


def check_placement(blueprint: Blueprint, problems: Problems) -> None:
    """Note every key that means nothing where its step stands, with what to write instead."""
    check = _Check(blueprint, problems)
    for role, steps in (
        (Role.STEPS, blueprint.steps),
        (Role.FINALLY, blueprint.finally_),
        (Role.ROLLBACK, blueprint.rollback_plan.actions if blueprint.rollback_plan is not None else ()),
    ):
        for step in steps:
            check.step(step, _Place(role))


class _Check:
    def __init__(self, blueprint: Blueprint, problems: Problems) -> None:
        self._blueprint = blueprint
        self._problems = problems

    def step(self, step: Step, place: _Place) -> None:
        """Check a step and all inside it."""
        self._at_plan(step)
        if place.role in _BOUND:
            self._bound(step, place.role)
        elif place.on_host:
            self._in_group(step, place)
        if place.role is Role.REFRESH and step.kind is StepKind.CALL:
            self._note(step, "blueprint", "refresh asks by plain steps, not by a call", "write the steps that read")
        for inner, where in _inside(step, place):
            self.step(inner, where)

    def _at_plan(self, step: Step) -> None:
        if not step.at_plan:
            return
        if step.rollout is not None and step.rollout.health is not None:
            self._note(step, "rollout", "an at_plan step has no health gate: it changes nothing", "remove it")
        if step.sensitive_outputs:
            message = "an at_plan step has no sensitive_outputs: what it finds stands in the plan"
            self._note(step, "sensitive_outputs", message, "read it in a step without at_plan")

    def _bound(self, step: Step, role: Role) -> None:
        why = _BOUND[role]
        for key, written in (
            ("targets", step.targets is not None),
            ("run_once", step.run_once),
            ("rollout", step.rollout is not None and step.for_each is None),
            ("blueprint", step.kind is StepKind.CALL),
        ):
            if written:
                self._note(step, key, f"{why}: it has no `{key}`", "write plain steps, and `when` for a condition")
        if role is Role.HEALTH and (step.kind is StepKind.GROUP or step.for_each is not None):
            key = "steps" if step.kind is StepKind.GROUP else "for_each"
            self._note(step, key, "a health gate holds plain steps", "write one step for each check")

    def _in_group(self, step: Step, place: _Place) -> None:
        rollout, targets = step.rollout, step.targets
        if rollout is not None and step.for_each is None and not _gates_only(rollout):
            message = "inside a group a step goes with the group, host by host: its rollout has only `health`"
            self._note(step, "rollout", message, "write the others on the group, or take the step out of it")
        if targets is not None and targets.from_step is not None and (targets.limit or targets.order != "name"):
            message = "inside a group a step goes with the group, host by host: `from` has neither order nor limit"
            self._note(step, "targets", message, "write them on the group, or take the step out of it")
        if step.run_once and place.looped:
            message = f"`{place.looped}` around this step has a for_each: run_once does not say for which item"
            self._note(step, "run_once", message, "write `when: \"item_key == '…'\"`, or take the step out of it")

    def _note(self, step: Step, key: str, message: str, hint: str) -> None:
        path: Path = (*step.path, key)
        self._problems.add(self._blueprint.position(path), path, message, hint)


def _gates_only(rollout: Rollout) -> bool:
    return replace(rollout, health=None, at=Rollout().at) == Rollout()


def _inside(step: Step, place: _Place) -> Iterator[tuple[Step, _Place]]:
    looped = step.id if step.for_each is not None else place.looped
    on_host = place.on_host or step.kind is StepKind.GROUP
    # What stands inside an undo step or a check is bound to its host as well.
    role = place.role if place.role in _BOUND else Role.STEPS
    for each in (*step.steps, *step.finally_):
        yield each, _Place(role, on_host, looped)
    for each in step.undo_steps:
        yield each, _Place(Role.UNDO, True, looped)
    if step.rollout is not None:
        for each in step.rollout.refresh:
            yield each, _Place(Role.REFRESH, False, place.looped)
        for each in step.rollout.analysis:
            yield each, _Place(Role.ANALYSIS, False, place.looped)
        if step.rollout.health is not None:
            for each in step.rollout.health.steps:
                yield each, _Place(Role.HEALTH, True, looped)
