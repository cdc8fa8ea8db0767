"""Searches of the audit log, remembered answers and stored secrets."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.secret_grant import SecretGrant


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries of the audit log to list; empty fields filter nothing."""

    principal: str = ""
    operation: str = ""
    """`run.start`, or `run` for all whose name begins so."""
    subject: str = ""
    outcome: str = ""
    since: int = 0
    """UTC microseconds, this one included."""
    until: int = 0
    """UTC microseconds, this one not included; 0: no end."""


@dataclass(frozen=True, slots=True)
class RecoveryRecord:
    """That this database was restored from a backup: the statement about it, and an owner's signature (or none)."""

    statement: bytes
    """See `pilotage_proto.recovery`."""
    signature: str = ""


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
    """A named secret as the room `security` encrypted it, and who may be given its value."""

    name: str
    ciphertext: bytes
    updated_at: int
    updated_by: str
    grants: tuple[SecretGrant, ...] = ()
    version: int = 0
    """Counted by the store from 1: each value that is set is a new one."""
