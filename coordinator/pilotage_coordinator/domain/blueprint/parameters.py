"""What was given for a blueprint's parameters, turned into the values that it runs with."""

import json
from collections.abc import Mapping
from typing import Final

from pilotage_proto.canonical import CanonicalError, canonical

from pilotage_coordinator.domain.blueprint.errors import BlueprintError, Problem, did_you_mean
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.parameter import Parameter, ParameterType
from pilotage_coordinator.domain.blueprint.parameter_values import check_value
from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.evaluation import Expressions

LARGEST_PARAMETERS: Final = 256 * 1024
"""Bytes of all parameters together, as canonical JSON."""

FILE: Final = "parameters"
"""What stands in the place of a file's name in errors about given values."""

_TEXTS: Final = frozenset({ParameterType.STRING, ParameterType.HOST, ParameterType.IMAGE, ParameterType.SECRET})


def resolve_parameters(
    blueprint: Blueprint, given: Mapping[str, object], expressions: Expressions | None = None
) -> Mapping[str, object]:
    """Return a value for every parameter of `blueprint`, in its order: the one given, the default, or null.

    Text is accepted for other types where it can mean one thing only, as a command line gives it: `3`, `true`,
    `["a", "b"]` (or one text, for a list of
    texts), `a,b` for hosts. Raises BlueprintError with every problem: unknown names, missing values, values that
    do not fit, and conditions (`that`) that do not hold.
    """
    problems: list[Problem] = []
    for name in given:
        if name not in blueprint.parameters:
            hint = did_you_mean(name, blueprint.parameters)
            known = hint or ("it has no parameters" if not blueprint.parameters else "")
            problems.append(_problem(name, f"`{blueprint.id}` has no parameter `{name[:60]}`", known))
    values: dict[str, object] = {}
    for name, parameter in blueprint.parameters.items():
        values[name] = _value(parameter, given, problems)
    if not problems:
        _check_size(values, problems)
    if not problems:
        _check_conditions(blueprint, values, expressions or Expressions(), problems)
    if problems:
        raise BlueprintError(problems)
    return values


def sensitive_parameters(blueprint: Blueprint) -> frozenset[str]:
    """Return the names of the parameters that are never shown: sensitive ones, and those with a sensitive part."""
    return frozenset(name for name, each in blueprint.parameters.items() if is_sensitive(each))


def is_sensitive(parameter: Parameter) -> bool:
    """Return whether a parameter, or any part of it, must not be shown."""
    inner = [*parameter.properties.values(), *([parameter.items] if parameter.items is not None else [])]
    return parameter.sensitive or any(is_sensitive(each) for each in inner)


def _value(parameter: Parameter, given: Mapping[str, object], problems: list[Problem]) -> object:
    """Return the value of one parameter; notes why there is none."""
    name = parameter.name
    if name not in given or (given[name] is None and parameter.has_default):
        if parameter.has_default:
            return parameter.default
        if parameter.required:
            problems.append(_problem(name, f"`{name}` is required", parameter.description))
        return None
    if given[name] is None and not parameter.required:
        return None
    value = coerce(parameter, given[name])
    for message in check_value(parameter, value):
        shown = "its value is refused" if is_sensitive(parameter) else message
        problems.append(_problem(name, shown))
    return value


def coerce(parameter: Parameter, value: object) -> object:
    """Return what a text from a command line means for this parameter; any other value, or one that could mean two
    things, as it is."""
    if not isinstance(value, str):
        return _coerce_items(parameter, value)
    match parameter.type:
        case ParameterType.INTEGER | ParameterType.NUMBER:
            read = _json(value.strip())
            number = isinstance(read, int | float) and not isinstance(read, bool)
            return read if number else value
        case ParameterType.BOOLEAN:
            return {"true": True, "false": False}.get(value.strip().lower(), value)
        case ParameterType.LIST:
            return _list(parameter, value)
        case ParameterType.OBJECT:
            read = _json(value) if value.lstrip().startswith("{") else None
            return read if isinstance(read, dict) else value
        case ParameterType.HOSTS:
            return _hosts(value)
    return value


def _coerce_items(parameter: Parameter, value: object) -> object:
    if isinstance(value, list) and parameter.items is not None:
        return [coerce(parameter.items, each) for each in value]
    return value


def _list(parameter: Parameter, value: str) -> object:
    """Return a JSON list, or one text as the list of it; with a comma it could be one or several."""
    read = _json(value) if value.lstrip().startswith("[") else None
    if isinstance(read, list):
        return _coerce_items(parameter, read)
    texts = parameter.items is not None and parameter.items.type in _TEXTS
    return [value] if texts and "," not in value and not value.lstrip().startswith("[") else value


def _hosts(value: str) -> object:
    if value.lstrip().startswith(("[", "{")):
        read = _json(value)
        return read if isinstance(read, list | dict) else value
    return [each.strip() for each in value.split(",")] if "," in value else value


def _json(text: str) -> object:
    """Return what a JSON text says, or the text itself when it is none, or holds what is no JSON."""

    def refuse(constant: str) -> object:
        raise ValueError(constant)

    try:
        value: object = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return text
    return value


def _check_size(values: Mapping[str, object], problems: list[Problem]) -> None:
    try:
        size = len(canonical(values))
    except (CanonicalError, RecursionError) as error:
        problems.append(_problem("", f"the parameters have no JSON form: {error}"))
        return
    if size > LARGEST_PARAMETERS:
        problems.append(_problem("", f"the parameters take {size} bytes; at most {LARGEST_PARAMETERS} are accepted"))


def _check_conditions(
    blueprint: Blueprint, values: Mapping[str, object], expressions: Expressions, problems: list[Problem]
) -> None:
    for name, parameter in blueprint.parameters.items():
        condition = parameter.validation.that
        if condition is None or values[name] is None:
            continue
        try:
            if not expressions.evaluate_condition(condition, {"parameters": values}):
                shown = "" if is_sensitive(parameter) else f" for `{str(values[name])[:60]}`"
                problems.append(_problem(name, f"`{condition}` does not hold{shown}"))
        except ExpressionError as error:
            problems.append(_problem(name, str(error)))


def _problem(name: str, message: str, hint: str = "") -> Problem:
    return Problem(FILE, 0, 0, f"parameters.{name}" if name else "", message, hint)
