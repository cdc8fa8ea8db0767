"""The parts of a running coordinator that its rooms share, as the bootstrap made them."""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage_coordinator.domain.identifier import NewId
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.fleet.store_registry import StoreRegistry
from pilotage_coordinator.runtime.clock import SystemClock
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.policy import PolicyKeeper
from pilotage_coordinator.runtime.restoration import Restoration
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.runtime.witnesses import Witnesses
from pilotage_coordinator.security.audit_key import AuditKey
from pilotage_coordinator.security.authority import Authority
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.store.logs import LogFolder
from pilotage_coordinator.store.sqlite.store import SqliteStore
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.coordinator")

CANCEL_AGAIN_SECONDS: Final = 1.0


@dataclass(slots=True)
class Process:
    """The running coordinator, as its own operations see it."""

    started_at: int
    state_dir: str
    new_id: NewId
    fleet_address: str = ""
    enrol_address: str = ""
    https_address: str = ""
    """Where the API is served over the network; empty: nowhere."""
    authority_pem: str = ""
    """The certificate that vouches for what the coordinator's ports show."""
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
    root_key: bytes
    """What other keys are derived from."""
    cipher: StoreCipher
    authority: Authority
    audit_key: AuditKey
    witnesses: Witnesses
    restoration: Restoration | None = None
    """Only after a restore from a backup."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The hosts as they are now, and the sessions with them."""

    roster: Roster
    registry: StoreRegistry
    inventory: LiveInventory
    vault: SecretVault
    policy: PolicyKeeper


def in_background(
    stack: contextlib.AsyncExitStack, process: Process, work: Coroutine[Any, Any, None], name: str
) -> None:
    """Run `work` until the stack unwinds; should it end before, the process must not go on without it."""
    task = asyncio.create_task(work, name=name)

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            error = task.exception()
            log.critical("part.ended", part=name, exc_info=error)
            process.fail(f"the {name} ended unexpectedly ({error!r}); its log has the details")

    task.add_done_callback(ended)

    async def end() -> None:
        # Again and again: what the work awaits may end in the same turn of the loop and swallow a cancel.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)

    stack.push_async_callback(end)
