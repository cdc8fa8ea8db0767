"""The small parts of a policy's file: names, moments, times of day, zones, selectors, one or several of something."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.form.scalars import Matching, Text
from pilotage_coordinator.domain.blueprint.form.shapes import INVALID, Either, ListOf, Reading, Schema, Shape
from pilotage_coordinator.domain.blueprint.nodes import Node
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.planning.selector import parse_selector
from pilotage_coordinator.domain.policy.clock import zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

RULE_NAME: Final = Matching(
    r"[a-z][a-z0-9-]{0,62}", "name of a rule", "lower-case letters, digits and -, a letter first, at most 63"
)
WINDOW_NAME: Final = Matching(r"[a-z][a-z0-9_-]{0,62}", "name of a window", "such as sunday-night")
ROLE: Final = Matching(r"[A-Za-z0-9_.:/-]{1,100}", "name of a role", "such as operator")
PATTERN: Final = Matching(r"[A-Za-z0-9_.*?-]{1,200}", "name or pattern", "such as backup.* or container.upgrade")
PARAMETER: Final = Matching(
    r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", "name of a parameter", "such as image, or quiesce.how"
)


def either_list(shape: Shape, wanted: str) -> Either:
    """Return the shape of one or several: `a` or `[a, b]`."""
    return Either(One(shape), ListOf(shape, least=1, most=1000), None, wanted)


class One:
    """A single value that stands for a list of one."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        value = self._shape.read(node, path, reading)
        return value if value is INVALID else (value,)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return self._shape.schema(definitions)


class Selector:
    """A selector of hosts, as on the command line."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        text = Text(longest=4096, empty=False).read(node, path, reading)
        if isinstance(text, str):
            try:
                parse_selector(text)
            except DomainError as refused:
                return reading.refuse(node, path, str(refused))
        return text

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "minLength": 1}


class Moment:
    """A moment in RFC 3339, with its zone; read as UTC microseconds."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        text = Text(longest=64, empty=False).read(node, path, reading)
        if not isinstance(text, str):
            return text
        hint = "write 2027-03-01T08:00:00Z or 2027-03-01T08:00:00+01:00"
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return reading.refuse(node, path, f"`{text[:40]}` is no moment", hint)
        if moment.tzinfo is None:
            return reading.refuse(node, path, f"`{text[:40]}` does not say in which zone", hint)
        return (moment - _EPOCH) // timedelta(microseconds=1)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "format": "date-time"}


class Minutes:
    """A time of day, `22:30`, as minutes after midnight; `24:00` is the end of the day."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        text = Text(longest=16, empty=False).read(node, path, reading)
        if not isinstance(text, str):
            return text
        match = re.fullmatch(r"([0-9]{2}):([0-9]{2})", text)
        minutes = int(match[1]) * 60 + int(match[2]) if match is not None and int(match[2]) < 60 else -1
        if not 0 <= minutes <= 24 * 60:
            return reading.refuse(node, path, f"`{text[:20]}` is no time of day", 'write "08:00" to "24:00"')
        return minutes

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}$"}


class Zone:
    """The name of a time zone."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        text = Text(longest=64, empty=False).read(node, path, reading)
        if isinstance(text, str):
            try:
                zone(text)
            except (KeyError, ValueError, OSError):
                return reading.refuse(node, path, f"there is no time zone `{text[:40]}`", "write Europe/Paris or UTC")
        return text

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string"}


NAMES: Final = either_list(PATTERN, "a name or pattern, or a list of them")
