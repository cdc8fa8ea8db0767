"""Whether a value is one that a parameter accepts. Pure rules; coercion of typed text is `parameters`' part."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.parameter import Parameter, ParameterType
from pilotage_coordinator.domain.errors import ValueRefused
from pilotage_coordinator.domain.expression.pattern import matches_whole
from pilotage_coordinator.domain.values import parse_duration, parse_size, write_duration, write_size

HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
SECRET: Final = re.compile(r"secret://(?=.{1,255}$)[A-Za-z0-9][A-Za-z0-9._@+-]*(?:/[A-Za-z0-9._@+-]+)*")
IMAGE: Final = re.compile(r"[a-z0-9][a-zA-Z0-9._/:-]{0,254}(?:@sha256:[0-9a-f]{64})?")

_PYTHON_TYPES: Final[Mapping[ParameterType, tuple[type, ...]]] = {
    ParameterType.INTEGER: (int,),
    ParameterType.NUMBER: (int, float),
    ParameterType.BOOLEAN: (bool,),
    ParameterType.LIST: (list, tuple),
    ParameterType.OBJECT: (dict,),
    ParameterType.HOSTS: (list, tuple, str, dict),
}


def check_value(parameter: Parameter, value: object, *, choices: bool = True) -> Iterator[str]:
    """Yield what is wrong with `value`, nothing when the parameter accepts it. Conditions (`that`) are not asked."""
    misfit = _misfit(parameter.type, value)
    if misfit:
        yield misfit
        return
    if choices and parameter.choices and not any(_same(value, each) for each in parameter.choices):
        hint = did_you_mean(str(value), [str(each) for each in parameter.choices])
        yield f"`{_cut(value)}` is none of the choices" + (f"; {hint}" if hint else "")
    yield from _bounds(parameter, value)
    if parameter.items is not None and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            for message in check_value(parameter.items, item):
                yield f"item {index}: {message}"
    if parameter.properties and isinstance(value, Mapping):
        yield from _properties(parameter, value)


def _properties(parameter: Parameter, value: Mapping[str, object]) -> Iterator[str]:
    for name in value:
        if name not in parameter.properties:
            hint = did_you_mean(name, parameter.properties)
            yield f"it has no property `{name[:60]}`" + (f"; {hint}" if hint else "")
    for name, inner in parameter.properties.items():
        if name in value:
            for message in check_value(inner, value[name]):
                yield f"property `{name}`: {message}"
        elif inner.required:
            yield f"property `{name}` is missing"


def _misfit(kind: ParameterType, value: object) -> str:
    """Return why `value` is not of this type, or nothing."""
    expected = _PYTHON_TYPES.get(kind, (str,))
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not ParameterType.BOOLEAN):
        return f"expected {_named(kind)}, not `{_cut(value)}`"
    match kind:
        case ParameterType.HOST if isinstance(value, str) and not HOST_NAME.fullmatch(value):
            return f"`{_cut(value)}` is no host name"
        case ParameterType.HOSTS:
            return _hosts_misfit(value)
        case ParameterType.SECRET if isinstance(value, str) and not SECRET.fullmatch(value):
            return "expected a reference such as secret://restic/db1, never the secret itself"
        case ParameterType.IMAGE if isinstance(value, str) and not IMAGE.fullmatch(value):
            return f"`{_cut(value)}` is no image name; write name:tag or name@sha256:…"
        case ParameterType.TIMESTAMP if isinstance(value, str):
            return _timestamp_misfit(value)
        case ParameterType.DURATION | ParameterType.SIZE if isinstance(value, str):
            try:
                (parse_duration if kind is ParameterType.DURATION else parse_size)(value)
            except ValueRefused as refused:
                return str(refused)
    return ""


def _hosts_misfit(value: object) -> str:
    if isinstance(value, Mapping):
        select = value.get("select")
        if set(value) != {"select"} or not isinstance(select, str) or not select.strip() or "${{" in select:
            return "expected host names, or {select: CONDITION}"
        return ""
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    for name in names:
        if not isinstance(name, str) or not HOST_NAME.fullmatch(name):
            return f"`{_cut(name)}` is no host name"
    return "a host is named twice" if len(set(names)) != len(names) else ""


def _timestamp_misfit(value: str) -> str:
    if value == "latest":
        return ""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return f"`{_cut(value)}` is no time; write 2026-01-31T02:00:00Z or latest"
    return "" if moment.tzinfo is not None else f"`{_cut(value)}` has no zone; write 2026-01-31T02:00:00Z"


def _bounds(parameter: Parameter, value: object) -> Iterator[str]:
    validation, kind = parameter.validation, parameter.type
    measure = _measure(kind, value)
    if measure is not None:
        size, unit = measure
        if validation.min is not None and size < validation.min:
            yield f"`{_cut(value)}` is below the least, {_written(kind, validation.min)}{unit}"
        if validation.max is not None and size > validation.max:
            yield f"`{_cut(value)}` is above the greatest, {_written(kind, validation.max)}{unit}"
    if validation.max_items is not None and isinstance(value, list | tuple) and len(value) > validation.max_items:
        yield f"{len(value)} items are more than {validation.max_items}"
    if validation.pattern is not None and isinstance(value, str) and not matches_whole(validation.pattern, value):
        yield f"`{_cut(value)}` does not match {validation.pattern}"


def _measure(kind: ParameterType, value: object) -> tuple[float, str] | None:
    """Return what min and max are compared with, and its unit for people."""
    match kind, value:
        case (ParameterType.DURATION, str()):
            return parse_duration(value), ""
        case (ParameterType.SIZE, str()):
            return parse_size(value), ""
        case (ParameterType.STRING, str()):
            return len(value), " characters"
        case (_, list() | tuple()):
            return len(value), " items"
        case (_, int() | float()):
            return value, ""
    return None


def _written(kind: ParameterType, bound: float) -> str:
    if kind is ParameterType.DURATION:
        return write_duration(int(bound))
    return write_size(int(bound)) if kind is ParameterType.SIZE else f"{bound:g}" if abs(bound) < 1e6 else str(bound)


def _same(one: object, other: object) -> bool:
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _named(kind: ParameterType) -> str:
    match kind:
        case ParameterType.INTEGER:
            return "a whole number"
        case ParameterType.NUMBER:
            return "a number"
        case ParameterType.BOOLEAN:
            return "true or false"
        case ParameterType.HOSTS:
            return "host names"
        case ParameterType.OBJECT | ParameterType.IMAGE:
            return f"an {kind}"
        case _:
            return f"a {kind}"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
