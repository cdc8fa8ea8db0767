"""The policy that counts, kept ready for every dispatch, and its next version put in its place."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from pilotage_coordinator.domain.planning.errors import PlanUnreadable
from pilotage_coordinator.domain.policy.content import read_policy
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.rule import Policy
from pilotage_coordinator.store.protocol import PolicyStore
from pilotage_coordinator.store.records import AuditEntry, PolicyRecord
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.policy")

NOTHING: Final = Policy()
"""Allows nothing: what counts while the stored policy cannot be read."""


@dataclass(slots=True)
class PolicyKeeper:
    """A copy in memory of the store's newest policy, so that asking it costs nothing. The store has the facts."""

    store: PolicyStore
    version: int = 0
    """0: there is no policy, and nothing is asked."""
    fault: str = ""
    """Why the stored policy cannot be read, if so."""
    _rules: Ruleset | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self) -> None:
        """Read the newest version. One that this program cannot read allows nothing, and `fault` says why."""
        record = await self.store.newest()
        if record is None:
            return
        try:
            self._rules = Ruleset(read_policy(record.content))
            self.version = record.version
        except PlanUnreadable as error:
            log.error("policy.unreadable", version=record.version, error=str(error))
            self.version, self.fault, self._rules = record.version, str(error), Ruleset(NOTHING)

    @property
    def rules(self) -> Ruleset | None:
        """Return the rules that count; None where there is no policy at all."""
        return self._rules

    @property
    def policy(self) -> Policy | None:
        """Return the policy that counts; None where there is none."""
        return self._rules.policy if self._rules is not None else None

    async def put(self, record: PolicyRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store the next version, and let it count from then on; raises store.Conflict when another one came first."""
        async with self._turn:
            rules = Ruleset(read_policy(record.content))  # before anything is stored
            await self.store.add(record, audit)
            self.version, self.fault, self._rules = record.version, "", rules
