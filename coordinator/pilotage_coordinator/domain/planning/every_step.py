"""Every step of a plan, wherever it stands."""

from collections.abc import Iterator

from pilotage_coordinator.domain.plan import Plan, PlannedStep


def all_steps(plan: Plan) -> Iterator[PlannedStep]:
    """Yield every step of a plan, outer before inner, in the order written; rollback actions and undo steps too."""
    waiting = [*plan.steps, *plan.finally_, *(plan.rollback.actions if plan.rollback is not None else ())]
    waiting.reverse()
    while waiting:
        step = waiting.pop()
        yield step
        waiting += reversed(step.inside)


def steps_with_hosts(plan: Plan) -> Iterator[tuple[PlannedStep, tuple[str, ...]]]:
    """Yield every step with the hosts where it may run, those of the group around it where it carries none.

    A step whose hosts are decided while running has none.
    """
    around: dict[str, tuple[str, ...]] = {}
    for step in all_steps(plan):
        outer = around.get(step.parent, ())
        hosts = around[step.path] = step.hosts or (() if step.hosts_from is not None else outer)
        yield step, hosts
