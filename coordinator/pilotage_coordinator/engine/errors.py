"""What the engine refuses: re-exported, so that callers need one import."""

from pilotage_coordinator.domain.execution.errors import ExecutionError, IllegalTransition, Refused

__all__ = ["ExecutionError", "IllegalTransition", "Refused"]
