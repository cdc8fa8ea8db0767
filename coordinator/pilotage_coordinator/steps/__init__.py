"""The step types that the coordinator decides by itself: pure, at once, without effects."""

from collections.abc import Mapping

from pilotage_coordinator.domain.execution.coordinator_step import CoordinatorStep
from pilotage_coordinator.steps.assertion import Assertion
from pilotage_coordinator.steps.pause import PauseGate


def coordinator_steps() -> Mapping[str, CoordinatorStep]:
    """Return every step type of this room, by name."""
    return {"validation.assert": Assertion(), "gate.pause": PauseGate()}
