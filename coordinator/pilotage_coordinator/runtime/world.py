"""The engine's view of the coordinator's present knowledge."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pilotage_coordinator.domain.plan import Json, Plan, PlannedStep
from pilotage_coordinator.domain.planning.drift import HostDrift, host_drift
from pilotage_coordinator.domain.policy.question import Stage
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.ruling import Asking, forbidden, question_of
from pilotage_coordinator.engine.world import CoordinatorStep, Evaluator
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.policy import PolicyKeeper


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
    policy: PolicyKeeper | None = None

    @classmethod
    def over(
        cls,
        inventory: LiveInventory,
        expressions: Evaluator,
        coordinator_steps: Mapping[str, CoordinatorStep],
        policy: PolicyKeeper | None = None,
    ) -> "RuntimeWorld":
        """Return the world that shows this inventory, under a policy if there is one."""
        return cls(inventory, expressions, coordinator_steps, HostScopes(inventory), policy)

    def online(self, host: str) -> bool:
        """Return whether an attempt could be sent to the host now."""
        return self.inventory.online(host)

    def drift(self, plan: Plan, step: PlannedStep, host: str) -> HostDrift | None:
        """Return what keeps a host from running a step as it was planned; None when it can."""
        found = self.inventory.get(host)
        return None if found is None else host_drift(plan, step, found)

    def forbids(
        self,
        plan: Plan,
        step: PlannedStep,
        host: str,
        parameters: Mapping[str, Json],
        request: Mapping[str, Json],
        now: int,
    ) -> str:
        """Return why the policy does not let a step begin on a host now; empty where it does, or there is none."""
        rules = self.policy.rules if self.policy is not None else None
        if rules is None:
            return ""
        requested = Requested.from_json(request)
        asking = Asking(requested.asker, requested.change, now, Stage.DISPATCH)
        question = question_of(plan, step, self.inventory.get(host), parameters, asking)
        return forbidden(rules, plan, question, self.expressions)

    def away_since(self, host: str) -> int:
        """Return since when the host has had no session; at the latest since this process began."""
        return self.inventory.away_since(host)
