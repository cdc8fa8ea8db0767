"""What the fleet needs to know and to keep about hosts, join tokens and certificates.

Every method is one transaction. Times are UTC microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.fleet.admission import Marks


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was issued; `serial` is hexadecimal."""

    serial: str
    host_id: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Host:
    """A host as the fleet sees it."""

    id: str
    name: str
    key_digest: str
    """Hexadecimal SHA-256 of the public key that it joined with or last renewed to."""
    sealing_key: bytes
    joined_at: int
    revoked: bool = False
    quarantine: str = ""
    """Why it gets no session until a person has looked; empty = it is trusted."""
    marks: Marks = field(default_factory=Marks)
    agent_version: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A join token, by the digest of its secret."""

    digest: str
    created_at: int
    expires_at: int
    created_by: str = ""
    name: str = ""
    """The only host name that it may enrol; empty = any."""
    labels: Mapping[str, Json] = field(default_factory=dict)
    used_by: str = ""
    """Id of the host that it enrolled; empty = unused."""


class NameTaken(Exception):
    """A host that is not revoked has this name already."""


class TokenSpent(Exception):
    """The token was used by another host meanwhile, or is gone."""


class Registry(Protocol):
    """The durable side of the fleet. Methods may be called concurrently."""

    async def token(self, digest: str) -> Token | None:
        """Return the token, used or not, or None."""
        ...

    async def enrol(self, token: Token, host: Host, certificate: Certificate, now: int) -> None:
        """Spend the token, insert the host and its first certificate: all or nothing.

        Raises TokenSpent if the token is not unused any more, NameTaken if the name is.
        """
        ...

    async def host(self, host_id: str) -> Host | None:
        """Return a host, revoked ones too, or None."""
        ...

    async def denied(self, serial: str) -> bool:
        """Return whether this certificate is on the deny list, or was never issued."""
        ...

    async def denials(self) -> int:
        """Return a number that changes whenever a host or certificate is denied or a host is quarantined."""
        ...

    async def add_certificate(self, certificate: Certificate, key_digest: str) -> None:
        """Record a certificate for a known host, and the key that it now uses."""
        ...

    async def renew_expired(self, certificate: Certificate, key_digest: str, proved_at: int) -> bool:
        """Record and count a renewal by proof. False, and nothing recorded, unless `proved_at` is later than the
        host's last one: a proof works once."""
        ...

    async def remember(self, host_id: str, marks: Marks, agent_version: str, boot_id: str, now: int) -> None:
        """Keep the marks of an admitted greeting."""
        ...

    async def quarantine(self, host_id: str, reason: str, now: int) -> None:
        """Put a host into quarantine; the first reason stays."""
        ...
