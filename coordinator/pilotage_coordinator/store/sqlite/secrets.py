"""Named secrets on SQLite: ciphertext only, and the grants beside it."""

import sqlite3
from typing import Final

from pilotage_coordinator.domain.secret_grant import SecretGrant, grant_of
from pilotage_coordinator.store.errors import Conflict, NotFound
from pilotage_coordinator.store.records import AuditEntry, SecretRecord
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.queries import Queries

MOST_EARLIER: Final = 20
"""Earlier values of one secret that are kept."""


def put_secret(connection: sqlite3.Connection, queries: Queries, secret: SecretRecord) -> None:
    """Store or replace a secret within a transaction; without grants it keeps those that it has."""
    set_aside(connection, queries, secret.name, secret.updated_at)
    row = {
        "name": secret.name,
        "ciphertext": secret.ciphertext,
        "at": secret.updated_at,
        "by": secret.updated_by,
        "grants": _written(secret.grants),
    }
    connection.execute(queries["secret_put"], row)


def set_aside(connection: sqlite3.Connection, queries: Queries, name: str, at: int) -> None:
    """Keep the value that a secret has now, if it has any, among its earlier ones."""
    if connection.execute(queries["secret_set_aside"], {"name": name, "at": at}).rowcount:
        connection.execute(queries["secret_versions_keep"], {"name": name, "kept": MOST_EARLIER})


class SqliteSecrets:
    """Implements `SecretStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def put(self, secret: SecretRecord, audit: tuple[AuditEntry, ...] = ()) -> bool:
        """Store or replace a secret; returns whether it is new."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> bool:
            new = connection.execute(queries["secret_exists"], (secret.name,)).fetchone() is None
            put_secret(connection, queries, secret)
            append_audit(connection, queries, audit)
            return new

        return await self._access.writes.submit(work)

    async def earlier(self, name: str) -> tuple[bytes, ...]:
        """Return the ciphertexts of earlier values, newest first."""
        return tuple(row[0] for row in await self._access.rows("secret_versions_of", (name,)))

    async def forget(self, before: int) -> int:
        """Remove earlier values that were replaced before a time."""
        sql = self._access.queries["secrets_forget"]
        return await self._access.writes.submit(lambda connection: connection.execute(sql, (before,)).rowcount)

    async def get(self, name: str) -> SecretRecord:
        """Return a secret."""
        row = await self._access.row("secret_get", (name,))
        if row is None:
            raise _no_secret(name)
        return _record(row)

    async def list(self) -> tuple[SecretRecord, ...]:
        """Return all secrets, by name."""
        return await self._access.records("secrets_all", (), _record)

    async def grant(
        self, name: str, grants: tuple[SecretGrant, ...], was: tuple[SecretGrant, ...], audit: tuple[AuditEntry, ...]
    ) -> None:
        """Replace the grants of a secret, if they are what they were."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute(queries["secret_grants"], (name,)).fetchone()
            if row is None:
                raise _no_secret(name)
            if _read(row[0]) != was:
                raise Conflict(f"somebody else has changed who may use secret `{name}`")
            connection.execute(queries["secret_grant"], {"name": name, "grants": _written(grants)})
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def remove(self, name: str, at: int, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Remove a secret."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            set_aside(connection, queries, name, at)
            if connection.execute(queries["secret_remove"], (name,)).rowcount == 0:
                raise _no_secret(name)
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)


def _record(row: Row) -> SecretRecord:
    name, ciphertext, updated_at, updated_by, grants, version = row
    return SecretRecord(name, ciphertext, updated_at, updated_by, _read(grants), version)


def _written(grants: tuple[SecretGrant, ...]) -> str:
    return write_json([each.to_json() for each in grants])


def _read(text: str) -> tuple[SecretGrant, ...]:
    return tuple(grant_of(each) for each in read_json(text))


def _no_secret(name: str) -> NotFound:
    return NotFound(f"there is no secret `{name}`: set it with `pilotage secret set {name}`")
