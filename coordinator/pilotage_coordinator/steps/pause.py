"""`gate.pause`: the execution goes on past this step when somebody says so."""

from collections.abc import Callable, Mapping

from pilotage_coordinator.domain.execution.coordinator_step import StepOutcome
from pilotage_coordinator.domain.plan import Json


class PauseGate:
    """Parameters: `name`, under which the gate is released (the step's path without one); `message`, for people."""

    raw: frozenset[str] = frozenset()

    def decide(self, parameters: Mapping[str, Json], condition: Callable[[str], bool]) -> StepOutcome:
        """Wait for the named gate; its answer ends the step, with outputs `by` and `comment`."""
        return StepOutcome("waiting", gate=_text(parameters, "name"), prompt=_text(parameters, "message"))


def _text(parameters: Mapping[str, Json], name: str) -> str:
    value = parameters.get(name)
    return value if isinstance(value, str) else ""
