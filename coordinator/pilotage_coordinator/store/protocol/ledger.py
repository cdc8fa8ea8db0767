"""The port to the audit log, remembered answers and stored secrets."""

from collections.abc import Sequence
from typing import Protocol

from pilotage_coordinator.domain.secret_grant import SecretGrant
from pilotage_coordinator.store.records import (
    AnswerRecord,
    AuditEntry,
    AuditFilter,
    AuditHead,
    AuditRecord,
    AuditVerdict,
    Page,
    RecoveryRecord,
    SecretRecord,
    SignedHead,
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

    async def search(self, wanted: AuditFilter, cursor: str = "", limit: int = 50) -> Page[AuditRecord]:
        """Return the newest entries that fit, newest first; `limit` 1 to 1,000.

        One call goes through a bounded part of the log: an empty page with a cursor says that there is more to search.
        """
        ...

    async def head(self) -> AuditHead:
        """Return the end of the chain."""
        ...

    async def at(self, sequence: int) -> AuditHead | None:
        """Return the place of an entry in the chain (0: its beginning), or None where the log does not reach."""
        ...

    @property
    def sealed(self) -> SignedHead | None:
        """The signed head of the newest commit, from memory; None where nothing signs."""
        ...

    async def signed_head(self) -> SignedHead | None:
        """Return the signed head as it is stored."""
        ...

    async def recoveries(self, most: int = 32) -> tuple[RecoveryRecord, ...]:
        """Return the newest records of restores, oldest first."""
        ...

    async def recover(self, record: RecoveryRecord, at: int, audit: tuple[AuditEntry, ...]) -> None:
        """Store a record of a restore, or the signature of one that is there, with the entry about it."""
        ...

    async def verify(self, known: Sequence[AuditHead] = ()) -> AuditVerdict:
        """Check every link from the first entry on, that the log ends at its signed head, and that each of `known`,
        heads seen earlier, still lies on the chain. The signature is the room `security`'s to check."""
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
        """Store or replace a secret; returns whether it is new. The value before is kept among the earlier ones."""
        ...

    async def earlier(self, name: str) -> tuple[bytes, ...]:
        """Return the ciphertexts of earlier values of a secret, also of one that was removed, newest first.

        Kept for 30 days, twenty at most: to be found in what steps say that were given them, and for nothing else.
        """
        ...

    async def forget(self, before: int) -> int:
        """Remove earlier values that were replaced before a time; returns how many."""
        ...

    async def get(self, name: str) -> SecretRecord:
        """Return a secret; raises NotFound."""
        ...

    async def list(self) -> tuple[SecretRecord, ...]:
        """Return all secrets, by name."""
        ...

    async def grant(
        self, name: str, grants: tuple[SecretGrant, ...], was: tuple[SecretGrant, ...], audit: tuple[AuditEntry, ...]
    ) -> None:
        """Replace the grants of a secret; raises NotFound, and Conflict when they are not what they were."""
        ...

    async def remove(self, name: str, at: int, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Remove a secret; raises NotFound. Its value is kept among the earlier ones."""
        ...
