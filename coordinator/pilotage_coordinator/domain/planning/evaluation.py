"""What planning asks of the expression language, as a port; `expression.Expressions` answers it."""

from collections.abc import Mapping
from typing import Any, Protocol


class Evaluator(Protocol):
    """Reads and evaluates expressions. Raises DomainError with the reason for every failure."""

    def references(self, text: str, *, condition: bool = False) -> frozenset[str]:
        """Return the names that a template (or a bare condition) reads, as dotted paths: `host.facts.disk`, `item`.

        A name whose further path is computed (`hosts[parameters.x].facts`) ends where it stops being literal.
        """
        ...

    def condition(self, text: str, scope: Mapping[str, Any]) -> bool:
        """Evaluate a bare condition; anything but true or false is refused."""
        ...

    def render(self, template: str, scope: Mapping[str, Any]) -> Any:
        """Evaluate a template: a lone `${{ … }}` keeps its type, any other gives text."""
        ...
