"""Expressions that are there at once, and whose library is imported when the first of them is evaluated.

An eighth of a coordinator's start went into it, before any agent was served.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module

from pilotage_coordinator.domain.expression.references import References
from pilotage_coordinator.domain.expression.scope import Evaluator, Scope

EVALUATION = "pilotage_coordinator.domain.expression.evaluation"


class LateExpressions:
    """Implements Evaluator by an `Expressions` that it makes when it needs it."""

    def __init__(self) -> None:
        self._found: Evaluator | None = None

    def evaluate(self, text: str, scope: Mapping[str, object] | Scope) -> object:
        """Return the value of an expression."""
        return self._expressions().evaluate(text, scope)

    def evaluate_condition(self, text: str, scope: Mapping[str, object] | Scope) -> bool:
        """Return whether a condition holds."""
        return self._expressions().evaluate_condition(text, scope)

    def references(self, tree: object, conditions: Iterable[str] = ()) -> References:
        """Return what the expressions in the texts of a tree, and bare conditions, refer to."""
        return self._expressions().references(tree, conditions)

    def render(self, tree: object, scope: Mapping[str, object] | Scope) -> object:
        """Return `tree` with every expression in its texts replaced by its value."""
        return self._expressions().render(tree, scope)

    def _expressions(self) -> Evaluator:
        if self._found is None:
            made: Evaluator = import_module(EVALUATION).Expressions()
            self._found = made
        return self._found
