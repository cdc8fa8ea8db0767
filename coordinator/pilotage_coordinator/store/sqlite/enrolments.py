"""Join tokens and certificates on SQLite."""

import sqlite3
from dataclasses import replace

from pilotage_coordinator.domain.fleet import HostInventory
from pilotage_coordinator.store.errors import NotFound, Refused
from pilotage_coordinator.store.records import AuditEntry, CertificateRecord, EnrolmentRecord, HostRecord
from pilotage_coordinator.store.sqlite.access import Access
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import write_json
from pilotage_coordinator.store.sqlite.host_rows import (
    certificate_row,
    enrolment_record,
    host_row,
    put_inventory,
    read_hosts,
)
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.step_type_sets import StepTypeSets


class SqliteEnrolments:
    """Implements `EnrolmentStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def create(self, enrolment: EnrolmentRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store a token."""
        queries = self._access.queries
        row = (
            enrolment.token_hash,
            enrolment.created_at,
            enrolment.created_by,
            enrolment.expires_at,
            enrolment.host_name,
            write_json(enrolment.labels),
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(queries["enrolment_insert"], row)
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def get(self, token_hash: str) -> EnrolmentRecord:
        """Return a token's row."""
        row = await self._access.row("enrolment_by_hash", (token_hash,))
        if row is None:
            raise NotFound("there is no such join token: make one with `pilotage host token`")
        return enrolment_record(row)

    async def consume(
        self,
        token_hash: str,
        host: HostRecord,
        certificate: CertificateRecord,
        now: int,
        audit: tuple[AuditEntry, ...] = (),
    ) -> HostRecord:
        """Use a token up and add the host, or return the host of the same request made earlier."""
        queries, sets = self._access.queries, self._access.step_types

        def work(connection: sqlite3.Connection) -> HostRecord:
            row = connection.execute(queries["enrolment_by_hash"], (token_hash,)).fetchone()
            if row is None:
                raise Refused("the join token is not known: make one with `pilotage host token`")
            token = enrolment_record(row)
            if now >= token.expires_at:
                raise Refused("the join token has expired: make a new one with `pilotage host token`")
            if token.used_at is not None:
                joined = _joined_before(connection, queries, sets, token, host)
            else:
                joined = _join(connection, queries, sets, token, host, now)
            _note(connection, queries, replace(certificate, host=joined.id))
            append_audit(connection, queries, audit)
            return replace(joined, certificate_serial=certificate.serial)

        return await self._access.writes.submit(work)

    async def remove_expired(self, before: int) -> int:
        """Remove tokens that expired before a time."""
        sql = self._access.queries["enrolments_expire"]
        return await self._access.writes.submit(lambda connection: connection.execute(sql, (before,)).rowcount)


class SqliteCertificates:
    """Implements `CertificateStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def add(self, certificate: CertificateRecord) -> None:
        """Note a certificate and make it its host's newest."""
        queries = self._access.queries
        await self._access.writes.submit(lambda connection: _note(connection, queries, certificate))

    async def get(self, serial: str) -> CertificateRecord:
        """Return a certificate."""
        row = await self._access.row("certificate_by_serial", (serial,))
        if row is None:
            raise NotFound(f"there is no certificate {serial}")
        return CertificateRecord(*row)

    async def denied(self, now: int) -> frozenset[str]:
        """Return the deny list."""
        return frozenset(row[0] for row in await self._access.rows("certificates_denied", (now,)))

    async def remove_expired(self, before: int) -> int:
        """Forget certificates that expired before a time, except each host's newest."""
        sql = self._access.queries["certificates_expire"]
        return await self._access.writes.submit(lambda connection: connection.execute(sql, (before,)).rowcount)


def _join(
    connection: sqlite3.Connection,
    queries: Queries,
    sets: StepTypeSets,
    token: EnrolmentRecord,
    host: HostRecord,
    now: int,
) -> HostRecord:
    if token.host_name and token.host_name != host.name:
        raise Refused(f"the join token is for host `{token.host_name}`, not `{host.name}`")
    if connection.execute(queries["host_by_name"], (host.name,)).fetchone() is not None:
        raise Refused(f"a host named `{host.name}` has joined already: revoke it first, or choose another name")
    joined = replace(host, labels={**host.labels, **token.labels})
    connection.execute(queries["host_insert"], host_row(joined))
    if host.facts or host.step_types or host.quarantined_plugins:
        inventory = HostInventory(host.facts, host.step_types, host.quarantined_plugins)
        put_inventory(connection, queries, sets, host.id, inventory, now)
    connection.execute(queries["enrolment_use"], (now, host.id, token.token_hash))
    return joined


def _joined_before(
    connection: sqlite3.Connection, queries: Queries, sets: StepTypeSets, token: EnrolmentRecord, host: HostRecord
) -> HostRecord:
    (first,) = read_hosts(connection, queries, sets, "host_by_id", (token.used_by,))
    if first.key_digest != host.key_digest or first.name != host.name or first.revoked_at is not None:
        raise Refused("the join token was used already: each is good for one host; make another")
    return first


def _note(connection: sqlite3.Connection, queries: Queries, certificate: CertificateRecord) -> None:
    updated = connection.execute(queries["host_certificate"], (certificate.serial, certificate.host)).rowcount
    if updated == 0:
        raise Refused(f"host {certificate.host} is not known or revoked: it gets no certificate")
    connection.execute(queries["certificate_insert"], certificate_row(certificate))
