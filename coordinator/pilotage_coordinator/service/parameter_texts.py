"""Parameters as people type them: a text becomes what its parameter's type says, so a string may be `1.10`."""

import json
from collections.abc import Mapping

from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.parameter import Parameter, ParameterType
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.service.errors import Fault, Invalid

_JSON_TYPES = frozenset({ParameterType.INTEGER, ParameterType.NUMBER, ParameterType.BOOLEAN, ParameterType.OBJECT})


def parameters_of_texts(blueprint: Blueprint, texts: Mapping[str, str]) -> dict[str, Json]:
    """Return the values of typed texts; raise Invalid naming every text that its parameter's type cannot read.

    A list may be written as JSON or as `a,b,c`. What the blueprint does not know stays a text, for planning to refuse.
    """
    values: dict[str, Json] = {}
    faults: list[Fault] = []
    for name, text in texts.items():
        parameter = blueprint.parameters.get(name)
        try:
            values[name] = text if parameter is None else _value(parameter, text)
        except ValueError:
            assert parameter is not None
            faults.append(
                Fault(f"`{_shown(parameter, text)}` is no {parameter.type.value}", _form(parameter), path=name)
            )
    if faults:
        raise Invalid("a parameter cannot be read", problems=faults)
    return values


def _value(parameter: Parameter, text: str) -> Json:
    if parameter.type in _JSON_TYPES:
        return _json(text)
    if parameter.type in (ParameterType.LIST, ParameterType.HOSTS):
        if text.lstrip().startswith(("[", "{")):
            return _json(text)
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        if parameter.items is not None and parameter.items.type in _JSON_TYPES:
            return [_json(part) for part in parts]
        return parts
    return text


def _json(text: str) -> Json:
    value: Json = json.loads(text, parse_constant=_refuse)
    return value


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON")


def _shown(parameter: Parameter, text: str) -> str:
    return "<sensitive>" if parameter.sensitive else text[:60]


def _form(parameter: Parameter) -> str:
    return {
        ParameterType.INTEGER: "write a whole number",
        ParameterType.NUMBER: "write a number",
        ParameterType.BOOLEAN: "write true or false",
        ParameterType.OBJECT: 'write a JSON object, such as {"daily": 7}',
    }.get(parameter.type, "write it as a,b,c or as a JSON list")
