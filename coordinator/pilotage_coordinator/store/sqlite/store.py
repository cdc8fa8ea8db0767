"""The store as a whole on SQLite, and how it is opened."""

import sqlite3
from functools import partial
from pathlib import Path

from pilotage_coordinator.audit.entry import AuditEntry
from pilotage_coordinator.audit.head import HeadSigner
from pilotage_coordinator.domain.identifier import NewId
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.store.database import Database
from pilotage_coordinator.store.protocol import StoreFigures
from pilotage_coordinator.store.sqlite import connection as connections
from pilotage_coordinator.store.sqlite import schema
from pilotage_coordinator.store.sqlite.access import Access
from pilotage_coordinator.store.sqlite.answers import SqliteAnswers
from pilotage_coordinator.store.sqlite.approvals import SqliteApprovals
from pilotage_coordinator.store.sqlite.audit import SqliteAudit, append_audit
from pilotage_coordinator.store.sqlite.blueprints import SqliteBlueprints, SqlitePlans
from pilotage_coordinator.store.sqlite.compliance import SqliteCompliance
from pilotage_coordinator.store.sqlite.copies import copy_database, sync_folder_of
from pilotage_coordinator.store.sqlite.deliveries import SqliteDeliveries
from pilotage_coordinator.store.sqlite.enrolments import SqliteCertificates, SqliteEnrolments
from pilotage_coordinator.store.sqlite.executions import SqliteExecutions
from pilotage_coordinator.store.sqlite.group_commit import GroupCommit
from pilotage_coordinator.store.sqlite.hosts import SqliteHosts
from pilotage_coordinator.store.sqlite.inline import InlineDatabase, SimulatedDisk
from pilotage_coordinator.store.sqlite.policies import SqlitePolicies
from pilotage_coordinator.store.sqlite.principals import SqlitePrincipals
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.schedules import SqliteSchedules
from pilotage_coordinator.store.sqlite.seal import AuditSeal
from pilotage_coordinator.store.sqlite.secrets import SqliteSecrets
from pilotage_coordinator.store.sqlite.store_key import SqliteStoreKey
from pilotage_coordinator.store.sqlite.threaded import READ_SECONDS, ThreadedDatabase
from pilotage_coordinator.store.sqlite.transaction import commit

_PAGES_GIVEN_BACK = 1_000
_EXPIRED_KEPT = 86_400_000_000
"""One day: so long an expired join token or certificate is refused as expired, not as unknown."""

_EXPIRED_TOKENS_KEPT = 90 * _EXPIRED_KEPT
"""So long people can see whose an expired API token was."""

_EARLIER_SECRETS_KEPT = 30 * _EXPIRED_KEPT
"""So long an earlier value is looked for in what steps say that were given it."""


class SqliteStore:
    """Implements `Store` on any `Database` that is SQLite."""

    def __init__(self, access: Access, coordinator_id: str, seal: AuditSeal | None = None) -> None:
        """Take over an open database; made by `open_store` and `open_simulated_store`."""
        self._access = access
        self.coordinator_id = coordinator_id
        self.executions = SqliteExecutions(access)
        self.blueprints = SqliteBlueprints(access)
        self.plans = SqlitePlans(access)
        self.hosts = SqliteHosts(access)
        self.enrolments = SqliteEnrolments(access)
        self.certificates = SqliteCertificates(access)
        self.secrets = SqliteSecrets(access)
        self.key = SqliteStoreKey(access)
        self.answers = SqliteAnswers(access)
        self.deliveries = SqliteDeliveries(access)
        self.approvals = SqliteApprovals(access)
        self.access = SqlitePrincipals(access)
        self.policies = SqlitePolicies(access)
        self.compliance = SqliteCompliance(access)
        self.schedules = SqliteSchedules(access)
        self.audit = SqliteAudit(access, seal)

    async def epoch(self) -> int:
        """Return the current epoch."""
        rows = await self._access.rows("epoch_get")
        return int(rows[0][0])

    async def begin_epoch(self, at_least: int = 0) -> int:
        """Begin the next epoch."""
        sql = self._access.queries["epoch_next"]
        return await self._access.writes.submit(
            lambda connection: int(connection.execute(sql, (at_least,)).fetchone()[0])
        )

    async def maintain(self, now: int) -> None:
        """Do the chores that can wait for an idle moment."""
        await self.answers.remove_expired(now)
        await self.enrolments.remove_expired(now - _EXPIRED_KEPT)
        await self.certificates.remove_expired(now - _EXPIRED_KEPT)
        await self.access.remove_expired(now - _EXPIRED_TOKENS_KEPT)
        await self.secrets.forget(now - _EARLIER_SECRETS_KEPT)
        sql = self._access.queries["step_type_sets_remove_unused"]
        await self._access.writes.submit(lambda connection: connection.execute(sql).rowcount)
        await self._access.writes.vacuum(_PAGES_GIVEN_BACK)
        await self._access.writes.checkpoint()

    async def copy_to(self, path: Path) -> None:
        """Write a copy of one committed moment to a new file."""
        await self._access.database.copy_to(path)

    def figures(self) -> StoreFigures:
        """Return counters for monitoring."""
        writes = self._access.writes
        return StoreFigures(
            writes=writes.writes,
            transactions=writes.transactions,
            conflicts=writes.conflicts,
            checkpoints=writes.checkpoints,
            wal_pages=writes.wal_pages,
            refusal=writes.refusal,
        )

    async def close(self) -> None:
        """Finish what was begun and release the file."""
        try:
            await self._access.writes.close()
        finally:
            await self._access.database.close()


