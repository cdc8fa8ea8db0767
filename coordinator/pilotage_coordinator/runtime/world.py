"""The engine's view of the coordinator's present knowledge."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pilotage_coordinator.domain.plan import Plan, PlannedStep
from pilotage_coordinator.domain.planning.drift import HostDrift, host_drift
from pilotage_coordinator.engine.world import CoordinatorStep, Evaluator
from pilotage_coordinator.runtime.inventory import LiveInventory


class HostScopes(Mapping[str, Mapping[str, Any]]):
    """The inventory as expressions see it, made host by host when asked for."""

    def __init__(self, inventory: LiveInventory) -> None:
        self._inventory = inventory

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        scope = self._inventory.scope(name)
        if scope is None:
            raise KeyError(name)
        return scope

    def __iter__(self) -> Iterator[str]:
        return iter(self._inventory.snapshot())

    def __len__(self) -> int:
        return len(self._inventory.snapshot())


@dataclass(frozen=True, slots=True)
class RuntimeWorld:
    """Implements `engine.World`."""

    inventory: LiveInventory
    expressions: Evaluator
    coordinator_steps: Mapping[str, CoordinatorStep]
    hosts: Mapping[str, Mapping[str, Any]]

    @classmethod
    def over(
        cls, inventory: LiveInventory, expressions: Evaluator, coordinator_steps: Mapping[str, CoordinatorStep]
    ) -> "RuntimeWorld":
        """Return the world that shows this inventory."""
        return cls(inventory, expressions, coordinator_steps, HostScopes(inventory))

    def online(self, host: str) -> bool:
        """Return whether an attempt could be sent to the host now."""
        return self.inventory.online(host)

    def drift(self, plan: Plan, step: PlannedStep, host: str) -> HostDrift | None:
        """Return what keeps a host from running a step as it was planned; None when it can."""
        found = self.inventory.get(host)
        return None if found is None else host_drift(plan, step, found)

    def away_since(self, host: str) -> int:
        """Return since when the host has had no session; at the latest since this process began."""
        return self.inventory.away_since(host)
