"""What can be said of the steps of a file that could not be read whole.

A problem of form leaves no blueprint, so its graph and expressions cannot be judged. Yet a step that was read is judged
by its type, and names of types and siblings are judged as they are written: whatever the cure, those stay wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pilotage_coordinator.domain.blueprint.errors import Problems
from pilotage_coordinator.domain.blueprint.graph import misplaced
from pilotage_coordinator.domain.blueprint.model import Step
from pilotage_coordinator.domain.blueprint.nodes import ListNode, MapNode, Node, ScalarNode, Source
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.blueprint.step_types import check_leaf, check_type
from pilotage_coordinator.domain.plan import StepKind
from pilotage_coordinator.domain.step_type import StepTypeInfo

_ROOTS: Final[tuple[Path, ...]] = (("steps",), ("finally",), ("rollback_plan", "actions"))
_INNER: Final[tuple[Path, ...]] = (
    ("steps",),
    ("finally",),
    ("undo",),
    ("rollout", "refresh"),
    ("rollout", "analysis"),
    ("rollout", "health", "steps"),
)
_DEEPEST: Final = 40


def check_partly(
    root: Node, steps: Sequence[Step], catalogue: Mapping[str, StepTypeInfo] | None, problems: Problems
) -> None:
    """Note what is wrong with the steps of `root` besides what is noted already.

    `steps` are those that were read; `catalogue` has the known step types, None when nobody can say which there are.
    """
    source = Source(root)
    read = {step.path: step for step in steps}
    families = list(_families(root))
    known: dict[str, set[str]] = {}
    for path, siblings in families:
        known.setdefault(str(path[1]), set()).update(map(_id, siblings))
    for path, siblings in families:
        ids = set(map(_id, siblings))
        for index, node in enumerate(siblings):
            place = (*path, index)
            if "" not in ids:
                # One without an id may be the one that is meant.
                _check_dependencies(node, place, ids, known[str(path[1])], problems)
            step = read.get(place)
            if catalogue is None or (step is not None and step.kind is not StepKind.LEAF):
                continue
            if step is not None:
                check_leaf(problems, source, step, catalogue, "refresh" in path[-1:])
            elif (written := _text(node, "type")) and "." in written.text:
                check_type(problems, written.at, (*place, "type"), written.text, catalogue)


def _families(root: Node) -> Iterator[tuple[Path, tuple[Node, ...]]]:
    """Yield every list of siblings that is written, with its path."""
    workflows = root.get("workflows") if isinstance(root, MapNode) else None
    waiting: list[tuple[Path, Node]] = []
    if isinstance(workflows, MapNode):
        for key, blueprint in workflows.entries:
            waiting += _lists(blueprint, ("workflows", key.text), _ROOTS)
    while waiting:
        path, found = waiting.pop()
        if not isinstance(found, ListNode) or len(path) > _DEEPEST:
            continue
        yield path, found.items
        for index, each in enumerate(found.items):
            waiting += _lists(each, (*path, index), _INNER)


def _lists(node: Node, at: Path, paths: Sequence[Path]) -> Iterator[tuple[Path, Node]]:
    for path in paths:
        inner: Node | None = node
        for part in path:
            inner = inner.get(str(part)) if isinstance(inner, MapNode) else None
        if inner is not None:
            yield (*at, *path), inner


def _check_dependencies(node: Node, path: Path, siblings: set[str], known: set[str], problems: Problems) -> None:
    wanted = node.get("dependencies") if isinstance(node, MapNode) else None
    if not isinstance(wanted, ListNode):
        return
    written = [each for each in wanted.items if isinstance(each, ScalarNode) and isinstance(each.value, str)]
    if len(written) != len(wanted.items):
        return
    for index, message, hint in misplaced(_id(node), [each.text for each in written], siblings, known):
        problems.add(written[index].at, (*path, "dependencies", index), message, hint)


def _id(node: Node) -> str:
    """Return the id that a step is given, or nothing."""
    found = _text(node, "id")
    return found.text if found is not None else ""


def _text(node: Node, key: str) -> ScalarNode | None:
    found = node.get(key) if isinstance(node, MapNode) else None
    return found if isinstance(found, ScalarNode) and isinstance(found.value, str) else None
