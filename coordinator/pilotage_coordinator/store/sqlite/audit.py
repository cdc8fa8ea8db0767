"""The audit log on SQLite: each entry's hash covers the one before it."""

import sqlite3
from collections.abc import Iterable, Sequence

from pilotage_proto.canonical import CanonicalError, digest

from pilotage_coordinator.store.errors import Refused
from pilotage_coordinator.store.records import AuditEntry, AuditHead, AuditRecord, AuditVerdict
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.paging import LARGEST_INTEGER, bounded
from pilotage_coordinator.store.sqlite.queries import Queries

_PAGE = 2_000


def link(sequence: int, previous: str, entry: AuditEntry) -> str:
    """Return the hash of an entry in its place: sha256 over the canonical JSON of all that it says."""
    return digest(
        {
            "sequence": sequence,
            "at": entry.at,
            "principal": entry.principal,
            "operation": entry.operation,
            "subject": entry.subject,
            "outcome": entry.outcome,
            "detail": entry.detail,
            "previous": previous,
        }
    )


def append_audit(connection: sqlite3.Connection, queries: Queries, entries: Iterable[AuditEntry]) -> AuditHead:
    """Append entries within a transaction; returns the head. Raises Refused for a detail without canonical form."""
    row = connection.execute(queries["audit_head"]).fetchone()
    head = AuditHead(*row) if row is not None else AuditHead()
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

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

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

    async def head(self) -> AuditHead:
        """Return the end of the chain."""
        row = await self._access.row("audit_head")
        return AuditHead(*row) if row is not None else AuditHead()

    async def verify(self, known: AuditHead | None = None) -> AuditVerdict:
        """Check every link; each page is read apart, so that a long chain does not meet the readers' bound."""
        head = AuditHead()
        while True:
            page = await self.read(head.sequence, _PAGE)
            head, fault = check(head, page, known)
            if not fault and len(page) < _PAGE and known is not None and known.sequence > head.sequence:
                fault = f"the log ends at entry {head.sequence}, but entry {known.sequence} was seen earlier"
            if fault or len(page) < _PAGE:
                return AuditVerdict(checked=head.sequence, head=head, fault=fault)


def check(head: AuditHead, records: Sequence[AuditRecord], known: AuditHead | None) -> tuple[AuditHead, str]:
    """Follow the chain from `head`; returns the last good link, and what is wrong with the next (empty: nothing)."""
    for record in records:
        place = f"audit entry {record.sequence}"
        if record.sequence != head.sequence + 1:
            return head, f"audit entry {head.sequence + 1} is missing"
        if record.previous != head.hash:
            return head, f"{place} does not follow the entry before it"
        if record.hash != link(record.sequence, record.previous, record.entry):
            return head, f"{place} was changed: its content does not give its hash"
        if known is not None and known.sequence == record.sequence and known.hash != record.hash:
            return head, f"{place} is not the one that was seen earlier: history was rewritten"
        head = AuditHead(record.sequence, record.hash)
    return head, ""


def _record(row: Row) -> AuditRecord:
    sequence, at, principal, operation, subject, outcome, detail, previous, hash_ = row
    entry = AuditEntry(
        at=at, principal=principal, operation=operation, subject=subject, outcome=outcome, detail=read_json(detail)
    )
    return AuditRecord(sequence=sequence, entry=entry, previous=previous, hash=hash_)
