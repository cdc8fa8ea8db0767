"""Named secrets on SQLite: ciphertext only."""

import sqlite3

from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.records import AuditEntry, SecretRecord
from pilotage_coordinator.store.sqlite.access import Access
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.queries import Queries


def put_secret(connection: sqlite3.Connection, queries: Queries, secret: SecretRecord) -> None:
    """Store or replace a secret within a transaction."""
    connection.execute(queries["secret_put"], (secret.name, secret.ciphertext, secret.updated_at, secret.updated_by))


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

    async def get(self, name: str) -> SecretRecord:
        """Return a secret."""
        row = await self._access.row("secret_get", (name,))
        if row is None:
            raise _no_secret(name)
        return SecretRecord(*row)

    async def list(self) -> tuple[SecretRecord, ...]:
        """Return all secrets, by name."""
        return tuple(SecretRecord(*row) for row in await self._access.rows("secrets_all"))

    async def remove(self, name: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Remove a secret."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(queries["secret_remove"], (name,)).rowcount == 0:
                raise _no_secret(name)
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)


def _no_secret(name: str) -> NotFound:
    return NotFound(f"there is no secret `{name}`: set it with `pilotage secret set {name}`")
