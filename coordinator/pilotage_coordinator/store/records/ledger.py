"""Rows of the audit log, remembered answers and stored secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.plan import Json

FIRST_HASH = "sha256:" + "0" * 64
"""What the first entry of an audit chain names as its predecessor."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that a principal did or tried, to be appended to the audit log."""

    at: int
    principal: str
    operation: str
    subject: str
    outcome: str
    """`allowed`, `denied`, `failed` …"""
    detail: Mapping[str, Json] = field(default_factory=dict)
    """Never a secret."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry in its place in the chain."""

    sequence: int
    """From 1, without gaps."""
    entry: AuditEntry
    previous: str
    hash: str
    """sha256 over the canonical form of all other fields, `previous` included."""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of the chain; sequence 0 when it is empty."""

    sequence: int = 0
    hash: str = FIRST_HASH


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What checking the chain found. `fault` is empty when every link holds, else it names the first that does not."""

    checked: int
    head: AuditHead
    fault: str = ""


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """The answer once given to a request with an idempotency key; the key belongs to its principal."""

    key: str
    principal: str
    operation: str
    request_digest: str
    """A repeated key with another digest is another request, to be refused by the caller."""
    answer: Mapping[str, Json]
    expires_at: int


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A named secret as the room `security` encrypted it."""

    name: str
    ciphertext: bytes
    updated_at: int
    updated_by: str
