"""What people do with hosts: let one join, say what it is, send it away."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.fleet_port import FleetPort
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.security.tokens import JoinToken, new_secret, secret_digest
from pilotage_coordinator.store.protocol import EnrolmentStore, HostStore
from pilotage_coordinator.store.records import AuditEntry, EnrolmentRecord, HostRecord

TOKEN_LIFE = 15 * 60 * 1_000_000
"""Microseconds that a join token is good for (SECURITY: Agents)."""


@dataclass(frozen=True, slots=True)
class PrintedToken:
    """A join token as it is shown, once."""

    text: str
    expires_at: int


@dataclass(slots=True)
class Hosts:
    """The inventory as people change it."""

    store: HostStore
    enrolments: EnrolmentStore
    inventory: LiveInventory
    port: FleetPort
    clock: Clock
    random_bytes: Callable[[int], bytes]
    enrol_address: str
    """host:port that agents dial to join."""
    pin: str
    """SHA-256 of the coordinator's CA, which a join token carries."""
    forsake: Callable[[str], Awaitable[None]]
    """Told the name of a host that will never answer again."""
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Labels are read, merged and written by one at a time."""

    async def token(
        self, name: str, labels: Mapping[str, str], *, created_by: str, audit: tuple[AuditEntry, ...]
    ) -> PrintedToken:
        """Make a join token, bound to a host name if one is given; only its hash is stored."""
        secret = new_secret(self.random_bytes(32))
        now = self.clock.now()
        record = EnrolmentRecord(secret_digest(secret), now, created_by, now + TOKEN_LIFE, name, dict(labels))
        await self.enrolments.create(record, audit)
        return PrintedToken(str(JoinToken(self.enrol_address, self.pin, secret, name)), record.expires_at)

    def online(self, name: str) -> bool:
        """Return whether the host has a reconciled session."""
        return self.inventory.online(name)

    async def label(
        self,
        name: str,
        labels: Mapping[str, str | None],
        variables: Mapping[str, Json],
        *,
        audit: tuple[AuditEntry, ...],
    ) -> HostRecord:
        """Merge into what people say of a host; None removes a label or a variable. Raises store.NotFound."""
        async with self._changing:
            record = await self.store.named(name)
            await self.store.label(
                record.id, _merged(record.labels, labels), _merged(record.variables, variables), audit
            )
        await self.inventory.reload(name)
        return await self.store.named(name)

    async def release(self, name: str, *, audit: tuple[AuditEntry, ...]) -> HostRecord:
        """Let a host out of quarantine; it is judged by its next journal alone.

        Raises store.NotFound, and store.Refused when it is in no quarantine.
        """
        record = await self.store.named(name)
        await self.store.release(record.id, audit)
        return await self.store.get(record.id)

    async def revoke(self, name: str, *, audit: tuple[AuditEntry, ...]) -> HostRecord:
        """End the host's certificates and session for good. Raises store.NotFound."""
        record = await self.store.named(name)
        await self.store.revoke(record.id, self.clock.now(), audit)
        await self.port.disconnect(name, "the host was revoked")
        await self.inventory.reload(name)
        await self.forsake(name)
        return await self.store.get(record.id)


def _merged(present: Mapping[str, Json], changes: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in {**present, **changes}.items() if value is not None}
