"""The key of the store's ciphertexts: the one that counts is found at each start."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_coordinator.security.errors import DecryptionError, StoreKeyError
from pilotage_coordinator.security.secrets import (
    KEY_BYTES,
    StoreCipher,
    find_store_key,
    load_store_key,
)
from pilotage_coordinator.store.records import StoreKeyRecord
from pilotage_coordinator.store.sqlite.store import SqliteStore

DATABASE: Final = "pilotage.db"
ROOT: Final = ("store_key", "1", "root")
"""The place of the root, which its ciphertext is bound to."""


@dataclass(frozen=True, slots=True)
class StoreKey:
    """The key that counts."""

    cipher: StoreCipher
    root: bytes
    """What other keys are derived from: the same for the whole life of a database, so that a change of the key leaves
    what is hidden in plans, and so their digests, as they are."""


async def open_store_key(
    store: SqliteStore, folder: Path, environment: Mapping[str, str], *, now: int, first: bool
) -> StoreKey:
    """Return the key that the database's ciphertexts are made with; `first`: at its first start one may be made.

    Raises StoreKeyError when it is not there, or another one is.
    """
    record = await store.key.get()
    if record is None:
        # A first start may have been cut off before there was a key.
        key = load_store_key(folder, environment, may_create=first or not await store.key.needed())
        cipher = tested(key)
        await _prove(store, cipher)
        # A database of a version that did not keep a root has derived the other keys from this one.
        root = secrets.token_bytes(KEY_BYTES) if first else key
        record = await store.key.begin(StoreKeyRecord(cipher.fingerprint, cipher.encrypt(root, *ROOT), now))
    else:
        cipher = tested(find_store_key(folder, environment, record.fingerprint))
    return StoreKey(cipher, cipher.decrypt(record.root, *ROOT))


def tested(key: bytes) -> StoreCipher:
    """Return the cipher of a key, once it has shown that it hides values; raises StoreKeyError."""
    cipher = StoreCipher(key)
    cipher.self_test()
    return cipher


async def _prove(store: SqliteStore, cipher: StoreCipher) -> None:
    """Raise StoreKeyError where there is a secret that this key does not open."""
    for record in (await store.secrets.list())[:1]:
        try:
            cipher.decrypt(record.ciphertext, "secrets", record.name, "ciphertext")
        except DecryptionError as error:
            raise StoreKeyError(
                f"the key here ({cipher.fingerprint}) is not the one that the secrets are encrypted with: bring the "
                "right store.key back from a backup of the keys, or give the unit its credential again"
            ) from error
