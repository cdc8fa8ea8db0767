"""A step that the coordinator decides by itself: what the engine asks of it, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.notification import Notification
from pilotage_coordinator.domain.plan import FailureKind, Json


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a step on the coordinator came to. `waiting` opens the gate named `gate`."""

    status: Literal["succeeded", "failed", "waiting"]
    outputs: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""
    failure_kind: FailureKind | None = None
    gate: str = ""
    prompt: str = ""
    approval: Gate | None = None
    """With `waiting`: persons must approve; without it, whoever may release gates opens this one."""
    notification: Notification | None = None
    """With `succeeded`: what is recorded for delivery together with the step's end. Its id joins the outputs."""


class CoordinatorStep(Protocol):
    """A step type that the coordinator decides by itself, at once and without effects."""

    def decide(self, parameters: Mapping[str, Json], condition: Callable[[str], bool]) -> StepOutcome:
        """Decide from the rendered parameters; `condition` evaluates bare CEL in the step's scope."""
        ...

    @property
    def raw(self) -> frozenset[str]:
        """Names of parameters that hold conditions, and so are not rendered."""
        ...
