"""The key of a database's ciphertexts, on SQLite."""

import base64
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from pilotage_coordinator.store.errors import Conflict
from pilotage_coordinator.store.protocol.store_key import Reseal
from pilotage_coordinator.store.records import AuditEntry, Resealed, StoreKeyRecord
from pilotage_coordinator.store.sqlite.access import Access
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.queries import Queries

_AT_ONCE: Final = 100
"""Rows that are held in memory at a time: a plan's may have megabytes."""


class SqliteStoreKey:
    """Implements `StoreKeyStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def get(self) -> StoreKeyRecord | None:
        """Return the key that counts."""
        row = await self._access.row("store_key_get")
        return None if row is None else StoreKeyRecord(*row)

    async def needed(self) -> bool:
        """Return whether there is anything that was encrypted with a key."""
        first = [await self._access.rows(query, ("", 1)) for query in ("secrets_after", "plans_after")]
        return any(first) or bool(await self._access.rows("secret_versions_after", (0, 1)))

    async def begin(self, record: StoreKeyRecord) -> StoreKeyRecord:
        """Store the first key; return the one that counts then."""
        queries = self._access.queries
        row = (record.fingerprint, record.root, record.since)

        def work(connection: sqlite3.Connection) -> StoreKeyRecord:
            connection.execute(queries["store_key_begin"], row)
            return StoreKeyRecord(*connection.execute(queries["store_key_get"]).fetchone())

        return await self._access.writes.submit(work)

    async def change(self, was: str, record: StoreKeyRecord, reseal: Reseal, audit: tuple[AuditEntry, ...]) -> Resealed:
        """Encrypt every ciphertext anew and let another key count."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> Resealed:
            # What the old key opens must not stay readable in pages that are given up.
            connection.execute("PRAGMA secure_delete = ON")
            row = (record.fingerprint, record.root, record.since, was)
            if connection.execute(queries["store_key_change"], row).rowcount == 0:
                raise Conflict(f"the database's key is not {was} any more; nothing was changed")
            done = Resealed(_secrets(connection, queries, reseal), _plans(connection, queries, reseal))
            append_audit(connection, queries, audit)
            return done

        done = await self._access.writes.submit(work)
        await self._access.writes.checkpoint()
        return done


def _secrets(connection: sqlite3.Connection, queries: Queries, reseal: Reseal) -> int:
    count = 0
    for name, ciphertext in _rows(connection, queries["secrets_after"], ""):
        connection.execute(queries["secret_reseal"], (reseal(ciphertext, "secrets", name, "ciphertext"), name))
        count += 1
    for number, name, ciphertext in _rows(connection, queries["secret_versions_after"], 0):
        connection.execute(
            queries["secret_version_reseal"], (reseal(ciphertext, "secrets", name, "ciphertext"), number)
        )
    return count


def _plans(connection: sqlite3.Connection, queries: Queries, reseal: Reseal) -> int:
    """Encrypt anew with which parameters each plan was asked for (`runtime.planner`)."""
    count = 0
    for digest, text in _rows(connection, queries["plans_after"], ""):
        view: Any = read_json(text)
        if not isinstance(view, dict) or "request" not in view:
            continue
        sealed = reseal(base64.b64decode(view["request"]), "plans", digest, "request")
        view["request"] = base64.b64encode(sealed).decode()
        connection.execute(queries["plan_reseal"], (write_json(view), digest))
        count += 1
    return count


def _rows(connection: sqlite3.Connection, sql: str, first: str | int) -> Iterator[tuple[Any, ...]]:
    """Yield all rows by their key, a few at a time: while they are read, they are written."""
    after = first
    while rows := connection.execute(sql, (after, _AT_ONCE)).fetchall():
        yield from rows
        after = rows[-1][0]
