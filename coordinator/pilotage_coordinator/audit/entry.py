"""What stands in the audit log, and the hash that ties each entry to all before it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage_proto.audit_head import FIRST_HASH
from pilotage_proto.canonical import canonical, digest_of_bytes


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that a principal did or tried, to be appended to the audit log."""

    at: int
    """UTC microseconds."""
    principal: str
    operation: str
    subject: str
    outcome: str
    """`allowed`, `denied`, `refused`, `reported` …"""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """JSON. Never a secret."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry in its place in the chain."""

    sequence: int
    """From 1, without gaps."""
    entry: AuditEntry
    previous: str
    hash: str
    """sha256 over the record's line, which holds all other fields, `previous` included."""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of the chain; sequence 0 when it is empty."""

    sequence: int = 0
    hash: str = FIRST_HASH


def line(sequence: int, previous: str, entry: AuditEntry) -> bytes:
    """Return an entry in its place as one line of canonical JSON: what is hashed, and what is exported.

    Raises CanonicalError for a detail without canonical form.
    """
    return canonical(
        {
            "sequence": sequence,
            "at": entry.at,
            "principal": entry.principal,
            "operation": entry.operation,
            "subject": entry.subject,
            "outcome": entry.outcome,
            "detail": entry.detail,
            "previous": previous,
        }
    )


def link(sequence: int, previous: str, entry: AuditEntry) -> str:
    """Return the hash of an entry in its place."""
    return digest_of_bytes(line(sequence, previous, entry))
