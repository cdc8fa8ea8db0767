"""The audit log on SQLite: each entry's hash covers the one before it."""

import sqlite3
from collections.abc import Iterable, Sequence

from pilotage_proto.canonical import CanonicalError

from pilotage_coordinator.audit.chain import AuditVerdict, Unreadable, against_signed, cut_off, follow
from pilotage_coordinator.audit.entry import AuditEntry, AuditHead, AuditRecord, link
from pilotage_coordinator.audit.head import SignedHead
from pilotage_coordinator.store.errors import Refused
from pilotage_coordinator.store.records import AuditFilter, Page, RecoveryRecord
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.paging import LARGEST_INTEGER, bounded, read_cursor, write_cursor
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.seal import AuditSeal, read_head, read_signed

_PAGE = 2_000
_LOOKED_AT = 20_000
"""Entries that one page of a search goes through: some ten milliseconds of a reader's thread."""
_LISTING = "audit"


def append_audit(connection: sqlite3.Connection, queries: Queries, entries: Iterable[AuditEntry]) -> AuditHead:
    """Append entries within a transaction; returns the head. Raises Refused for a detail without canonical form."""
    head = read_head(connection, queries)
    for entry in entries:
        sequence = head.sequence + 1
        try:
            hash_ = link(sequence, head.hash, entry)
        except CanonicalError as error:
            raise Refused(f"audit entry {entry.operation} of {entry.subject}: {error}") from error
        connection.execute(
            queries["audit_insert"],
            (
                sequence,
                entry.at,
                entry.principal,
                entry.operation,
                entry.subject,
                entry.outcome,
                write_json(entry.detail),
                head.hash,
                hash_,
            ),
        )
        head = AuditHead(sequence, hash_)
    return head


class SqliteAudit:
    """Implements `AuditStore`."""

    def __init__(self, access: Access, seal: AuditSeal | None = None) -> None:
        """Work on this database; `seal` signs its heads."""
        self._access = access
        self._seal = seal

    @property
    def sealed(self) -> SignedHead | None:
        """Return the signed head of the newest commit; None where nothing signs."""
        return self._seal.newest if self._seal is not None else None

    async def append(self, *entries: AuditEntry) -> AuditHead:
        """Append entries that belong to no other write."""
        queries = self._access.queries
        return await self._access.writes.submit(lambda connection: append_audit(connection, queries, entries))

    async def read(self, after: int = 0, limit: int = 1000) -> tuple[AuditRecord, ...]:
        """Return entries above a sequence."""
        return await self._access.records("audit_after", (after, bounded(limit, 10_000)), _record)

    async def newest(self, before: int | None = None, limit: int = 50) -> tuple[AuditRecord, ...]:
        """Return the newest entries, newest first."""
        below = LARGEST_INTEGER if before is None else before
        return await self._access.records("audit_newest", (below, bounded(limit, 1_000)), _record)

    async def search(self, wanted: AuditFilter, cursor: str = "", limit: int = 50) -> Page[AuditRecord]:
        """Return the newest entries that fit."""
        (before,) = read_cursor(_LISTING, cursor, (0,))
        assert isinstance(before, int)
        before = before or (await self.head()).sequence + 1
        lowest = max(1, before - _LOOKED_AT)
        values = {
            "before": before,
            "lowest": lowest,
            "principal": wanted.principal,
            "operation": wanted.operation,
            "subject": wanted.subject,
            "outcome": wanted.outcome,
            "since": wanted.since,
            "until": wanted.until or LARGEST_INTEGER,
            "limit": bounded(limit, 1_000) + 1,
        }
        rows, cut = await self._access.page("audit_search", values, _record, limit)
        if cut:
            return Page(rows, write_cursor(_LISTING, rows[-1].sequence))
        return Page(rows, write_cursor(_LISTING, lowest) if lowest > 1 else "")

    async def head(self) -> AuditHead:
        """Return the end of the chain."""
        row = await self._access.row("audit_head")
        return AuditHead(*row) if row is not None else AuditHead()

    async def at(self, sequence: int) -> AuditHead | None:
        """Return the place of an entry in the chain, or None where the log does not reach."""
        if sequence == 0:
            return AuditHead()
        row = await self._access.row("audit_at", (sequence,))
        return AuditHead(*row) if row is not None else None

    async def signed_head(self) -> SignedHead | None:
        """Return the signed head as it is stored."""
        queries = self._access.queries
        return await self._access.database.read(lambda connection: read_signed(connection, queries))

    async def recoveries(self, most: int = 32) -> tuple[RecoveryRecord, ...]:
        """Return the newest records of restores, oldest first."""
        rows = await self._access.rows("recoveries_newest", (most,))
        return tuple(RecoveryRecord(*row) for row in reversed(rows))

    async def recover(self, record: RecoveryRecord, at: int, audit: tuple[AuditEntry, ...]) -> None:
        """Store a record of a restore, or its signature."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(queries["recovery_put"], (record.statement, record.signature, at))
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def verify(self, known: Sequence[AuditHead] = ()) -> AuditVerdict:
        """Check every link; each page is read apart, so that a long chain does not meet the readers' bound."""
        before = await self.signed_head()
        seen = (*known, *([before.head] if before is not None else ()))
        head = AuditHead()
        while True:
            page, signed = await self._access.database.read(
                lambda connection, head=head: self._look(connection, head)  # type: ignore[misc]
            )
            head, fault = follow(head, page, seen)
            if fault or len(page) < _PAGE:
                # The last page and the signed head are of one snapshot.
                fault = fault or cut_off(head, seen) or against_signed(head, signed)
                return AuditVerdict(checked=head.sequence, head=head, fault=fault, signed=None if fault else signed)

    def _look(
        self, connection: sqlite3.Connection, head: AuditHead
    ) -> tuple[list[AuditRecord | Unreadable], SignedHead | None]:
        queries = self._access.queries
        return raw_records(connection, queries, head.sequence, _PAGE), read_signed(connection, queries)


def raw_records(
    connection: sqlite3.Connection, queries: Queries, after: int, limit: int
) -> list[AuditRecord | Unreadable]:
    """Return entries above a sequence as they stand, whatever stands there."""
    return [_raw_record(row) for row in connection.execute(queries["audit_raw_after"], (after, limit)).fetchall()]


def _record(row: Row) -> AuditRecord:
    sequence, at, principal, operation, subject, outcome, detail, previous, hash_ = row
    entry = AuditEntry(
        at=at, principal=principal, operation=operation, subject=subject, outcome=outcome, detail=read_json(detail)
    )
    return AuditRecord(sequence=sequence, entry=entry, previous=previous, hash=hash_)


def _raw_record(row: Row) -> AuditRecord | Unreadable:
    """Read a row whose texts came as bytes: somebody may have written anything there."""
    sequence, at, *rest = row
    try:
        texts = [bytes(each).decode() for each in rest]
        record = _record((sequence, at, *texts))
        if write_json(record.entry.detail) != texts[4]:
            return Unreadable(sequence, "its detail is not written as this program writes it")
    except (ValueError, RecursionError) as error:
        return Unreadable(sequence, str(error)[:200])
    return record
