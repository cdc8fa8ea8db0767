"""A plan made quick to walk: for each step its frame, its dependents, and whether it fans out or loops."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.references import references
from pilotage_coordinator.domain.expression.syntax import parse
from pilotage_coordinator.domain.plan import Json, Place, Plan, PlannedStep, StepKind
from pilotage_coordinator.domain.planning.planned_values import PlannedValues

ASK: Final = "approval.ask"
"""The step type that is nothing but a request for approval."""
ROOT: Final = ""
"""Path of the frame of the whole execution."""
ACTIONS: Final = "!rollback"
"""Path of the frame that holds the blueprint's rollback actions."""


ITEM_NAMES: Final = frozenset({"item", "item_key"})
"""What an expression calls the item of a loop."""
_ANALYSIS: Final = "!analysis"
_REFRESH: Final = "!refresh"


def guard_name(path: str, number: int) -> str:
    """Return the name of a gate before a step (before everything, for ROOT); they count from 1."""
    name = f"{path}!approval" if path else "!start"
    return name if number == 1 else f"{name}#{number}"


def undo_frame(path: str) -> str:
    """Return the path of the frame that holds a step's undo steps."""
    return f"{path}!undo"


def analysis_frame(path: str) -> str:
    """Return the path of the frame that holds what judges each batch of a rollout."""
    return f"{path}{_ANALYSIS}"


def refresh_frame(path: str) -> str:
    """Return the path of the frame that holds what is asked before a rollout orders its hosts."""
    return f"{path}{_REFRESH}"


def judged_by(frame: str) -> str:
    """Return the path of the step whose batches the steps of a frame judge; empty for any other frame."""
    return frame.removesuffix(_ANALYSIS) if frame.endswith(_ANALYSIS) else ""


def refreshed_by(frame: str) -> str:
    """Return the path of the step whose order the steps of a frame prepare; empty for any other frame."""
    return frame.removesuffix(_REFRESH) if frame.endswith(_REFRESH) else ""


class Role(StrEnum):
    """In which part of its frame a step stands."""

    BODY = "body"
    FINALLY = "finally"


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What is known of a step before anything runs."""

    step: PlannedStep
    frame: str
    role: Role
    dependents: tuple[str, ...]
    on_host: bool
    """Its frame belongs to one host."""
    fans: bool
    """It goes over hosts of its own."""
    carries_item: bool
    """A step around it loops: its item is that one's."""
    templated: bool
    """Its parameters hold expressions."""
    when_per_item: bool
    call: str
    """Path of the nearest call around it: the scope of its names. Empty outside calls."""
    checks: bool
    """It is, or stands inside, a check of a health gate: its failures are only the gate's to judge."""
    reverts: bool
    """It is an undo step or an action of the rollback plan, or stands inside one."""

    @property
    def loops(self) -> bool:
        """Return whether it has a `for_each`."""
        return self.step.for_each is not None


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """What a frame holds: paths in plan order, and those that wait for nothing."""

    path: str
    body: tuple[str, ...]
    finally_: tuple[str, ...]
    first: tuple[str, ...]
    first_finally: tuple[str, ...]
    on_host: bool


@dataclass(frozen=True, slots=True)
class PlanIndex:
    """The whole plan, by path."""

    steps: Mapping[str, StepInfo]
    frames: Mapping[str, FrameInfo]
    names: Mapping[tuple[str, str], str]
    """(path of the nearest call, step id) to path: how expressions name steps."""
    planned: PlannedValues
    """What the plan says that parameters come to."""
    guards: Mapping[str, tuple[tuple[str, Gate], ...]]
    """Path, or ROOT for everything, to the approvals that it waits for: names of gates, and what they ask. Empty for
    most plans."""
    asks: bool
    """Whether anything in it must be approved by people, wherever."""

    def guarding(self, path: str) -> tuple[str, ...]:
        """Return the names of the gates that must be open before a step starts work: all around it too."""
        if not self.guards or self.steps[path].reverts:
            return ()
        names = [name for name, _ in self.guards.get(ROOT, ())]
        while path in self.steps:
            names += [name for name, _ in self.guards.get(path, ())]
            path = self.steps[path].frame
        return tuple(names)


