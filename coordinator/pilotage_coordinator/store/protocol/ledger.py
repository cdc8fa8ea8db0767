"""The port to the audit log, remembered answers and stored secrets."""

from typing import Protocol

from pilotage_coordinator.store.records import (
    AnswerRecord,
    AuditEntry,
    AuditHead,
    AuditRecord,
    AuditVerdict,
    SecretRecord,
)


class AuditStore(Protocol):
    """The append-only log, a chain of hashes. Most entries are written by the operation that they are about."""

    async def append(self, *entries: AuditEntry) -> AuditHead:
        """Append entries that belong to no other write (reads, denials); returns the head after them."""
        ...

    async def read(self, after: int = 0, limit: int = 1000) -> tuple[AuditRecord, ...]:
        """Return entries with a sequence above `after`, in order; `limit` 1 to 10,000."""
        ...

    async def newest(self, before: int | None = None, limit: int = 50) -> tuple[AuditRecord, ...]:
        """Return the newest entries, newest first, below sequence `before` if given; `limit` 1 to 1,000."""
        ...

    async def head(self) -> AuditHead:
        """Return the end of the chain."""
        ...

    async def verify(self, known: AuditHead | None = None) -> AuditVerdict:
        """Check every link from the first entry on, and that `known`, a head seen earlier, still lies on the chain."""
        ...


class AnswerStore(Protocol):
    """Answers remembered under idempotency keys."""

    async def get(self, principal: str, key: str, now: int) -> AnswerRecord | None:
        """Return the unexpired answer under a principal's key, or None."""
        ...

    async def remember(self, answer: AnswerRecord, now: int) -> None:
        """Remember an answer; raises Conflict if an unexpired one is there."""
        ...

    async def remove_expired(self, now: int) -> int:
        """Forget expired answers; returns how many."""
        ...


class SecretStore(Protocol):
    """Named secrets, encrypted by the room `security` before they come here."""

    async def put(self, secret: SecretRecord, audit: tuple[AuditEntry, ...] = ()) -> bool:
        """Store or replace a secret; returns whether it is new."""
        ...

    async def get(self, name: str) -> SecretRecord:
        """Return a secret; raises NotFound."""
        ...

    async def list(self) -> tuple[SecretRecord, ...]:
        """Return all secrets, by name."""
        ...

    async def remove(self, name: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Remove a secret; raises NotFound."""
        ...
