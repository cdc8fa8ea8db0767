"""A notification as its receivers get it."""

from typing import Any, Final

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.store.records import DeliveryRecord

MARKS: Final = {"info": "", "warning": "Warning: ", "error": "Error: "}


def body_of(delivery: DeliveryRecord) -> dict[str, Json]:
    """Return the JSON of a webhook. Names are stable; receivers tell a repeated message by `notification`."""
    notification = delivery.notification
    message: Any = notification.message
    rows: list[Json] = [dict(zip(message["columns"], row, strict=True)) for row in message["rows"]]
    return {
        "notification": notification.id,
        "severity": message["severity"],
        "title": message["title"],
        "text": message["text"],
        "table": rows,
        "rows_left_out": message["left_out"],
        "execution": notification.execution,
        "step": notification.path,
        "host": notification.host,
        "item": notification.item,
        "recorded_at": notification.recorded_at,
    }


def subject_of(delivery: DeliveryRecord) -> str:
    """Return one line that says what it is about."""
    message: Any = delivery.notification.message
    first = message["title"] or message["text"].strip().partition("\n")[0][:200] or delivery.notification.path
    return f"{MARKS[message['severity']]}{first}"


def text_of(delivery: DeliveryRecord) -> str:
    """Return it as plain text: the text, the table in rows, and where it comes from."""
    notification = delivery.notification
    message: Any = notification.message
    parts = [message["text"]]
    if message["rows"]:
        parts.append("\n".join(_lines([message["columns"], *message["rows"]])))
    if message["left_out"]:
        parts.append(f"… and {message['left_out']} more rows")
    where = f"{notification.execution}, step {notification.path}"
    if notification.host:
        where += f" on {notification.host}"
    return "\n\n".join([*parts, f"-- \n{where}\npilotage run show {notification.execution}"]) + "\n"


def _lines(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
