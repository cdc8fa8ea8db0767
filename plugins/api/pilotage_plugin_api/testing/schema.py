"""Whether a step type's schema still takes what it took: blueprints that people wrote must go on working."""

from collections.abc import Iterator, Mapping
from typing import Any

from pilotage_plugin_api.step_type import StepType


def schemas_of(step_type: StepType[Any, Any]) -> dict[str, Any]:
    """Return both schemas as coordinators get them."""
    return {
        "params": step_type.Params.model_json_schema(mode="validation"),
        "outputs": step_type.Outputs.model_json_schema(mode="serialization"),
    }


def broken_promises(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what a blueprint that fits `before` can no longer rely on, one line each; empty when nothing."""
    old_params, new_params = before["params"], now["params"]
    return [
        *_gone("parameter", old_params, new_params),
        *_narrowed("parameter", old_params, new_params),
        *(f"parameter {name} is required now" for name in _required(new_params) if name not in _required(old_params)),
        *_gone("output", before["outputs"], now["outputs"]),
        *_narrowed("output", before["outputs"], now["outputs"]),
    ]


def _gone(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in before.get("properties", {}):
        if name not in now.get("properties", {}):
            yield f"{what} {name} is gone"


def _narrowed(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name, old in before.get("properties", {}).items():
        new = now.get("properties", {}).get(name)
        if new is None:
            continue
        lost = _types(old) - _types(new)
        if lost and _types(new):
            yield f"{what} {name} is no longer {' or '.join(sorted(lost))}"
        values = set(map(str, old.get("enum", ()))) - set(map(str, new.get("enum", ())))
        if values and "enum" in new and what == "parameter":
            yield f"{what} {name} no longer takes {', '.join(sorted(values))}"


def _required(schema: Mapping[str, Any]) -> list[str]:
    return list(schema.get("required", ()))


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    found = {kind} if isinstance(kind, str) else set(kind or ())
    for one in schema.get("anyOf", ()):
        found |= _types(one)
    return found
