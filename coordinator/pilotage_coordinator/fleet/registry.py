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
    """Hexadecimal SHA-256 of the public key that it joined with."""
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

    async def adopt(self, certificate: Certificate) -> bool:
        """Whether a certificate of our authority that `denied` does not know is good all the same.

        So it is after a restore: it was issued after the backup was made, to a host that is known. It is recorded then.
        """
        ...

    async def deny_list(self, now: int) -> frozenset[str]:
        """Return the serials that are denied and have not ended. Revoking a host denies all its certificates."""
        ...

    async def add_certificate(self, certificate: Certificate) -> None:
        """Record a certificate for a known host."""
        ...

    async def remember(self, host_id: str, marks: Marks, agent_version: str, boot_id: str, now: int) -> bool:
        """Keep the marks of an admitted greeting. False, and nothing kept, if the host may not have a session any
        more or another session was admitted meanwhile: the agent is to try again."""
        ...

    async def quarantine(self, host_id: str, reason: str, now: int) -> None:
        """Put a host into quarantine; the first reason stays."""
        ...
