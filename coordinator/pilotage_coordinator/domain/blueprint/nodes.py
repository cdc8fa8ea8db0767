"""The tree of a YAML file: values with their places, before anything is known of their meaning."""

from dataclasses import dataclass
from typing import TypeAlias

from pilotage_coordinator.domain.blueprint.position import Path, Position

Scalar: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value. `plain` is true when it was written without quotes."""

    value: Scalar
    text: str
    plain: bool
    at: Position


@dataclass(frozen=True, slots=True)
class ListNode:
    """A sequence."""

    items: tuple["Node", ...]
    at: Position


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping, in the order written. A key that was repeated stands once, with its first value."""

    entries: tuple[tuple[ScalarNode, "Node"], ...]
    at: Position

    def get(self, key: str) -> "Node | None":
        """Return the value of `key`, or None."""
        return next((value for name, value in self.entries if name.text == key), None)


Node: TypeAlias = ScalarNode | ListNode | MapNode


def plain(node: Node) -> object:
    """Return what a node holds as JSON-able values."""
    match node:
        case ScalarNode():
            return node.value
        case ListNode():
            return [plain(each) for each in node.items]
        case MapNode():
            return {key.text: plain(value) for key, value in node.entries}


def describe(node: Node) -> str:
    """Name what a node is, for an error."""
    match node:
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode(value=bool()):
            return f"the boolean {node.text}"
        case ScalarNode(value=str()):
            return f"the text `{node.text[:40]}`"
        case ScalarNode():
            return f"the number {node.text[:40]}"
        case ListNode():
            return "a list"
        case MapNode():
            return "a mapping"


@dataclass(frozen=True, slots=True)
class Source:
    """The tree that a blueprint was read from: answers where each of its parts was written."""

    root: Node

    def position(self, path: Path) -> Position:
        """Return the place of the node at `path`, or of its nearest ancestor that was written."""
        node = self.root
        for step in path:
            inner: Node | None = None
            if isinstance(node, MapNode) and isinstance(step, str):
                inner = node.get(step)
            elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
                inner = node.items[step]
            if inner is None:
                break
            node = inner
        return node.at
