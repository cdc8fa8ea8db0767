"""What a plan decided by the moment it was made, to be kept when it is made again (docs/plans.md: Start)."""

from pilotage_coordinator.domain.plan import BlueprintRef, Plan, PlannedStep
from pilotage_coordinator.domain.planning.every_step import all_steps
from pilotage_coordinator.domain.planning.request import Pins, ReadKey


def pins_of(plan: Plan) -> Pins:
    """Return the pins that make planning again give the same plan, if nothing else has changed."""
    hosts: dict[str, str] = {}
    blueprints: dict[str, BlueprintRef] = {}
    unanswered: set[ReadKey] = set()
    for step in all_steps(plan):
        if step.run_once and step.hosts:
            hosts[step.path] = step.hosts[0]
        if step.call is not None:
            blueprints[step.path] = step.call
        if step.at_plan:
            asked = (name for name in step.hosts if not _left_out(plan, step, name))
            unanswered |= {(step.path, name) for name in asked if name not in step.planned_outputs}
    return Pins(hosts, blueprints, frozenset(unanswered))


def _left_out(plan: Plan, step: PlannedStep, host: str) -> bool:
    found = plan.resolved.get(step.path, {}).get(host)
    return found is not None and found.when is False
