"""The check of compliance that people ask for, of a stored blueprint that nobody runs at this moment."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pilotage_coordinator.domain.compliance.blueprint_facts import steps_of_blueprint
from pilotage_coordinator.domain.compliance.checking import check
from pilotage_coordinator.domain.compliance.facts import BlueprintFacts, Facts, HostFacts
from pilotage_coordinator.domain.compliance.finding import Checked
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.plan import BlueprintRef
from pilotage_coordinator.domain.planning.request import StoredBlueprint
from pilotage_coordinator.domain.planning.selector import parse_selector
from pilotage_coordinator.domain.proof import Proof
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.library import Library
from pilotage_coordinator.runtime.policy import PolicyKeeper
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import ExecutionFilter


@dataclass(frozen=True, slots=True)
class CheckedBlueprint:
    """A blueprint, and what the rules of compliance say of it."""

    ref: BlueprintRef
    checked: Checked
    hosts: str
    """Which hosts were looked at, in words; empty: which ones it would touch is not known."""


@dataclass(frozen=True, slots=True)
class Compliance:
    """Checks stored blueprints by what the coordinator knows; asks no host."""

    policy: PolicyKeeper
    library: Library
    inventory: LiveInventory
    coordinator_types: Mapping[str, StepTypeInfo]
    store: Store
    clock: Clock

    async def check(self, blueprint: str, version: str, limit_to: str) -> CheckedBlueprint:
        """Check a blueprint against the rules that count, and the hosts of a selector.

        Without a selector: the hosts of its newest execution. Raises store.NotFound, BlueprintUnreadable and
        SelectorRefused.
        """
        stored = await self.library.get(blueprint, version)
        names, whence = await self._hosts(stored, limit_to)
        inventory = self.inventory.snapshot()
        ids = sorted(inventory[name].id for name in names or () if name in inventory)
        proofs = await self.store.hosts.proofs(ids)
        rules, number = self.policy.policy, self.policy.version
        now, types = self.clock.now(), {**self.inventory.step_types(), **self.coordinator_types}

        def work() -> Checked:
            if rules is None:
                return Checked(number, now)
            facts = self._facts(stored, types, names, whence, proofs, now)
            return Checked(number, now, check(rules.compliance, facts, Expressions()))

        return CheckedBlueprint(stored.ref, await asyncio.to_thread(work), whence)

    def _facts(
        self,
        stored: StoredBlueprint,
        types: Mapping[str, StepTypeInfo],
        names: tuple[str, ...] | None,
        whence: str,
        proofs: Mapping[str, tuple[Proof, ...]],
        now: int,
    ) -> Facts:
        blueprint = BlueprintFacts.of(stored.blueprint, stored.ref.digest, stored=True)
        steps = steps_of_blueprint(stored.blueprint, types, self.library)
        if names is None:
            return Facts(now, blueprint, steps)
        inventory = self.inventory.snapshot()
        found = [inventory[name] for name in names if name in inventory]
        hosts = {host.name: HostFacts(host, proofs.get(host.id, ())) for host in found}
        return Facts(now, blueprint, steps, hosts, whence)

    async def _hosts(self, stored: StoredBlueprint, limit_to: str) -> tuple[tuple[str, ...] | None, str]:
        """Return the hosts to look at, and how they were found; None where nobody can say."""
        if limit_to:
            chosen = parse_selector(limit_to)
            return chosen.names(self.inventory.snapshot().values()), f"the hosts of -l {limit_to}"
        newest = await self.store.executions.find(ExecutionFilter(stored.ref.id), "", 1)
        if not newest.rows:
            return None, ""
        execution = newest.rows[0]
        plan = await self.store.plans.get(execution.plan_digest)
        ids = plan.content.get("host_ids")
        names = tuple(sorted(ids)) if isinstance(ids, Mapping) else ()
        return names, f"the hosts of its newest execution, {execution.id}"
