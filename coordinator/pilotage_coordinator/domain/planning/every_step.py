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
