"""The rules of the graph: ids that are unique, dependencies among siblings, no cycles, bounded nesting."""

from collections.abc import Iterator, Sequence
from typing import Final

from pilotage_coordinator.domain.blueprint.errors import Problems, did_you_mean
from pilotage_coordinator.domain.blueprint.model import Blueprint, Step
from pilotage_coordinator.domain.blueprint.position import Path, Position
from pilotage_coordinator.domain.plan import StepKind

DEEPEST_GROUP: Final = 4


def families(blueprint: Blueprint) -> Iterator[tuple[Step, ...]]:
    """Yield every list of siblings of the blueprint: steps that may depend on each other."""
    yield blueprint.steps
    yield blueprint.finally_
    if blueprint.rollback_plan is not None:
        yield blueprint.rollback_plan.actions
    for step in blueprint.all_steps():
        yield from families_of(step)


def families_of(step: Step) -> Iterator[tuple[Step, ...]]:
    """Yield every list of siblings written directly inside a step."""
    yield step.steps
    yield step.finally_
    yield step.undo_steps
    if step.rollout is not None:
        yield step.rollout.refresh
        yield step.rollout.analysis
        if step.rollout.health is not None:
            yield step.rollout.health.steps


def check_graph(blueprint: Blueprint, problems: Problems) -> None:
    """Note every breach of the rules of the graph."""
    _check_ids(blueprint, problems)
    known = {step.id for step in blueprint.all_steps()}
    for siblings in families(blueprint):
        _check_dependencies(siblings, known, blueprint, problems)
        cycle = find_cycle(siblings)
        if cycle:
            first = next(step for step in siblings if step.id == cycle[0])
            circle = " → ".join((*cycle, cycle[0]))
            message = f"these steps wait for each other: {circle}"
            problems.add(_at(blueprint, first, "dependencies"), (*first.path, "dependencies"), message, "remove one")
    actions = blueprint.rollback_plan.actions if blueprint.rollback_plan is not None else ()
    for step in (*blueprint.steps, *blueprint.finally_, *actions):
        _check_depth(step, 0, problems)
        _check_loops(blueprint, step, "", problems)
    _check_named_steps(blueprint, known, problems)
    _check_at_plan(blueprint, problems)


def _check_ids(blueprint: Blueprint, problems: Problems) -> None:
    first: dict[str, Step] = {}
    for step in blueprint.all_steps():
        if step.id in first:
            line = first[step.id].at.line
            message = f"the id `{step.id}` is used twice in this blueprint: here and in line {line}"
            problems.add(_at(blueprint, step, "id"), (*step.path, "id"), message, "ids are unique, groups included")
        first.setdefault(step.id, step)


def _check_dependencies(siblings: Sequence[Step], known: set[str], blueprint: Blueprint, problems: Problems) -> None:
    ids = {step.id for step in siblings}
    for step in siblings:
        for index, message, hint in misplaced(step.id, step.dependencies, ids, known):
            at = _at(blueprint, step, "dependencies", index)
            problems.add(at, (*step.path, "dependencies", index), message, hint)


def misplaced(
    own: str, dependencies: Sequence[str], siblings: set[str], known: set[str]
) -> Iterator[tuple[int, str, str]]:
    """Yield what is wrong with the dependencies of the step `own`: index, message, hint.

    `siblings` are the ids in its list, `known` those of the whole blueprint.
    """
    for index, name in enumerate(dependencies):
        if name == own:
            yield index, f"`{name}` depends on itself", ""
        elif name in dependencies[:index]:
            yield index, f"`{name}` stands here twice", ""
        elif name not in siblings and name in known:
            hint = "depend on the sibling around it, or move the step"
            yield index, f"`{name}` is no sibling of `{own}`: it stands in another list of steps", hint
        elif name not in siblings:
            yield index, f"there is no step `{name}`", did_you_mean(name, siblings - {own})


def find_cycle(siblings: Sequence[Step]) -> tuple[str, ...]:
    """Return the ids of one cycle, each waiting for the next, or nothing. Linear and without recursion."""
    waits_for = {step.id: step.dependencies for step in siblings}
    done: set[str] = set()
    for start in waits_for:
        trail: dict[str, None] = {}
        waiting: list[tuple[str, bool]] = [(start, False)]
        while waiting:
            name, leaving = waiting.pop()
            if leaving:
                trail.pop(name, None)
                done.add(name)
            elif name in trail:
                names = list(trail)
                return tuple(names[names.index(name) :])
            elif name not in done:
                trail[name] = None
                waiting.append((name, True))
                waiting += [(each, False) for each in waits_for[name] if each in waits_for and each != name]
    return ()


def _check_depth(step: Step, around: int, problems: Problems) -> None:
    depth = around + (1 if step.kind is StepKind.GROUP else 0)
    if depth > DEEPEST_GROUP:
        problems.add(
            step.at, step.path, f"groups nest deeper than {DEEPEST_GROUP}", "flatten them, or call a blueprint"
        )
        return
    for each in step.inner():
        _check_depth(each, depth, problems)


def _check_loops(blueprint: Blueprint, step: Step, looped: str, problems: Problems) -> None:
    """A run has one item (BLUEPRINTS: Attempt key), so a loop holds no other loop."""
    if step.for_each is not None and looped:
        message = f"`for_each` inside `{looped}`, which has a `for_each` of its own: loops do not nest"
        path: Path = (*step.path, "for_each")
        problems.add(_at(blueprint, step, "for_each"), path, message, "loop over one list that holds the pairs")
    for each in step.inner():
        _check_loops(blueprint, each, step.id if step.for_each is not None else looped, problems)


def _check_named_steps(blueprint: Blueprint, known: set[str], problems: Problems) -> None:
    """Check the steps that approvals name."""
    for index, approval in enumerate(blueprint.approvals):
        if approval.step != "*" and approval.step not in known:
            path: Path = ("workflows", blueprint.id, "approvals", index, "step")
            hint = did_you_mean(approval.step, known)
            problems.add(blueprint.position(path), path, f"there is no step `{approval.step}`", hint)


def _check_at_plan(blueprint: Blueprint, problems: Problems) -> None:
    """A step that runs when the plan is made can wait only for its like, and stands in the open."""
    outer = {step.id: step for step in blueprint.steps}
    for step in blueprint.all_steps():
        if not step.at_plan:
            continue
        path: Path = (*step.path, "at_plan")
        at = _at(blueprint, step, "at_plan")
        if outer.get(step.id) is not step:
            problems.add(at, path, "an at_plan step stands in the blueprint's own steps, not inside another one")
        for name in step.dependencies:
            if name in outer and not outer[name].at_plan:
                hint = f"`{name}` has not run when the plan is made"
                problems.add(at, path, f"an at_plan step depends on `{name}`, which is none", hint)


def _at(blueprint: Blueprint, step: Step, *inner: str | int) -> Position:
    return blueprint.position((*step.path, *inner))
