"""What is wrong with an expression, where, and how to write it instead."""

from pilotage_coordinator.domain.errors import DomainError


class ExpressionError(DomainError):
    """An expression cannot be read, or has no value. `offset` counts characters from the start of `expression`, or is
    None when the place is not known."""

    def __init__(self, message: str, expression: str = "", offset: int | None = None, hint: str = "") -> None:
        self.message, self.expression, self.offset, self.hint = message, expression, offset, hint
        shown = expression if len(expression) <= 120 else expression[:117] + "…"
        place = f" at character {offset + 1}" if offset is not None else ""
        super().__init__(message + (f" in `{shown}`{place}" if expression else "") + (f" ({hint})" if hint else ""))


class FunctionRefused(DomainError):
    """A function was given something that it cannot work on."""
