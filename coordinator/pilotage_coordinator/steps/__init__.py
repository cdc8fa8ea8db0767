"""The step types that the coordinator decides by itself: pure, at once, without effects."""

from collections.abc import Collection, Mapping

from pilotage_coordinator.domain.execution.coordinator_step import CoordinatorStep
from pilotage_coordinator.steps.approval import AskApproval
from pilotage_coordinator.steps.assertion import Assertion
from pilotage_coordinator.steps.notification import NotifySend
from pilotage_coordinator.steps.pause import PauseGate


def coordinator_steps(channels: Collection[str] = ()) -> Mapping[str, CoordinatorStep]:
    """Return every step type of this room, by name; `channels` are those that notifications may go to."""
    return {
        "approval.ask": AskApproval(),
        "validation.assert": Assertion(),
        "gate.pause": PauseGate(),
        "notify.send": NotifySend(channels),
    }
