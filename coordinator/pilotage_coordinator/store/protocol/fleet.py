"""The port to hosts, join tokens and certificates."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pilotage_coordinator.domain.fleet import HostInventory
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.store.records import (
    AuditEntry,
    CertificateRecord,
    EnrolmentRecord,
    HostRecord,
    Page,
    SessionMarks,
)


class HostStore(Protocol):
    """Hosts. An id is never given twice; a name is unique among the hosts that are not revoked."""

    async def get(self, host: str) -> HostRecord:
        """Return a host by id, revoked or not; raises NotFound."""
        ...

    async def named(self, name: str) -> HostRecord:
        """Return the host of this name that is not revoked; raises NotFound."""
        ...

    async def all(self) -> tuple[HostRecord, ...]:
        """Return every host that is not revoked, by name: the inventory."""
        ...

    async def find(self, cursor: str = "", limit: int = 200, *, revoked: bool = False) -> Page[HostRecord]:
        """List hosts by name, with the revoked ones if asked for. `limit` 1 to 1,000."""
        ...

    async def proofs(self, hosts: Sequence[str]) -> Mapping[str, tuple[Proof, ...]]:
        """Return what was proved of hosts, by id: at most the newest good and bad of each kind. Cost: these hosts,
        whatever the history."""
        ...

    async def last_passed(self, kind: ProofKind) -> Mapping[str, int]:
        """Return when each host's newest good one of a kind began (UTC microseconds), by the name of the host; without
        hosts that have none, and revoked ones."""
        ...

    async def open_session(
        self, host: str, marks: SessionMarks, *, agent_version: str, boot_id: str, at: int
    ) -> SessionMarks:
        """Compare-and-set the marks by which a session is judged; returns the earlier ones.

        Raises Conflict, with nothing stored, when `marks` do not follow them (`SessionMarks.follows`): a second
        instance, a restored agent or a late greeting. Raises Refused when the host is revoked or quarantined.
        """
        ...

    async def record_inventory(self, host: str, inventory: HostInventory, at: int) -> None:
        """Keep what the agent says of its host."""
        ...

    async def record_sealing_key(self, host: str, key: bytes) -> None:
        """Keep the X25519 public key that secrets for this host are sealed to."""
        ...

    async def seen(self, times: Mapping[str, int]) -> None:
        """Note when hosts (by id) were last heard of: many at once, seldom; it never goes back."""
        ...

    async def label(
        self,
        host: str,
        labels: Mapping[str, Json] | None = None,
        variables: Mapping[str, Json] | None = None,
        audit: tuple[AuditEntry, ...] = (),
    ) -> None:
        """Replace the labels, the variables or both; None keeps them."""
        ...

    async def quarantine(self, host: str, reason: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Give the host no work until a person has looked, and releases it."""
        ...

    async def release(self, host: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """End the quarantine, and forget by what the host was judged: its next journal counts as a new one.

        So what was open on it and its journal does not hold is taken for interrupted, never sent again. Raises Refused
        when it is in no quarantine.
        """
        ...

    async def revoke(self, host: str, at: int, audit: tuple[AuditEntry, ...] = ()) -> tuple[str, ...]:
        """Revoke a host and all its certificates at once and for good; returns the serials of those still valid."""
        ...


class EnrolmentStore(Protocol):
    """Join tokens, by their hash."""

    async def create(self, enrolment: EnrolmentRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store a token."""
        ...

    async def get(self, token_hash: str) -> EnrolmentRecord:
        """Return a token's row; raises NotFound."""
        ...

    async def consume(
        self,
        token_hash: str,
        host: HostRecord,
        certificate: CertificateRecord,
        now: int,
        audit: tuple[AuditEntry, ...] = (),
    ) -> HostRecord:
        """Use a token up, add the host with the token's labels, and note its first certificate, in one transaction.

        The same token again before it expires, with the same `key_digest` and name, is a repeated request whose answer
        got lost: the host of the first time is returned, and `certificate` is noted for *it* (its id is the host of
        the record that comes back). Raises Refused otherwise: unknown, used, expired, bound to another name, or the
        name belongs to an active host.
        """
        ...

    async def remove_expired(self, before: int) -> int:
        """Remove tokens that expired before a time; returns how many."""
        ...


class CertificateStore(Protocol):
    """Certificates that were issued to hosts."""

    async def add(self, certificate: CertificateRecord) -> None:
        """Note a certificate and make it its host's newest; raises Refused when the host is revoked."""
        ...

    async def get(self, serial: str) -> CertificateRecord:
        """Return a certificate; raises NotFound."""
        ...

    async def denied(self, now: int) -> frozenset[str]:
        """Return the serials that are revoked and not yet expired: the deny list."""
        ...

    async def remove_expired(self, before: int) -> int:
        """Forget certificates that expired before a time, except each host's newest; returns how many."""
        ...
