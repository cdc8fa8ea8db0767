"""The port to the key of a database's ciphertexts."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from pilotage_coordinator.store.records import AuditEntry, Resealed, StoreKeyRecord

Reseal: TypeAlias = Callable[[bytes, str, str, str], bytes]
"""Returns the ciphertext of a place (table, row, field) as the new key makes it; may raise."""


class StoreKeyStore(Protocol):
    """Says which key counts, and changes it together with everything that it has encrypted."""

    async def get(self) -> StoreKeyRecord | None:
        """Return the key that counts; None in a database of a version that did not say."""
        ...

    async def needed(self) -> bool:
        """Return whether there is anything that was encrypted with a key."""
        ...

    async def begin(self, record: StoreKeyRecord) -> StoreKeyRecord:
        """Store the first key; return the one that counts then."""
        ...

    async def change(self, was: str, record: StoreKeyRecord, reseal: Reseal, audit: tuple[AuditEntry, ...]) -> Resealed:
        """Encrypt every ciphertext anew and let another key count, in one transaction: all of it, or nothing.

        `was` is the fingerprint before; raises Conflict when another key counts. What `reseal` raises passes, and
        nothing is changed. No coordinator may run: what it has encrypted and not stored yet would be lost.
        """
        ...
