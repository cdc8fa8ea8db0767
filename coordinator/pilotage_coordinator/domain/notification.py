"""A message that a step hands over to be delivered: what it says, in plain text and bounded."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.plan import Json

LARGEST_MESSAGE: Final = 64 * 1024
"""Bytes of a whole message as UTF-8."""
LARGEST_TITLE: Final = 200
LARGEST_TEXT: Final = 32 * 1024
"""Characters."""
MOST_COLUMNS: Final = 16
LARGEST_CELL: Final = 200
SEVERITIES: Final = ("info", "warning", "error")
STEP_TYPE: Final = "notify.send"

_REFERENCE: Final = re.compile(r"secret://\S+")
_CUT: Final = " … (cut)"


@dataclass(frozen=True, slots=True)
class Message:
    """What is said to people. Every text in it is plain: no control characters but line breaks."""

    text: str
    title: str = ""
    severity: str = "info"
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    left_out: int = 0
    """Rows that found no room."""

    def to_json(self) -> dict[str, Json]:
        """Return it as rows and events hold it."""
        return {
            "text": self.text,
            "title": self.title,
            "severity": self.severity,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "left_out": self.left_out,
        }


@dataclass(frozen=True, slots=True)
class Notification:
    """A message and the channel that it goes to."""

    channel: str
    message: Message


def notification_id(execution: str, key: RunKey, attempt: int) -> str:
    """Return the id of what one try of a step sends: the same whenever it is computed, and of no other try."""
    parts = json.dumps([execution, key.path, key.host, key.item, attempt])
    return f"ntf_{hashlib.sha256(parts.encode()).hexdigest()[:32]}"


def composed(text: str, title: str, severity: str, table: Sequence[Mapping[str, Json]]) -> Message:
    """Return a message made of texts that may come from anywhere: made plain, and cut where it is too long.

    Cut and not refused: a host that answers at length must not be able to keep an alarm from people.
    """
    title = _cut(" ".join(plain(title).split()), LARGEST_TITLE)
    text = _cut(plain(text), LARGEST_TEXT)
    columns = tuple(dict.fromkeys(_cell(name) for row in table for name in row))[:MOST_COLUMNS]
    room = LARGEST_MESSAGE // 2 - len(json.dumps([title, *columns]).encode())
    if len(text.encode()) > LARGEST_MESSAGE // 2:
        text = text.encode()[: LARGEST_MESSAGE // 2 - len(_CUT.encode())].decode(errors="ignore") + _CUT
    rows: list[tuple[str, ...]] = []
    for each in table:
        named = {_cell(name): value for name, value in each.items()}
        row = tuple(_cell(named.get(name, "")) for name in columns)
        room -= sum(len(cell.encode()) + 4 for cell in row) + 4
        if room < 0:
            break
        rows.append(row)
    return Message(text, title, severity, columns, tuple(rows), len(table) - len(rows))


def plain(text: str) -> str:
    """Return a text without control characters, line breaks kept, and without the names of secrets.

    A reference is never resolved here. It is hidden and no failure, because a host could otherwise keep an alarm
    from people by writing one into its outputs.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    kept = "".join(each if each == "\n" or each.isprintable() else "\ufffd" for each in lines)
    return _REFERENCE.sub("secret://…", kept)


def _cell(value: Json) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(_listed(value), ensure_ascii=False)
    return _cut(" ".join(plain(text).split()), LARGEST_CELL)


def _listed(value: Json) -> Json:
    """Return a value of plain dicts and lists, as JSON writers want it."""
    if isinstance(value, Mapping):
        return {key: _listed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(inner) for inner in value]
    return value


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT
