"""What whoever decides by expressions needs of them, without the library that evaluates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilotage_coordinator.domain.expression.references import References


class Scope:
    """The names that expressions see, for one execution, host and item.

    `variables` must not change afterwards. `now` is the time for now_in(), in microseconds; None: not known.
    """

    __slots__ = ("now", "prepared", "variables")

    def __init__(self, variables: Mapping[str, object], now: int | None = None) -> None:
        self.variables = variables
        self.now = now
        self.prepared: Prepared | None = None
        """What the evaluator makes of the names when it first uses them, kept for its next use."""


@dataclass(slots=True)
class Prepared:
    """The names of a scope that were used, in the evaluator's own form."""

    context: Any
    converted: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    """What functions of the language refused in the present evaluation."""


class Evaluator(Protocol):
    """Evaluates expressions. All of it raises ExpressionError. Not safe for several threads."""

    def evaluate(self, text: str, scope: Mapping[str, object] | Scope) -> object:
        """Return the value of an expression, as JSON-able values with keys in order."""
        ...

    def evaluate_condition(self, text: str, scope: Mapping[str, object] | Scope) -> bool:
        """Return whether a condition holds."""
        ...

    def references(self, tree: object, conditions: Iterable[str] = ()) -> References:
        """Return what the expressions in the texts of a tree, and bare conditions, refer to."""
        ...

    def render(self, tree: object, scope: Mapping[str, object] | Scope) -> object:
        """Return `tree` with every expression in its texts replaced by its value; keys stay as they are."""
        ...
