"""What a plan says of its steps, as rules of compliance see them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pilotage_coordinator.domain.compliance.facts import StepFacts
from pilotage_coordinator.domain.execution.index import ASK
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Plan, PlannedStep, StepKind
from pilotage_coordinator.domain.planning.every_step import hosts_of
from pilotage_coordinator.domain.planning.planned_values import PlannedValues
from pilotage_coordinator.domain.step_type import effect_for_rules

_NOBODY: Final = ""


def steps_of_plan(plan: Plan, inventory: Mapping[str, Host]) -> tuple[StepFacts, ...]:
    """Return the leaves of a plan, each with who is asked before it, and the hosts that it may run on."""
    walk = _Walk(hosts_of(plan), PlannedValues(plan.resolved), inventory)
    first = plan.approvals[0].source if plan.approvals else _NOBODY
    found = [*walk.leaves(plan.steps, first, main=True), *walk.leaves(plan.finally_, first, main=True)]
    if plan.rollback is not None:
        found += walk.leaves(plan.rollback.actions, first, main=False)
    return tuple(found)


@dataclass(slots=True)
class _Walk:
    hosts: Mapping[str, tuple[str, ...]]
    values: PlannedValues
    inventory: Mapping[str, Host]
    _asks: dict[str, bool] = field(default_factory=dict)
    """Path to whether a step that asks for approval comes before it."""

    def leaves(self, siblings: Sequence[PlannedStep], around: str, *, main: bool) -> Iterator[StepFacts]:
        by_path = {step.path: step for step in siblings}
        for step in siblings:
            asked = around or (step.approvals[0].source if step.approvals else _NOBODY)
            if not asked and self._asked_before(step, by_path):
                asked = f"a step of type {ASK}"
            if step.kind is StepKind.LEAF:
                yield self._leaf(step, asked, main=main)
            for inside in (step.rollout.refresh, step.steps, step.finally_, step.rollout.analysis):
                yield from self.leaves(inside, asked, main=main)
            yield from self.leaves(step.undo_steps, asked, main=False)

    def _leaf(self, step: PlannedStep, asked: str, *, main: bool) -> StepFacts:
        type = step.type.name if step.type is not None else ""
        hosts = [name for name in self.hosts.get(step.path, ()) if name and not self.values.left_out(step.path, name)]
        known = (self.inventory[name].step_types.get(type) for name in hosts if name in self.inventory)
        return StepFacts(
            step.path,
            type,
            effect_for_rules(step.effect, filter(None, known)),
            step.destructive,
            step.irreversible,
            asked,
            main,
            tuple(hosts),
        )

    def _asked_before(self, step: PlannedStep, by_path: Mapping[str, PlannedStep]) -> bool:
        """Return whether a sibling that asks, always, must have succeeded before a step."""
        known = self._asks.get(step.path)
        if known is None:
            before = [by_path[path] for path in step.dependencies if path in by_path]
            known = any(_asks(each) or self._asked_before(each, by_path) for each in before)
            self._asks[step.path] = known
        return known


def _asks(step: PlannedStep) -> bool:
    """Return whether a step is a request for approval; one with a condition may be left out."""
    return step.type is not None and step.type.name == ASK and not step.when
