"""Requests for approval, the decisions on them, and delegations, on SQLite."""

import sqlite3
from collections.abc import Sequence

from pilotage_coordinator.domain.approval.gate import ROLE
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.records import (
    ApprovalFilter,
    ApprovalRecord,
    ApprovalUpdate,
    AuditEntry,
    Counted,
    DecisionRecord,
    DelegationRecord,
    Page,
)
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.paging import LARGEST_INTEGER, bounded, read_cursor, write_cursor
from pilotage_coordinator.store.sqlite.queries import Queries

Audit = tuple[AuditEntry, ...]


def approval_rows(asked: Sequence[ApprovalRecord]) -> list[Row]:
    """Return the parameters of `approval_insert`."""
    return [
        (
            each.id, each.execution, each.plan_digest, each.gate, each.scope, each.path, each.host, each.item,
            write_json(each.content), each.prompt, write_json(list(each.requesters)), write_json(list(each.asks)),
            each.asked_at, each.expires_at,
        )
        for each in asked
    ]  # fmt: skip


def put_approvals(
    connection: sqlite3.Connection, queries: Queries, asked: Sequence[Row], updates: Sequence[ApprovalUpdate]
) -> None:
    """Record requests and what happened to them, within a transaction.

    Raises Conflict for one that has a row or its outcome already, and for a yes that no longer stands on persons.
    """
    try:
        connection.executemany(queries["approval_insert"], asked)
    except sqlite3.IntegrityError as error:
        raise Conflict(f"a request of the change is recorded already ({error})") from error
    for update in updates:
        _update(connection, queries, update)


def _update(connection: sqlite3.Connection, queries: Queries, update: ApprovalUpdate) -> None:
    for person in update.dropped:
        connection.execute(queries["decision_drop"], {"id": update.id, "person": person, "at": update.at})
    for each in update.decisions:
        _prove(connection, queries, Counted(each.person, each.key, each.stands_on, each.voice))
        if each.voice:
            _stands_in(connection, queries, each)
        if each.alone and connection.execute(queries["other_person"], {"person": each.person}).fetchone():
            raise Conflict(f"{each.person} is not the only person any more: another must agree to {update.id}")
        connection.execute(queries["decision_insert"], (update.id, *_decision_row(each)))
    if update.asks is not None:
        asks = {"id": update.id, "asks": write_json(list(update.asks))}
        _changed(connection.execute(queries["approval_asks"], asks), update.id)
    if update.outcome:
        for counted in update.counted:
            _prove(connection, queries, counted)
        row = {"id": update.id, "outcome": update.outcome, "reason": update.reason, "at": update.at}
        _changed(connection.execute(queries["approval_end"], row), update.id)


def _prove(connection: sqlite3.Connection, queries: Queries, vote: Counted) -> None:
    """Raise Conflict unless a vote still stands. Whether a role's limits cover the plan, the service has looked."""
    signs = {"person": vote.person, "key": vote.key}
    if not vote.key or connection.execute(queries["person_signs"], signs).fetchone() is None:
        raise Conflict(f"{vote.person} may not decide any more: disabled, or without the key that signed. Ask again")
    role = vote.stands_on.removeprefix(ROLE) if vote.stands_on.startswith(ROLE) else ""
    held = {"person": vote.voice or vote.person, "role": role}
    if role and connection.execute(queries["person_holds"], held).fetchone() is None:
        raise Conflict(f"{held['person']} is not in the role {role} any more, on which the vote stands. Ask again")


def _stands_in(connection: sqlite3.Connection, queries: Queries, vote: DecisionRecord) -> None:
    lent = {"delegator": vote.voice, "delegate": vote.person, "at": vote.at}
    if connection.execute(queries["delegation_holds"], lent).fetchone() is None:
        raise Conflict(f"{vote.voice} does not lend {vote.person} their say any more. Ask again")


def _changed(cursor: sqlite3.Cursor, id: str) -> None:
    if cursor.rowcount == 0:
        raise Conflict(f"request {id} has its outcome already: the first answer won")


def use_approvals(
    connection: sqlite3.Connection, queries: Queries, execution: str, ids: Sequence[str], at: int
) -> None:
    """Note what starts of a change rest on, within its transaction; raises Conflict for what is no valid approval."""
    for id in ids:
        row = {"id": id, "execution": execution, "at": at}
        if connection.execute(queries["approval_use"], row).rowcount == 0:
            raise Conflict(f"{execution}: a step would start without a valid approval of its plan ({id}): not started")


