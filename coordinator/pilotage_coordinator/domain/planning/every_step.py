"""Every step of a plan, wherever it stands."""

from collections.abc import Iterator, Mapping, Sequence

from pilotage_coordinator.domain.plan import Place, Plan, PlannedStep, StepKind


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


def hosts_of(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return path to hosts ("" = the coordinator) of every step; those of its group where it stands in one.

    Where hosts are decided while running, all that may be.
    """
    found: dict[str, tuple[str, ...]] = {}

    def visit(steps: Sequence[PlannedStep], around: tuple[str, ...] | None) -> None:
        for step in steps:
            own = _own_hosts(step, around, found)
            found[step.path] = own
            inner = None if step.kind is StepKind.CALL and around is None else own
            visit((*step.steps, *step.finally_), inner)
            visit(step.undo_steps, own)
            visit((*step.rollout.refresh, *step.rollout.analysis), None)

    visit((*plan.steps, *plan.finally_, *(plan.rollback.actions if plan.rollback is not None else ())), None)
    return found


def _own_hosts(
    step: PlannedStep, around: tuple[str, ...] | None, found: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    if around is not None and step.hosts_from is None:
        return step.hosts or around
    if step.hosts_from is not None:
        bound = found.get(step.hosts_from.path, ())
        return tuple(
            name for name in bound if name not in step.hosts_from.exclude and (around is None or name in around)
        )
    if step.hosts:
        return step.hosts
    return ("",) if step.place is Place.COORDINATOR and step.kind is StepKind.LEAF else ()
