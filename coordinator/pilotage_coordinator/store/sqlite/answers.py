"""Answers remembered under idempotency keys, on SQLite."""

import sqlite3

from pilotage_coordinator.store.errors import Conflict
from pilotage_coordinator.store.records import AnswerRecord
from pilotage_coordinator.store.sqlite.access import Access
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.queries import Queries


def put_answer(connection: sqlite3.Connection, queries: Queries, answer: AnswerRecord, now: int) -> None:
    """Remember an answer within a transaction; raises Conflict if an unexpired one is there."""
    row = {
        "principal": answer.principal,
        "key": answer.key,
        "operation": answer.operation,
        "request_digest": answer.request_digest,
        "answer": write_json(answer.answer),
        "expires_at": answer.expires_at,
        "now": now,
    }
    if connection.execute(queries["answer_put"], row).rowcount == 0:
        raise Conflict(f"idempotency key `{answer.key}` of {answer.principal} has an answer already")


class SqliteAnswers:
    """Implements `AnswerStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def get(self, principal: str, key: str, now: int) -> AnswerRecord | None:
        """Return the unexpired answer under a principal's key, or None."""
        row = await self._access.row("answer_get", (principal, key, now))
        if row is None:
            return None
        return AnswerRecord(
            key=row[0],
            principal=row[1],
            operation=row[2],
            request_digest=row[3],
            answer=read_json(row[4]),
            expires_at=row[5],
        )

    async def remember(self, answer: AnswerRecord, now: int) -> None:
        """Remember an answer."""
        queries = self._access.queries
        await self._access.writes.submit(lambda connection: put_answer(connection, queries, answer, now))

    async def remove_expired(self, now: int) -> int:
        """Forget expired answers."""
        sql = self._access.queries["answers_expire"]
        return await self._access.writes.submit(lambda connection: connection.execute(sql, (now,)).rowcount)
