"""The steps that a rollout holds: checks of a health gate, what an order depends on, what judges a batch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from pilotage_coordinator.domain.blueprint import model
from pilotage_coordinator.domain.blueprint.model import OnFailure, Place, Step, StepKind
from pilotage_coordinator.domain.plan import Effect, FailureKind, Health, PlannedStep, Rollout
from pilotage_coordinator.domain.planning.around import Around
from pilotage_coordinator.domain.planning.bench import Bench

GATE: Final = "!health"
"""Id of the health gate inside the group that it guards; no step that a person writes can have it."""

PlanSiblings: TypeAlias = Callable[[Sequence[Step], Around], tuple[PlannedStep, ...]]


class RolloutSteps:
    """Plans the steps inside a rollout; problems go to the bench."""

    def __init__(self, bench: Bench, siblings: PlanSiblings) -> None:
        self._bench = bench
        self._siblings = siblings

    def gate(
        self, rollout: model.Rollout | None, guarded: Sequence[PlannedStep], inner: Around
    ) -> tuple[PlannedStep, ...]:
        """Return the health gate of a group, after all that it guards; nothing where there is none."""
        health = rollout.health if rollout is not None else None
        if health is None:
            return ()
        checks = self._siblings(health.steps, inner)
        self._only_read(health.steps, checks, inner, "a health gate tries its steps again and again")
        awaited = {path for step in guarded for path in step.dependencies}
        within = health.within
        return (
            PlannedStep(
                path=inner.path(GATE),
                kind=StepKind.HEALTH,
                dependencies=tuple(step.path for step in guarded if step.path not in awaited),
                steps=tuple(replace(check, timeout=min(check.timeout or within, within)) for check in checks),
                health=Health(health.for_, within, health.every),
            ),
        )

    def with_steps(self, planned: Rollout, step: Step, around: Around, path: str) -> Rollout:
        """Return a rollout with its refresh and analysis steps."""
        rollout = step.rollout
        if rollout is None:
            return planned
        # Both are read before the rollout has run: what they use may not be there yet.
        inner = Around(around.frame, path, None, lenient=True, on_failure=OnFailure.STOP, loop=around.loop)
        asked = [replace(each, targets=each.targets or step.targets) for each in rollout.refresh]
        refresh = self._siblings(asked, inner)
        self._only_read(asked, refresh, inner, "refresh asks before each batch")
        return replace(planned, refresh=refresh, analysis=self._analysis(rollout.analysis, inner))

    def _analysis(self, steps: Sequence[Step], inner: Around) -> tuple[PlannedStep, ...]:
        own = self._bench.world.step_types
        judges: list[Step] = []
        for step in steps:
            if step.kind is StepKind.LEAF and step.type in own:
                step = replace(step, place=Place.COORDINATOR)
            elif step.kind is StepKind.GROUP or (step.kind is StepKind.LEAF and not step.run_once):
                self._refuse(
                    step, inner, "an analysis runs once for each batch, not on each host", "add run_once: true"
                )
            judges.append(step)
        return self._siblings(judges, inner)

    def _only_read(self, steps: Sequence[Step], planned: Sequence[PlannedStep], inner: Around, why: str) -> None:
        for step, each in zip(steps, planned, strict=True):
            if each.kind is StepKind.LEAF and each.effect is not Effect.READ:
                type_ = each.type.name if each.type is not None else step.type
                self._refuse(
                    step, inner, f"{why}, and {type_} has the effect `{each.effect}`", "only `read` can stand here"
                )

    def _refuse(self, step: Step, inner: Around, message: str, fix: str) -> None:
        self._bench.refuse_step(FailureKind.PARAMETER, step, inner.path(step.id), message, fix)
