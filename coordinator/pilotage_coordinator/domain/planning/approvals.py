"""What must be approved before a step: by its own word, and by its blueprint's."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.blueprint.model import Step
from pilotage_coordinator.domain.execution.index import ASK
from pilotage_coordinator.domain.plan import Plan, PlannedStep, PlanPolicy
from pilotage_coordinator.domain.planning.around import Around
from pilotage_coordinator.domain.planning.every_step import all_steps

EVERY: Final = "*"
"""In a blueprint's `approvals`: each of its own steps, those inside groups not counted."""


def approvals_of(step: Step, around: Around) -> tuple[Gate, ...]:
    """Return what is asked before a step starts, in the order written; the same thing is asked once."""
    found: list[Gate] = []
    if step.requires_approval:
        found.append(Gate(of=step.approvers, source="the step"))
    blueprint = around.frame.stored.blueprint
    outermost = any(step is each for each in blueprint.steps)
    for approval in blueprint.approvals:
        if approval.step == step.id or (approval.step == EVERY and outermost and not step.at_plan):
            found.append(approval.gate.asked_by("the blueprint"))
    return tuple(dict.fromkeys(found))


def approvals_of_policy(policy: PlanPolicy) -> tuple[Gate, ...]:
    """Return what a policy asks before anything starts: once for each rule that decided so."""
    rules = [name for each in policy.rulings if each.decision == "require_approval" for name in each.rules]
    found: list[Gate] = []
    for name in dict.fromkeys(rules):
        demand = policy.rules.get(name, {}).get("approval")
        gate = Gate.from_json(demand) if isinstance(demand, Mapping) else Gate()
        found.append(replace(gate, source=f"rule {name} of the policy"))
    return tuple(found)


def misplaced_approvals(plan: Plan) -> Iterator[tuple[PlannedStep, str]]:
    """Yield the steps that ask where nothing may wait for people, with the reason."""
    bounds = [(plan.finally_, "`finally` steps always run: they wait for nobody")]
    if plan.rollback is not None:
        bounds.append(
            (plan.rollback.actions, "a rollback waits for nobody: it is approved together with what it undoes")
        )
    for step in all_steps(plan):
        if step.at_plan and step.approvals:
            yield step, "`at_plan` reads before there is a plan that anybody could approve"
        bounds += [
            (step.finally_, "`finally` steps always run: they wait for nobody"),
            (step.undo_steps, "what undoes a step waits for nobody: it is approved together with it"),
            (step.rollout.refresh, "refresh only reads"),
            (step.rollout.analysis, "an analysis judges by itself; use `then: {approval: …}` of the batch"),
        ]
        if step.health is not None:
            bounds.append((step.steps, "a health gate tries its steps again and again"))
    for steps, why in bounds:
        for each in _inside(steps):
            asks = each.type is not None and each.type.name == ASK
            if asks or each.approvals or any(batch.approval is not None for batch in each.rollout.batches):
                yield each, why


def _inside(steps: tuple[PlannedStep, ...]) -> Iterator[PlannedStep]:
    waiting = list(reversed(steps))
    while waiting:
        step = waiting.pop()
        yield step
        waiting += reversed(step.inside)
