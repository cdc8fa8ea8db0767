"""Notifications and their delivery on SQLite."""

import sqlite3
from collections.abc import Sequence

from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.records import (
    AuditEntry,
    DeliveryFigures,
    DeliveryFilter,
    DeliveryRecord,
    GivenUp,
    NotificationRecord,
    Page,
)
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.paging import LARGEST_INTEGER, bounded, read_cursor, write_cursor
from pilotage_coordinator.store.sqlite.queries import Queries

WAITING = "waiting"
DELIVERED = "delivered"
DEAD = "dead"


def notification_rows(notifications: Sequence[NotificationRecord]) -> list[Row]:
    """Return the parameters of `delivery_insert`."""
    return [
        (
            each.id,
            each.execution,
            each.path,
            each.host,
            each.item,
            each.channel,
            write_json(each.message),
            each.recorded_at,
            each.recorded_at,
        )
        for each in notifications
    ]


def put_deliveries(
    connection: sqlite3.Connection, queries: Queries, rows: Sequence[Row], given_up: Sequence[GivenUp]
) -> None:
    """Record notifications, and note those that failed for good, within a transaction.

    Raises Conflict for one that has a row already, or does not wait.
    """
    try:
        connection.executemany(queries["delivery_insert"], rows)
    except sqlite3.IntegrityError as error:
        raise Conflict(f"a notification of the change is recorded already ({error})") from error
    for each in given_up:
        _end(connection, queries, each.notification, DEAD, each.attempts, each.at, each.error)


class SqliteDeliveries:
    """Implements `DeliveryStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def channels(self) -> tuple[str, ...]:
        """Return the channels for which something waits."""
        return tuple(row[0] for row in await self._access.rows("delivery_channels"))

    async def first(self, channel: str) -> DeliveryRecord | None:
        """Return what is due soonest in a channel."""
        row = await self._access.row("delivery_first", {"channel": channel})
        return None if row is None else _record(row)

    async def get(self, notification: str) -> DeliveryRecord:
        """Return a delivery."""
        row = await self._access.row("delivery_by_id", (notification,))
        if row is None:
            raise _no_notification(notification)
        return _record(row)

    async def find(
        self, filter: DeliveryFilter | None = None, cursor: str = "", limit: int = 50
    ) -> Page[DeliveryRecord]:
        """List deliveries, newest recorded first."""
        bounded(limit, 1000)
        chosen = filter or DeliveryFilter()
        (before,) = read_cursor("deliveries", cursor, (LARGEST_INTEGER,))
        parameters: dict[str, object] = {"before": before, "limit": limit + 1, "status": chosen.status}
        query = "deliveries_in_status" if chosen.status else "deliveries_newest"
        if chosen.execution:
            query = "deliveries_of_execution"
            parameters["execution"] = chosen.execution
        found, more = await self._access.page(query, parameters, _record, limit)
        return Page(found, write_cursor("deliveries", found[-1].number) if more else "")

    async def figures(self) -> DeliveryFigures:
        """Return how many wait and how many are dead."""
        (row,) = await self._access.rows("delivery_figures")
        return DeliveryFigures(*row)

    async def delivered(self, notification: str, attempts: int, at: int, note: str = "") -> None:
        """Note that the receiver has taken it."""
        queries = self._access.queries
        await self._access.writes.submit(
            lambda connection: _end(connection, queries, notification, DELIVERED, attempts, at, note)
        )

    async def put_off(self, notification: str, attempts: int, due_at: int, error: str) -> None:
        """Note a try that failed, and when the next is due."""
        sql = self._access.queries["delivery_put_off"]
        row = {"notification": notification, "attempts": attempts, "due_at": due_at, "error": error}

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(sql, row).rowcount == 0:
                raise _not_waiting(notification)

        await self._access.writes.submit(work)

    async def retry(self, notification: str, at: int, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Let a dead one wait again."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute(queries["delivery_by_id"], (notification,)).fetchone()
            if row is None:
                raise _no_notification(notification)
            if connection.execute(queries["delivery_retry"], {"notification": notification, "at": at}).rowcount == 0:
                status = _record(row).status
                why = "it is tried by itself" if status == WAITING else "it is not sent twice on purpose"
                raise Refused(f"notification {notification} is {status}: {why}")
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)


def _end(
    connection: sqlite3.Connection, queries: Queries, notification: str, status: str, attempts: int, at: int, error: str
) -> None:
    row = {"notification": notification, "status": status, "attempts": attempts, "at": at, "error": error}
    if connection.execute(queries["delivery_end"], row).rowcount == 0:
        raise _not_waiting(notification)


def _record(row: Row) -> DeliveryRecord:
    number, id, execution, path, host, item, channel, message, recorded_at, status, attempts, due, ended, error = row
    return DeliveryRecord(
        notification=NotificationRecord(id, execution, path, host, item, channel, read_json(message), recorded_at),
        status=status,
        attempts=attempts,
        due_at=due,
        ended_at=ended,
        error=error,
        number=number,
    )


def _no_notification(notification: str) -> NotFound:
    return NotFound(f"there is no notification {notification}; see: pilotage notification list")


def _not_waiting(notification: str) -> Conflict:
    return Conflict(f"notification {notification} does not wait for delivery any more")
