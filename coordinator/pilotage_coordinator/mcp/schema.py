"""Schemas of tools as clients read them: JSON Schema of the models, without what only costs a model attention."""

from typing import Any, Final

from pydantic import BaseModel

_LEFT_OUT: Final = ("title",)
_ANY: Final = {"anyOf": [{"type": each} for each in ("string", "number", "boolean", "object", "array", "null")]}
"""Any JSON value, in a form that clients understand which take an empty schema for a mistake."""


def input_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a tool's arguments; it allows no others."""
    return _plain(model.model_json_schema(mode="validation"))


def output_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a tool's answer."""
    return _plain(model.model_json_schema(mode="serialization"))


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without pydantic's titles, which repeat the names of fields."""
    found: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _LEFT_OUT and isinstance(value, str):
            continue
        if name in ("properties", "$defs") and isinstance(value, dict):
            found[name] = {each: _plain(inner) or dict(_ANY) for each, inner in value.items()}
        elif isinstance(value, dict):
            found[name] = _plain(value)
        elif isinstance(value, list):
            found[name] = [_plain(each) if isinstance(each, dict) else each for each in value]
        else:
            found[name] = value
    return found
