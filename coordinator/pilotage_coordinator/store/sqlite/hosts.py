"""Hosts on SQLite."""

import sqlite3
from collections.abc import Mapping, Sequence

from pilotage_coordinator.domain.fleet import HostInventory
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.records import AuditEntry, HostRecord, Page, SessionMarks
from pilotage_coordinator.store.records.fleet import RELEASED
from pilotage_coordinator.store.sqlite.access import Access
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import write_json
from pilotage_coordinator.store.sqlite.host_rows import put_inventory, read_hosts, read_proofs
from pilotage_coordinator.store.sqlite.paging import bounded, read_cursor, write_cursor
from pilotage_coordinator.store.sqlite.queries import Queries


class SqliteHosts:
    """Implements `HostStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def get(self, host: str) -> HostRecord:
        """Return a host by id."""
        found = await self._read("host_by_id", (host,))
        if not found:
            raise _no_host(host)
        return found[0]

    async def named(self, name: str) -> HostRecord:
        """Return the host of this name that is not revoked."""
        found = await self._read("host_by_name", (name,))
        if not found:
            raise NotFound(f"there is no host named `{name}`: see `pilotage host list`")
        return found[0]

    async def all(self) -> tuple[HostRecord, ...]:
        """Return every host that is not revoked, by name."""
        return await self._read("hosts_active", ())

    async def find(self, cursor: str = "", limit: int = 200, *, revoked: bool = False) -> Page[HostRecord]:
        """List hosts by name."""
        bounded(limit, 1_000)
        name, id_ = read_cursor("hosts", cursor, ("", ""))
        parameters = {"after_name": name, "after_id": id_, "revoked": revoked, "limit": limit + 1}
        found = await self._read("hosts_page", parameters)
        rows = found[:limit]
        more = len(found) > limit
        return Page(rows=rows, cursor=write_cursor("hosts", rows[-1].name, rows[-1].id) if more else "")

    async def proofs(self, hosts: Sequence[str]) -> Mapping[str, tuple[Proof, ...]]:
        """Return what was proved of hosts, by id."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> Mapping[str, tuple[Proof, ...]]:
            return {host: read_proofs(connection, queries, host) for host in hosts}

        return await self._access.database.read(work)

    async def last_passed(self, kind: ProofKind) -> Mapping[str, int]:
        """Return when each host's newest good one began, by name."""
        return {str(name): int(at) for name, at in await self._access.rows("proofs_passed", (kind,))}

    async def open_session(
        self, host: str, marks: SessionMarks, *, agent_version: str, boot_id: str, at: int
    ) -> SessionMarks:
        """Compare-and-set the marks by which a session is judged; returns the earlier ones."""
        queries = self._access.queries
        row = {
            "id": host,
            "journal_id": marks.journal_id,
            "journal_sequence": marks.journal_sequence,
            "session_counter": marks.session_counter,
            "highest_epoch": marks.highest_epoch,
            "agent_version": agent_version,
            "boot_id": boot_id,
            "at": at,
        }

        def work(connection: sqlite3.Connection) -> SessionMarks:
            found = connection.execute(queries["host_marks"], (host,)).fetchone()
            if found is None:
                raise _no_host(host)
            name, *earlier_marks, revoked_at, quarantine = found
            if revoked_at is not None:
                raise Refused(f"host {name} is revoked: enrol it again with a new join token")
            if quarantine:
                raise Refused(f"host {name} is quarantined ({quarantine}): a person must look at it first")
            earlier = SessionMarks(*earlier_marks)
            if not marks.follows(earlier):
                raise Conflict(
                    f"host {name}: a session that does not follow the last one (was {earlier}, is {marks}): "
                    "a late greeting, a second agent with the same identity, or an agent restored from a copy"
                )
            connection.execute(queries["host_open_session"], row)
            return earlier

        return await self._access.writes.submit(work)

    async def record_inventory(self, host: str, inventory: HostInventory, at: int) -> None:
        """Keep what the agent says of its host."""
        queries, sets = self._access.queries, self._access.step_types

        def work(connection: sqlite3.Connection) -> None:
            _require(connection, queries, host)
            put_inventory(connection, queries, sets, host, inventory, at)

        await self._access.writes.submit(work)

    async def record_sealing_key(self, host: str, key: bytes) -> None:
        """Keep the key that secrets for this host are sealed to."""
        await self._update(host, "host_sealing_key", (key, host), ())

    async def seen(self, times: Mapping[str, int]) -> None:
        """Note when hosts were last heard of."""
        sql = self._access.queries["host_seen"]
        rows = [(at, host) for host, at in times.items()]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(sql, rows)

        await self._access.writes.submit(work)

    async def label(
        self,
        host: str,
        labels: Mapping[str, Json] | None = None,
        variables: Mapping[str, Json] | None = None,
        audit: tuple[AuditEntry, ...] = (),
    ) -> None:
        """Replace the labels, the variables or both."""
        row = (None if labels is None else write_json(labels), None if variables is None else write_json(variables))
        await self._update(host, "host_label", (*row, host), audit)

    async def quarantine(self, host: str, reason: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Give the host no work until a person has looked; an empty reason ends the quarantine."""
        await self._update(host, "host_quarantine", (reason, host), audit)

    async def release(self, host: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """End the quarantine."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            _require(connection, queries, host)
            if connection.execute(queries["host_release"], {"id": host, "journal_id": RELEASED}).rowcount == 0:
                raise Refused(f"host {host} is not in quarantine")
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def revoke(self, host: str, at: int, audit: tuple[AuditEntry, ...] = ()) -> tuple[str, ...]:
        """Revoke a host and all its certificates."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> tuple[str, ...]:
            _require(connection, queries, host)
            connection.execute(queries["host_revoke"], (at, host))
            connection.execute(queries["certificates_revoke"], {"at": at, "host": host})
            append_audit(connection, queries, audit)
            rows = connection.execute(queries["certificates_of_host"], {"host": host, "now": at}).fetchall()
            return tuple(sorted(row[0] for row in rows))

        return await self._access.writes.submit(work)

    async def _read(self, query: str, parameters: tuple[object, ...] | Mapping[str, object]) -> tuple[HostRecord, ...]:
        queries, sets = self._access.queries, self._access.step_types
        return await self._access.database.read(
            lambda connection: read_hosts(connection, queries, sets, query, parameters)
        )

    async def _update(
        self, host: str, query: str, parameters: tuple[object, ...], audit: tuple[AuditEntry, ...]
    ) -> None:
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(queries[query], parameters).rowcount == 0:
                raise _no_host(host)
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)


def _require(connection: sqlite3.Connection, queries: Queries, host: str) -> None:
    if connection.execute(queries["host_marks"], (host,)).fetchone() is None:
        raise _no_host(host)


def _no_host(host: str) -> NotFound:
    return NotFound(f"there is no host {host}: see `pilotage host list`")
