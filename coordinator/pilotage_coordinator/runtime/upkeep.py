"""The chores of a running coordinator: who was last seen when, what history may go, what the store can do when idle."""

import asyncio
from dataclasses import dataclass

from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.protocol import LogStore, Store
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.coordinator")

ROUND_SECONDS = 30.0
ROWS_AT_ONCE = 1000
"""Every execution has more than one row, so that what one call removes has lost its logs before."""
DAY = 24 * 3600 * 1_000_000


@dataclass(slots=True)
class Upkeep:
    """Does the chores, one round after the other."""

    store: Store
    logs: LogStore
    inventory: LiveInventory
    clock: Clock
    history_days: int
    """How long executions that are over are kept; 0 = for ever. The audit log is always kept."""

    async def run(self) -> None:
        """Go round until cancelled."""
        try:
            await self.logs.secure()
        except OSError as error:
            log.warning("logs.not_secured", error=str(error))
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.round()
            except StoreError as error:
                log.warning("upkeep.failed", error=str(error))
            except Exception:
                # A defect in one round must not end retention and checkpoints for good.
                log.exception("upkeep.defect")

    async def round(self) -> None:
        """Do every chore once."""
        now = self.clock.now()
        await self.store.hosts.seen({host.id: now for host in self.inventory.snapshot().values() if host.online})
        if self.history_days:
            await self.forget_before(now - self.history_days * DAY)
        await self.store.maintain(now)

    async def forget_before(self, ended_before: int) -> None:
        """Remove executions that ended before a time: their logs first, so that a crash leaves no orphans."""
        while executions := await self.store.executions.prunable(ended_before, ROWS_AT_ONCE):
            for execution in executions:
                await self.logs.remove(execution)
            await self.store.executions.prune(ended_before, ROWS_AT_ONCE)
        while await self.store.schedules.prune(ended_before, ROWS_AT_ONCE) == ROWS_AT_ONCE:
            pass
