"""Takes what agents say, and turns it into inputs of executions, rows of hosts and logs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.execution.inputs import HostChanged
from pilotage_coordinator.domain.fleet import AttemptReport, Greeting, HostInventory, JournalEntry, LogPiece
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.executor import Executor, Fenced
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.reconciliation import Reconciliation, reconcile
from pilotage_coordinator.runtime.restoration import Restoration
from pilotage_coordinator.runtime.second_redaction import UnknownAttempt
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.protocol import HostStore, LogStore
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")


@dataclass(slots=True)
class AgentListener:
    """Implements `FleetListener`."""

    executor: Executor
    hosts: HostStore
    logs: LogStore
    fleet: LiveInventory
    clock: Clock
    restoration: Restoration | None = None
    """Given after a restore: wants to hear what the database does not know."""
    found: dict[str, Reconciliation] = field(default_factory=dict)
    """Host to what the journal of its present session told, until the session is ready."""
    unrecorded: dict[str, HostInventory] = field(default_factory=dict)
    """Host to its newest inventory, while the store has not got it."""

    async def session_opened(
        self, host: str, greeting: Greeting, inventory: HostInventory, journal: Sequence[JournalEntry]
    ) -> None:
        """Compare what is open here with the agent's journal."""
        await self.executor.recovered.wait()
        # A new journal is remembered only after this has returned.
        earlier = (await self.hosts.named(host)).marks.journal_id
        found = reconcile(
            self.executor.dispatcher.open_on(host),
            journal,
            journal_replaced=bool(earlier) and earlier != greeting.journal_id,
            now=self.clock.now(),
        )
        if self.restoration is not None:
            await self.restoration.told(host, journal)
        for stranger in found.strangers:
            log.warning("attempt.unexpected", host=host, attempt=str(stranger.key))
        for entry in found.started:
            await self.executor.begun(entry.key, entry.started_at)
        await asyncio.gather(*(self.executor.report(report) for report in found.lost))
        self.executor.failpoints.reach("coordinator.session.reconciled")
        self.found[host] = found
        if self.fleet.get(host) is None:
            await self.fleet.reload(host)
        await self.inventory(host, inventory)

    async def session_ready(self, host: str) -> None:
        """Send what is open for the host."""
        self.fleet.set_online(host, True)
        found = self.found.pop(host, Reconciliation())
        await self.executor.resume_on(host, found.absent, found.held)

    async def session_closed(self, host: str, reason: str) -> None:
        """The host is offline from now on."""
        self.fleet.set_online(host, False)
        self.executor.dispatcher.host_left(host)
        await self.executor.sending.refill()
        for live in self.executor.waiting_for(host):
            self.executor.later(live, HostChanged(host))

    async def accepted(self, host: str, key: AttemptKey, epoch: int) -> None:
        """The attempt is in the agent's journal; nothing follows before it starts."""

    async def started(self, host: str, key: AttemptKey, epoch: int, started_at: int) -> None:
        """The attempt runs."""
        await self.executor.begun(key, started_at)

    async def result(self, host: str, report: AttemptReport) -> bool:
        """Take the end of an attempt; True once it is durable, or when it is no news."""
        if not self.executor.is_open(report.key):
            return True
        if report.epoch > self.executor.epoch:
            log.error("result.of_a_later_epoch", host=host, attempt=str(report.key), epoch=report.epoch)
            return False
        try:
            await self.executor.report(report)
        except StoreError:
            return False
        except Fenced as error:
            log.warning("result.fenced", host=host, error=str(error))
            return False
        return True

    async def log(self, host: str, piece: LogPiece) -> int | None:
        """Keep a piece of log."""
        try:
            return await self.logs.append(await self.executor.redacted(piece))
        except UnknownAttempt as error:
            # Acknowledged and dropped: an agent must not fill the disk with logs of executions that it invents.
            log.warning("log.refused", host=host, error=str(error))
            return piece.offset + len(piece.data)
        except StoreError as error:
            log.warning("log.not_stored", host=host, attempt=str(piece.key), error=str(error))
            return None

    def progress(self, host: str, key: AttemptKey, fraction: float | None, text: str) -> None:
        """Show progress of an open attempt."""
        self.executor.set_progress(key, fraction, text)

    async def inventory(self, host: str, inventory: HostInventory) -> None:
        """Keep what the agent says of its host."""
        self.fleet.set_reported(host, inventory)
        waiting = host in self.unrecorded
        self.unrecorded[host] = inventory
        if not waiting:
            await self._record(host)

    async def _record(self, host: str) -> None:
        """Store the newest inventory of a host; later, while the store refuses."""
        while (known := self.fleet.get(host)) is not None:
            newest = self.unrecorded[host]
            try:
                await self.hosts.record_inventory(known.id, newest, self.clock.now())
            except StoreError as error:
                log.warning("inventory.not_stored", host=host, error=str(error))
                self.executor.background.in_a_moment(lambda: self._record(host), f"inventory of {host}")
                return
            if self.unrecorded[host] is newest:
                break
        self.unrecorded.pop(host, None)
