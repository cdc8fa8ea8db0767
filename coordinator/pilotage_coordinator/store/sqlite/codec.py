"""JSON in columns."""

import json
from collections.abc import Mapping
from typing import Any

_encoder = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=lambda value: _plain(value), allow_nan=False
)

_EMPTY: dict[type, str] = {dict: "{}", list: "[]", tuple: "[]"}
"""Most columns hold nothing, and an encoder costs microseconds for that too."""


def write_json(value: object) -> str:
    """Return compact JSON; any mapping counts as an object. Raises TypeError or ValueError for other values."""
    if not value and (empty := _EMPTY.get(type(value))):
        return empty
    return _encoder.encode(value)


def read_json(text: str) -> Any:
    """Return what `write_json` wrote, lists for tuples."""
    return json.loads(text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
