"""What a plan's reads have answered, apart from the plan.

The digest covers what answers decide, not the answers (`codec.OUTSIDE_THE_DIGEST`): executions of one digest may have
been started with different ones. Each execution keeps its own, so that recovery and replay see what it ran with.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotage_coordinator.domain.plan import Json, Plan, PlannedStep
from pilotage_coordinator.domain.planning.every_step import all_steps


def answers_of(plan: Plan) -> dict[str, Json]:
    """Return step path to `outputs` and `items`, each by host; only steps that have any."""
    found: dict[str, Json] = {}
    for step in all_steps(plan):
        parts = {"outputs": step.planned_outputs, "items": step.planned_items}
        answers: dict[str, Json] = {name: dict(part) for name, part in parts.items() if part}
        if answers:
            found[step.path] = answers
    return found


def with_answers(plan: Plan, answers: Mapping[str, Any]) -> Plan:
    """Return the plan with these answers instead of its own; `with_answers(plan, answers_of(plan)) == plan`."""

    def each(steps: tuple[PlannedStep, ...]) -> tuple[PlannedStep, ...]:
        return tuple(answered(step) for step in steps)

    def answered(step: PlannedStep) -> PlannedStep:
        own = answers.get(step.path, {})
        if step.inside:
            rollout = replace(step.rollout, refresh=each(step.rollout.refresh), analysis=each(step.rollout.analysis))
            step = replace(
                step,
                rollout=rollout,
                steps=each(step.steps),
                finally_=each(step.finally_),
                undo_steps=each(step.undo_steps),
            )
        if not (own or step.planned_outputs or step.planned_items):
            return step
        return replace(step, planned_outputs=own.get("outputs", {}), planned_items=own.get("items", {}))

    rollback = plan.rollback and replace(plan.rollback, actions=each(plan.rollback.actions))
    return replace(plan, steps=each(plan.steps), finally_=each(plan.finally_), rollback=rollback)
