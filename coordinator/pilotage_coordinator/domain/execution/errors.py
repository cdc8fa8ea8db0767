"""What this room refuses."""

from pilotage_coordinator.domain.errors import DomainError


class ExecutionError(DomainError):
    """The root of the errors about one execution."""


class Refused(ExecutionError):
    """An input that the execution cannot take in its state. The text says what, why, and what would work."""


class IllegalTransition(ExecutionError):
    """A change of state that the tables do not hold: a defect of the engine, never of its user."""


class UnreadableEvent(ExecutionError):
    """A stored event that this version cannot read."""
