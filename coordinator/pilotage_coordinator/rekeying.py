"""A new key for the store: everything is encrypted with it in one transaction, while no coordinator runs."""

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotage_coordinator.domain.identifier import uuid7_identifier
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.runtime.clock import SystemClock
from pilotage_coordinator.runtime.failpoint import VARIABLE, Failpoints
from pilotage_coordinator.security.audit_key import open_audit_key
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.security.secrets import StoreCipher, make_next_key, settle_next_key
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.records import AuditEntry, Resealed, StoreKeyRecord
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_store
from pilotage_coordinator.store_keys import DATABASE, ROOT, StoreKey, open_store_key, tested


class CannotChangeKey(Exception):
    """The key was not changed; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """A change of the key: fingerprints before and after, and how much was encrypted anew."""

    before: str
    after: str
    done: Resealed


async def change_store_key(state_dir: Path, environment: Mapping[str, str], reason: str) -> Rekeyed:
    """Make a new key, encrypt everything with it, and let it take the place of the old one.

    The new key is on the disk before the first row is written; all rows and the fingerprint of the key that counts
    change in one transaction; then the file takes its place. Whoever is killed in between leaves a database that one of
    the files opens, and the next start finds which. Raises CannotChangeKey with nothing changed.
    """
    if not (state_dir / DATABASE).exists():
        raise CannotChangeKey(f"there is no coordinator's database in {state_dir}: name its folder with --state-dir")
    clock = SystemClock()
    failpoints = Failpoints(environment.get(VARIABLE, ""))
    try:
        signer = open_audit_key(state_dir)
        store = await open_store(state_dir / DATABASE, now=clock.now(), new_id=_new_id, signer=signer)
        try:
            old = await open_store_key(store, state_dir, environment, now=clock.now(), first=False)
            new = tested(make_next_key(state_dir))
            failpoints.reach("rekey.key_made")
            done = await _reseal(store, old, new, clock.now(), reason)
            failpoints.reach("rekey.committed")
            settle_next_key(state_dir)
        finally:
            await store.close()
    except (StoreError, SecurityError, OSError) as error:
        raise CannotChangeKey(str(error)) from error
    return Rekeyed(old.cipher.fingerprint, new.fingerprint, done)


async def _reseal(store: SqliteStore, old: StoreKey, new: StoreCipher, now: int, reason: str) -> Resealed:
    def reseal(ciphertext: bytes, table: str, row: str, field: str) -> bytes:
        return new.encrypt(old.cipher.decrypt(ciphertext, table, row, field), table, row, field)

    was = old.cipher.fingerprint
    who = f"uid {os.geteuid()}"
    detail: dict[str, Json] = {
        "principal_kind": "coordinator",
        "by": who,
        "was": was,
        "is": new.fingerprint,
        "reason": reason,
    }
    entry = AuditEntry(now, "coordinator", "secret.rekey", store.coordinator_id, "allowed", detail)
    record = StoreKeyRecord(new.fingerprint, new.encrypt(old.root, *ROOT), now)
    return await store.key.change(was, record, reseal, (entry,))


def _new_id(prefix: str) -> str:
    return uuid7_identifier(prefix, time.time_ns() // 1_000_000, secrets.randbits(74))
