"""The parts of a running coordinator that its rooms share, as the bootstrap made them."""

import asyncio
from dataclasses import dataclass, field

from pilotage_coordinator.domain.identifier import NewId
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.fleet.store_registry import StoreRegistry
from pilotage_coordinator.runtime.clock import SystemClock
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.restoration import Restoration
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.security.authority import Authority
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.store.logs import LogFolder
from pilotage_coordinator.store.sqlite.store import SqliteStore


@dataclass(slots=True)
class Process:
    """The running coordinator, as its own operations see it."""

    started_at: int
    state_dir: str
    new_id: NewId
    fleet_address: str = ""
    enrol_address: str = ""
    failure: str = ""
    """Why it must stop although nobody asked; empty while all is well."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def stopping(self) -> bool:
        """Return whether a stop was asked."""
        return self.stopped.is_set()

    def fail(self, reason: str) -> None:
        """Stop, and say that it was no wish: a part that everything needs has ended."""
        self.failure = self.failure or reason
        self.stopped.set()

    def stop(self) -> None:
        """Begin a graceful stop."""
        self.stopped.set()


@dataclass(frozen=True, slots=True)
class Base:
    """What everything stands on."""

    clock: SystemClock
    store: SqliteStore
    logs: LogFolder
    epoch: int
    store_key: bytes
    cipher: StoreCipher
    authority: Authority
    restoration: Restoration | None = None
    """Only after a restore from a backup."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The hosts as they are now, and the sessions with them."""

    roster: Roster
    registry: StoreRegistry
    inventory: LiveInventory
    vault: SecretVault
