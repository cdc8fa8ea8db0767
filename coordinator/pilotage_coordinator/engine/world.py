"""What the engine may ask while it decides. All of it is pure for the duration of one decision."""

from collections.abc import Mapping
from typing import Protocol

from pilotage_coordinator.domain.execution.coordinator_step import CoordinatorStep, StepOutcome
from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.plan import Json, Plan, PlannedStep
from pilotage_coordinator.domain.planning.drift import HostDrift

__all__ = ["CoordinatorStep", "Evaluator", "StepOutcome", "World"]


class World(Protocol):
    """The coordinator's present knowledge of the fleet, and the means to evaluate."""

    @property
    def hosts(self) -> Mapping[str, Mapping[str, Json]]:
        """Name to {name, address, labels, vars, facts, capabilities, environment, online}; last known."""
        ...

    def online(self, host: str) -> bool:
        """Return whether an attempt could be sent to the host now."""
        ...

    def away_since(self, host: str) -> int:
        """Return since when a host that is not online has been away (UTC microseconds)."""
        ...

    def drift(self, plan: Plan, step: PlannedStep, host: str) -> HostDrift | None:
        """Return what keeps a host from running a step as it was planned; None when it can. O(1)."""
        ...

    def forbids(
        self,
        plan: Plan,
        step: PlannedStep,
        host: str,
        parameters: Mapping[str, Json],
        request: Mapping[str, Json],
        now: int,
    ) -> str:
        """Return why the policy does not let a step begin on a host now; empty where it does. O(rules about them)."""
        ...

    @property
    def expressions(self) -> Evaluator:
        """The evaluator."""
        ...

    @property
    def coordinator_steps(self) -> Mapping[str, CoordinatorStep]:
        """By step type name. A coordinator step of another type becomes an attempt that the runtime makes itself."""
        ...