def index_plan(plan: Plan) -> PlanIndex:
    """Index a plan, its rollback actions and undo steps included. O(size of the plan)."""
    steps: dict[str, StepInfo] = {}
    frames: dict[str, FrameInfo] = {}
    pending = [_Frame(ROOT, plan.steps, plan.finally_, on_host=False, carries_item=False, call="")]
    if plan.rollback is not None and plan.rollback.actions:
        pending.append(_Frame(ACTIONS, plan.rollback.actions, (), False, False, "", reverts=True))
    while pending:
        frame = pending.pop()
        frames[frame.path] = _frame_info(frame)
        for role, siblings in ((Role.BODY, frame.steps), (Role.FINALLY, frame.finally_)):
            dependents = _dependents(siblings)
            for step in siblings:
                info = _step_info(frame, step, role, tuple(dependents.get(step.path, ())))
                steps[step.path] = info
                pending += _frames_of(info)
    # A leaf with a health gate stands in a group of its own name; it comes later, and the name is its.
    names = {(info.call, info.step.id): path for path, info in steps.items()}
    return PlanIndex(steps, frames, names, PlannedValues(plan.resolved), _guards(plan, steps), _asks(plan, steps))


def _asks(plan: Plan, steps: Mapping[str, StepInfo]) -> bool:
    return bool(plan.approvals) or any(
        step.approvals
        or any(batch.approval is not None for batch in step.rollout.batches)
        or (step.type is not None and step.type.name == ASK)
        for step in (info.step for info in steps.values())
    )


def _guards(plan: Plan, steps: Mapping[str, StepInfo]) -> dict[str, tuple[tuple[str, Gate], ...]]:
    asked = {path: info.step.approvals for path, info in steps.items() if info.step.approvals}
    if plan.approvals:
        asked[ROOT] = plan.approvals
    return {
        path: tuple((guard_name(path, number), gate) for number, gate in enumerate(gates, start=1))
        for path, gates in asked.items()
    }


@dataclass(frozen=True, slots=True)
class _Frame:
    path: str
    steps: tuple[PlannedStep, ...]
    finally_: tuple[PlannedStep, ...]
    on_host: bool
    carries_item: bool
    call: str
    reverts: bool = False
    checks: bool = False


def _frame_info(frame: _Frame) -> FrameInfo:
    return FrameInfo(
        path=frame.path,
        body=tuple(step.path for step in frame.steps),
        finally_=tuple(step.path for step in frame.finally_),
        first=tuple(step.path for step in frame.steps if not step.dependencies),
        first_finally=tuple(step.path for step in frame.finally_ if not step.dependencies),
        on_host=frame.on_host,
    )


def _step_info(frame: _Frame, step: PlannedStep, role: Role, dependents: tuple[str, ...]) -> StepInfo:
    targeted = bool(step.hosts) or step.hosts_from is not None
    fans = not frame.on_host and step.kind is not StepKind.CALL and (targeted or _works_on_hosts(step))
    return StepInfo(
        step=step,
        frame=frame.path,
        role=role,
        dependents=dependents,
        on_host=frame.on_host,
        fans=fans,
        carries_item=frame.carries_item,
        templated=has_expression(step.parameters),
        when_per_item=step.for_each is not None and _asks_for_item(step.when),
        call=frame.call,
        checks=frame.checks,
        reverts=frame.reverts,
    )


def _works_on_hosts(step: PlannedStep) -> bool:
    return step.kind is StepKind.GROUP or step.place is Place.HOST


def _frames_of(info: StepInfo) -> Iterator[_Frame]:
    step = info.step
    on_host = info.on_host or info.fans
    carries_item = info.carries_item or info.loops
    if step.kind is not StepKind.LEAF:
        call = step.path if step.kind is StepKind.CALL else info.call
        checks = info.checks or step.kind is StepKind.HEALTH
        yield _Frame(step.path, step.steps, step.finally_, on_host, carries_item, call, info.reverts, checks)
    if step.undo_steps:
        yield _Frame(undo_frame(step.path), step.undo_steps, (), on_host, carries_item, info.call, reverts=True)
    for path, steps in (
        (analysis_frame(step.path), step.rollout.analysis),
        (refresh_frame(step.path), step.rollout.refresh),
    ):
        if steps:
            yield _Frame(path, steps, (), info.on_host, info.carries_item, info.call, info.reverts)


def _dependents(siblings: Sequence[PlannedStep]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for step in siblings:
        for dependency in step.dependencies:
            found.setdefault(dependency, []).append(step.path)
    return found


def _asks_for_item(condition: str) -> bool:
    if not condition:
        return False
    try:
        return not references(parse(condition)).roots.isdisjoint(ITEM_NAMES)
    except ExpressionError:
        return False  # whoever evaluates it tells what is wrong with it


def has_expression(tree: Json) -> bool:
    """Return whether any string inside may hold an expression or an escape of one."""
    if isinstance(tree, str):
        return "{{" in tree
    if isinstance(tree, Mapping):
        return any(has_expression(key) or has_expression(value) for key, value in tree.items())
    if isinstance(tree, Sequence):
        return any(has_expression(each) for each in tree)
    return False