class SqliteApprovals:
    """Implements `ApprovalStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def get(self, id: str) -> ApprovalRecord:
        """Return a request."""
        row = await self._access.row("approval_by_id", (id,))
        if row is None:
            raise NotFound(f"there is no request {id}; see: pilotage approval list --all")
        return _approval(row)

    async def find(
        self, filter: ApprovalFilter | None = None, cursor: str = "", limit: int = 50
    ) -> Page[ApprovalRecord]:
        """List requests, newest first."""
        bounded(limit, 1000)
        chosen = filter or ApprovalFilter()
        (before,) = read_cursor("approvals", cursor, (LARGEST_INTEGER,))
        parameters: dict[str, object] = {"before": before, "limit": limit + 1}
        query = "approvals_open" if chosen.open else "approvals_newest"
        if chosen.execution:
            query = "approvals_of_execution"
            parameters["execution"] = chosen.execution
        found, more = await self._access.page(query, parameters, _approval, limit)
        return Page(found, write_cursor("approvals", found[-1].number) if more else "")

    async def decisions(self, id: str) -> tuple[DecisionRecord, ...]:
        """Return the answers to a request."""
        found = await self._access.records("decisions_of", (id,), _decision)
        return tuple(sorted(found, key=lambda each: (each.at, each.person)))

    async def delegate(self, delegation: DelegationRecord, audit: Audit = ()) -> None:
        """Store a delegation."""
        queries, row = self._access.queries, delegation

        def work(connection: sqlite3.Connection) -> None:
            values = (
                row.id, row.delegator, row.delegate, row.begins_at, row.ends_at, row.reason, row.created_at,
                row.created_by,
            )  # fmt: skip
            try:
                connection.execute(queries["delegation_insert"], values)
            except sqlite3.IntegrityError as error:
                raise Refused(f"{row.delegator} or {row.delegate} is no principal ({error})") from error
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def delegation(self, id: str) -> DelegationRecord:
        """Return a delegation."""
        row = await self._access.row("delegation_by_id", (id,))
        if row is None:
            raise NotFound(f"there is no delegation {id}; see: pilotage approval delegations")
        return DelegationRecord(*row)

    async def delegations(self, now: int, delegate: str = "") -> tuple[DelegationRecord, ...]:
        """Return the delegations that have not ended, to somebody or to anybody."""
        if delegate:
            found = await self._access.rows("delegations_to", {"delegate": delegate, "now": now})
        else:
            found = await self._access.rows("delegations_open", {"now": now})
        return tuple(DelegationRecord(*row) for row in found)

    async def end_delegation(self, id: str, at: int, by: str, audit: Audit = ()) -> None:
        """End a delegation before its time."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(queries["delegation_by_id"], (id,)).fetchone() is None:
                raise NotFound(f"there is no delegation {id}; see: pilotage approval delegations")
            if connection.execute(queries["delegation_end"], {"id": id, "at": at, "by": by}).rowcount == 0:
                raise Refused(f"delegation {id} has ended already")
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)


def _decision_row(each: DecisionRecord) -> Row:
    return (
        each.person, each.at, each.answer, each.stands_on, each.voice, each.comment, each.key, each.proof,
        int(each.alone),
    )  # fmt: skip


def _decision(row: Row) -> DecisionRecord:
    person, at, answer, stands_on, voice, comment, key, proof, alone, dropped_at = row
    return DecisionRecord(person, at, answer, stands_on, voice, comment, key, proof, bool(alone), dropped_at)


def _approval(row: Row) -> ApprovalRecord:
    (
        number, id, execution, digest, gate, scope, path, host, item, content, prompt, requesters, asks, asked_at,
        expires_at, outcome, reason, ended_at, consumed_at,
    ) = row  # fmt: skip
    return ApprovalRecord(
        id, execution, digest, gate, scope, path, host, item, read_json(content), prompt,
        tuple(read_json(requesters)), tuple(read_json(asks)), asked_at, expires_at, outcome, reason, ended_at,
        consumed_at, number,
    )  # fmt: skip
