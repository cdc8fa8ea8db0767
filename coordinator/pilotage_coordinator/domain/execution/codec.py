"""Events as rows: a stable type name and a JSON object, and back.

Fields that hold their default are left out. Unknown extra fields of a row are ignored, so that an older coordinator's
rows, and a newer minor version's, can be read; an unknown type is refused, as skipping it would change the state.
"""

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final, cast

from pilotage_coordinator.domain.execution.errors import UnreadableEvent
from pilotage_coordinator.domain.execution.events import Event
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.plan import Json

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
"""Most values are one of these, and every event of every step passes here."""


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


EVENT_TYPES: Final[Mapping[str, type[Event]]] = {_snake(each.__name__): each for each in typing.get_args(Event)}
_NAMES: Final[Mapping[type[Event], str]] = {each: name for name, each in EVENT_TYPES.items()}


def type_name(event: Event) -> str:
    """Return the stable snake_case name of an event's type."""
    return _NAMES[type(event)]


def encode(event: Event) -> dict[str, Json]:
    """Return the event's fields as JSON-able values, without those that hold their default."""
    row: dict[str, Json] = {}
    for name, default in _defaults(type_name(event)):
        value = getattr(event, name)
        if default is dataclasses.MISSING or value != default:
            row[name] = _plain(value)
    return row


def decode(name: str, row: Mapping[str, Json]) -> Event:
    """Read what `encode` wrote; raise UnreadableEvent for an unknown type, or a missing or malformed field."""
    kind = EVENT_TYPES.get(name)
    if kind is None:
        raise UnreadableEvent(f"event type `{name}` is unknown here: it was written by a newer version of Pilotage")
    readers = _readers(name)
    try:
        values = {field: readers[field](value) for field, value in row.items() if field in readers}
        return kind(**values)
    except (TypeError, ValueError, KeyError) as error:
        raise UnreadableEvent(f"a stored `{name}` event is malformed: {error}") from error


@cache
def _defaults(name: str) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (
            each.name,
            each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default,
        )
        for each in dataclasses.fields(EVENT_TYPES[name])
    )


@cache
def _readers(name: str) -> dict[str, Callable[[Any], Any]]:
    return {each.name: _reader(each.name, each.type) for each in dataclasses.fields(EVENT_TYPES[name])}


def _reader(name: str, hint: object) -> Callable[[Any], Any]:
    if name == "runs":
        return _runs
    if name == "items":
        return lambda rows: tuple((str(key), value) for key, value in rows)
    for each in (hint, *typing.get_args(hint)):
        if isinstance(each, type) and issubclass(each, StrEnum):
            enum = each
            return lambda value: None if value is None else enum(value)
    if typing.get_origin(hint) is tuple:
        return lambda values: tuple(_text(value) for value in values)
    if typing.get_origin(hint) is typing.Literal:
        allowed = typing.get_args(hint)
        return lambda value: _one_of(value, allowed)
    if hint is str:
        return _text
    if hint is int:
        return _number
    return lambda value: value


def _runs(rows: Sequence[Sequence[str]]) -> tuple[RunKey, ...]:
    return tuple(RunKey(*(_text(part) for part in row)) for row in rows)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no integer")
    return value


def _one_of(value: object, allowed: tuple[object, ...]) -> object:
    if value not in allowed:
        raise ValueError(f"{value!r} is none of {allowed}")
    return value


def _plain(value: object) -> Json:
    if type(value) in _SCALARS:
        return cast("Json", value)
    # Whether something is any mapping costs ten times as much to find out as the others, so that comes last.
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()} if value else {}
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return cast("Json", value)
