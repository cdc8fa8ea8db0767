"""Which names and functions an expression uses, and what it compares: known without evaluating it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.syntax import Call, Expression, Index, Literal, Member, Name, Operation

_ORDERED: Final = frozenset({"<", "<=", ">", ">="})
_VERSION: Final = re.compile(r"(?!\d{4}-\d\d-\d\d)v?\d+(?:\.\d+)*(?:[.~+-][0-9A-Za-z.~+-]*)?")


@dataclass(frozen=True, slots=True)
class References:
    """What an expression refers to.

    A path is the names from a root on, as far as they are written as names or texts: `steps.a.outputs['x'].y` is
    ("steps", "a", "outputs", "x", "y"), and `hosts[parameters.lost].facts` is ("hosts",) and ("parameters", "lost").
    """

    paths: frozenset[tuple[str, ...]]
    functions: frozenset[str]

    @property
    def roots(self) -> frozenset[str]:
        """Return the names that the scope must give."""
        return frozenset(path[0] for path in self.paths)


def union(several: Iterable[References]) -> References:
    """Return what any of several expressions refers to."""
    paths: set[tuple[str, ...]] = set()
    functions: set[str] = set()
    for each in several:
        paths |= each.paths
        functions |= each.functions
    return References(frozenset(paths), frozenset(functions))


def references(tree: Expression) -> References:
    """Return what an expression refers to."""
    paths: set[tuple[str, ...]] = set()
    functions: set[str] = set()
    waiting: list[Expression] = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case Name() | Member() | Index():
                path, rest = _path(node)
                if path:
                    paths.add(path)
                waiting += rest
            case Call():
                functions.add(node.function)
                waiting += node.arguments
            case Operation():
                waiting += node.operands
    return References(frozenset(paths), frozenset(functions))


def _path(node: Expression) -> tuple[tuple[str, ...], list[Expression]]:
    """Return the static path that `node` follows from its root, and the expressions that it holds besides."""
    links: list[str | None] = []
    rest: list[Expression] = []
    while isinstance(node, Member | Index):
        if isinstance(node, Member):
            links.append(node.name)
        elif isinstance(node.key, Literal) and isinstance(node.key.value, str):
            links.append(node.key.value)
        else:
            links.append(None)
            if not isinstance(node.key, Literal):
                rest.append(node.key)
        node = node.of
    if not isinstance(node, Name):
        return (), [*rest, node]
    static: list[str] = [node.text]
    for link in reversed(links):
        if link is None:
            break
        static.append(link)
    return tuple(static), rest


def refuse_version_comparison(tree: Expression, text: str) -> None:
    """Raise ExpressionError where a text that looks like a version is ordered: '9' >= '12' is true of texts."""
    for node in _nodes(tree):
        if not isinstance(node, Operation) or node.sign not in _ORDERED:
            continue
        for side in node.operands:
            value = side.value if isinstance(side, Literal) else None
            if isinstance(value, str) and _VERSION.fullmatch(value):
                message = f"`{node.sign}` compares '{value}' letter by letter: '9' >= '12' is true"
                hint = f"write version(…) {node.sign} version('{value}'), or compare numbers"
                raise ExpressionError(message, text, node.at, hint)


def _nodes(tree: Expression) -> Iterator[Expression]:
    waiting: list[Expression] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case Member():
                waiting.append(node.of)
            case Index():
                waiting += (node.of, node.key)
            case Call():
                waiting += node.arguments
            case Operation():
                waiting += node.operands