async def open_store(
    path: Path,
    *,
    now: int,
    new_id: NewId,
    read_seconds: float = READ_SECONDS,
    signer: HeadSigner | None = None,
    accepted: str = "",
) -> SqliteStore:
    """Open the store in a file, making or migrating it as needed. The folder must exist and be on a local disk.

    `now` (UTC microseconds) and `new_id` are used for a new database only. `signer` signs the audit log's end with
    each transaction; `accepted` is why a fault between log and signed head is to be recorded and taken. Raises
    StoreLocked, SchemaRefused, AuditBroken or StoreUnavailable, with nothing left open. The store must be closed, or
    the process does not end.
    """
    queries = Queries()
    seal = AuditSeal(signer, queries) if signer is not None else None

    def prepare(connection: sqlite3.Connection) -> None:
        schema.refuse_foreign(connection)
        connections.settle_writer(connection)
        schema.prepare(connection, queries, new_id("coo"), now, partial(_keep_older, path))
        if seal is not None:
            _begin_sealing(connection, queries, seal, accepted, now)

    finish = commit if seal is None else seal.commit
    database = await ThreadedDatabase.open(path, prepare, read_seconds=read_seconds, finish=finish)
    return await _store(database, queries, seal)


async def open_simulated_store(
    disk: SimulatedDisk, *, now: int, new_id: NewId, signer: HeadSigner | None = None
) -> SqliteStore:
    """Open the store on a simulated disk. Never waits but in the disk's own stalls."""
    queries = Queries()
    seal = AuditSeal(signer, queries) if signer is not None else None
    database = InlineDatabase(disk, commit if seal is None else seal.commit)
    schema.prepare(database.connection, queries, new_id("coo"), now)
    if seal is not None:
        _begin_sealing(database.connection, queries, seal, "", now)
    return await _store(database, queries, seal)


def _keep_older(path: Path, version: int) -> None:
    """Copy a database beside itself before it is migrated; one of the same version that is there already is kept."""
    kept = path.with_name(f"{path.name}.schema-{version}")
    if not kept.exists():
        draft = path.with_name(f"{kept.name}.new")
        draft.unlink(missing_ok=True)
        copy_database(path, draft)
        draft.replace(kept)
        sync_folder_of(kept)


def _begin_sealing(connection: sqlite3.Connection, queries: Queries, seal: AuditSeal, accepted: str, now: int) -> None:
    """Check the log against its signed head, take a fault where somebody accepts it, and sign."""
    fault = seal.check(connection)
    if not fault or not accepted:
        seal.begin(connection)
        return
    detail: dict[str, Json] = {"fault": fault, "reason": accepted, "principal_kind": "coordinator"}
    entry = AuditEntry(now, "coordinator", "audit.accept_fault", "audit log", "allowed", detail)
    connection.execute("BEGIN IMMEDIATE")
    append_audit(connection, queries, (entry,))
    seal.commit(connection)


async def _store(database: Database, queries: Queries, seal: AuditSeal | None) -> SqliteStore:
    access = Access(database=database, writes=GroupCommit(database), queries=queries)
    try:
        rows = await access.rows("coordinator_id")
    except BaseException:
        await database.close()
        raise
    return SqliteStore(access, str(rows[0][0]), seal)
