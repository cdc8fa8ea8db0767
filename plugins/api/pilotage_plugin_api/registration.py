"""The rules that a step type must keep to be registered, each refused with what to change."""

import inspect
import re
from typing import Any, Final

from pydantic import BaseModel

from pilotage_plugin_api.effect import Effect
from pilotage_plugin_api.errors import RegistrationRefused
from pilotage_plugin_api.step_type import StepType

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}\.[a-z][a-z0-9_]{0,30}")
_FILE_FORMAT: Final = "pilotage-file"
_AUTHOR_EFFECTS: Final = frozenset({Effect.READ, Effect.IDEMPOTENT, Effect.ONCE})


def check_step_type(step_type: object) -> None:
    """Raise RegistrationRefused, naming the step type and the fix, unless every rule is kept."""
    if not isinstance(step_type, StepType):
        raise RegistrationRefused(f"{step_type!r} is no instance of StepType: register an object, not its class")
    name = getattr(step_type, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RegistrationRefused(f"{type(step_type).__name__} has the name {name!r}: write plugin.verb in lower case")
    if not docs_of(step_type):
        raise RegistrationRefused(f"{name} has no documentation: give its class a docstring")
    _check_effects(step_type)
    for side in ("Params", "Outputs"):
        model = getattr(step_type, side, None)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise RegistrationRefused(f"{name}.{side} must be a pydantic model class")
    _check_schemas(step_type)


def docs_of(step_type: StepType[Any, Any]) -> str:
    """Return the documentation: the docstring of the class itself, never an inherited one."""
    return inspect.cleandoc(type(step_type).__dict__.get("__doc__") or "")


def overrides(step_type: StepType[Any, Any], method: str) -> bool:
    """Whether the step type brings its own `preview`, `undo`, `probe`, `recover` or `available`."""
    return getattr(type(step_type), method) is not getattr(StepType, method)


def _check_effects(step_type: StepType[Any, Any]) -> None:
    name = step_type.name
    if not isinstance(step_type.effect, Effect):
        raise RegistrationRefused(f"{name}.effect must be one of {', '.join(Effect)}")
    if not step_type.author_effects <= _AUTHOR_EFFECTS:
        raise RegistrationRefused(f"{name}.author_effects may hold only {', '.join(sorted(_AUTHOR_EFFECTS))}")
    if step_type.effect is Effect.PROBE and not overrides(step_type, "probe"):
        raise RegistrationRefused(f"{name} has effect probe but brings no probe()")
    if step_type.effect is Effect.READ and step_type.destructive:
        raise RegistrationRefused(f"{name} has effect read but calls itself destructive")
    if step_type.effect is Effect.READ and overrides(step_type, "undo"):
        raise RegistrationRefused(f"{name} has effect read but brings an undo()")


def _check_schemas(step_type: StepType[Any, Any]) -> None:
    try:
        params = step_type.Params.model_json_schema(mode="validation")
        step_type.Outputs.model_json_schema(mode="serialization")
    except Exception as error:
        raise RegistrationRefused(f"{step_type.name} has no JSON Schema: {error}") from error
    for place, schema in [(step_type.Params.__name__, params), *params.get("$defs", {}).items()]:
        if "properties" in schema and schema.get("additionalProperties") is not False:
            raise RegistrationRefused(
                f'{step_type.name}: {place} lets unknown fields pass; set model_config = ConfigDict(extra="forbid")'
            )
    if params.get("type") != "object" or params.get("additionalProperties") is not False:
        raise RegistrationRefused(
            f'{step_type.name}: {step_type.Params.__name__} must be a model with ConfigDict(extra="forbid")'
        )
    _check_files(step_type.name, params)


def _check_files(name: str, params: dict[str, Any]) -> None:
    """Refuse a file of the blueprint where the coordinator would not look it up."""
    own = params.get("properties", {}).items()
    inside = {key: inner for key, inner in own if not _takes_file(inner)}
    rest = {**{key: value for key, value in params.items() if key != "properties"}, "properties": inside}
    if _holds_file(rest):
        raise RegistrationRefused(f"{name}: a BlueprintFile must stand directly among the parameters, inside no other")


def _takes_file(schema: dict[str, Any]) -> bool:
    """Whether a parameter is a file, or a file or nothing."""
    others = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return len(others) == 1 and others[0].get("format") == _FILE_FORMAT


def _holds_file(value: object) -> bool:
    match value:
        case dict():
            return value.get("format") == _FILE_FORMAT or any(map(_holds_file, value.values()))
        case list():
            return any(map(_holds_file, value))
    return False
