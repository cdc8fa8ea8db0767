"""How parameters are written."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.form.scalars import (
    NAME,
    NAME_PATTERN,
    TYPE_PATTERN,
    Condition,
    Flag,
    Matching,
    Number,
    OneOf,
    Text,
)
from pilotage_coordinator.domain.blueprint.form.shapes import (
    INVALID,
    Anything,
    Either,
    Field,
    Later,
    ListOf,
    MapOf,
    Reading,
    Record,
    Schema,
)
from pilotage_coordinator.domain.blueprint.nodes import MapNode, Node, ScalarNode
from pilotage_coordinator.domain.blueprint.parameter import ChoicesFrom, Parameter, ParameterType, Validation
from pilotage_coordinator.domain.blueprint.parameter_values import check_value
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.errors import ValueRefused
from pilotage_coordinator.domain.expression.pattern import matches_whole
from pilotage_coordinator.domain.values import parse_duration, parse_size

_BOUNDED: Final = frozenset(
    {
        ParameterType.STRING,
        ParameterType.INTEGER,
        ParameterType.NUMBER,
        ParameterType.LIST,
        ParameterType.DURATION,
        ParameterType.SIZE,
        ParameterType.HOSTS,
    }
)
_TEXTS: Final = frozenset({ParameterType.STRING, ParameterType.HOST, ParameterType.IMAGE, ParameterType.SECRET})


class Bound:
    """A bound of min or max: a number, a duration, or a size; the last two as microseconds and bytes."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        """Return the bound as a number."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            for parse in (parse_duration, parse_size):
                try:
                    return parse(node.value)
                except ValueRefused:
                    continue
            return reading.refuse(node, path, f"`{node.text[:40]}` is no number, duration or size")
        return Number(-(2**53 - 1), whole=False).read(node, path, reading)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the JSON Schema."""
        return {"type": ["number", "string"]}


def _build_validation(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    validation = Validation(**values)
    low, high = validation.min, validation.max
    if low is not None and high is not None and low > high:
        return reading.refuse(node, path, f"min {low} is above max {high}")
    if validation.pattern is not None:
        try:
            matches_whole(validation.pattern, "")
        except ValueRefused as refused:
            return reading.refuse(node.get("pattern") or node, (*path, "pattern"), str(refused))
    return validation


VALIDATION: Final = Record(
    "validation",
    {
        "min": Field(Bound(), "Least value; of a string or list its length; of durations and sizes as 10s or 1GiB."),
        "max": Field(Bound(), "Greatest value, in the same way."),
        "pattern": Field(Text(longest=512, empty=False), "A regular expression that the whole value must match."),
        "max_items": Field(Number(), "Most items of a list."),
        "that": Field(Condition(), "A condition over `parameters` that must hold."),
    },
    _build_validation,
)


def _build_choices_from(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    for name, value in values.get("parameters", {}).items():
        if "${{" in json.dumps(value):
            at = (*path, "parameters", name)
            return reading.refuse(node, at, "it is asked before there are values for expressions", "write values only")
    return ChoicesFrom(**values, at=node.at)


CHOICES_FROM: Final = Record(
    "source of choices",
    {
        "type": Field(
            Matching(TYPE_PATTERN, "step type", "write plugin.verb"),
            "A step type that only reads, such as discovery.containers. The hosts of `targets` are asked.",
            required=True,
        ),
        "values": Field(
            Matching(rf"{NAME_PATTERN}(?:\.{NAME_PATTERN})*", "path", "such as containers.name"),
            "Where the values stand in its outputs: a list, and the field of its items, such as containers.name.",
            required=True,
        ),
        "parameters": Field(MapOf(NAME, Anything(), extensible=False), "What the step type is given; values only."),
    },
    _build_choices_from,
)


class ItemType:
    """The type of a list's items, written as one word."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        """Return the items as a Parameter without a name."""
        word = TYPE.read(node, path, reading)
        return Parameter("", word, at=node.at) if word is not INVALID else INVALID

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the JSON Schema."""
        return TYPE.schema(definitions)


TYPE: Final = OneOf(tuple(each.value for each in ParameterType), enum=ParameterType)


def _misfits(parameter: Parameter) -> list[str]:
    """Return what is said of a parameter that its type has no use for."""
    kind, validation = parameter.type, parameter.validation
    misfits = []
    if parameter.items is not None and kind is not ParameterType.LIST:
        misfits.append("`items` belongs to a list")
    if parameter.properties and kind is not ParameterType.OBJECT:
        misfits.append("`properties` belongs to an object")
    if parameter.allow_offline and kind not in (ParameterType.HOST, ParameterType.HOSTS):
        misfits.append("`allow_offline` belongs to host and hosts")
    if parameter.choices_from is not None:
        misfits += _no_source(parameter)
    if (validation.min is not None or validation.max is not None) and kind not in _BOUNDED:
        misfits.append(f"a {kind} has no min or max")
    if validation.pattern is not None and kind not in _TEXTS:
        misfits.append(f"a {kind} has no pattern")
    if validation.max_items is not None and kind not in (ParameterType.LIST, ParameterType.HOSTS):
        misfits.append(f"a {kind} has no max_items")
    return misfits


def _no_source(parameter: Parameter) -> list[str]:
    """Return why hosts cannot say what may be chosen for a parameter."""
    kind = parameter.items.type if parameter.type is ParameterType.LIST and parameter.items else parameter.type
    misfits = []
    if kind not in (ParameterType.STRING, ParameterType.IMAGE):
        misfits.append("`choices_from` belongs to a string, an image, or a list of them")
    if parameter.choices:
        misfits.append("`choices` and `choices_from` exclude each other")
    if parameter.sensitive:
        misfits.append("what is sensitive cannot be chosen from a list")
    return misfits


def _build(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    name = str(path[-1]) if path[-2:-1] in (("parameters",), ("properties",)) else ""
    has_default = "default" in given
    kind = given["type"]
    parameter = Parameter(
        name=name,
        type=kind,
        required=given.get("required", False) and not has_default,
        default=given.get("default"),
        has_default=has_default,
        description=given.get("description", ""),
        choices=given.get("choices", ()),
        choices_from=given.get("choices_from"),
        sensitive=given.get("sensitive", False) or kind is ParameterType.SECRET,
        allow_offline=given.get("allow_offline", False),
        validation=given.get("validation", Validation()),
        items=given.get("items"),
        properties=given.get("properties", {}),
        at=node.at,
    )
    misfits = _misfits(parameter)
    if parameter.choices_from is not None and path[-2:-1] != ("parameters",):
        misfits.append("`choices_from` belongs to a whole parameter")
    for misfit in misfits:
        reading.refuse(node, path, misfit)
    if misfits:
        return INVALID
    return _with_checked_values(parameter, node, path, reading)


def _with_checked_values(parameter: Parameter, node: MapNode, path: Path, reading: Reading) -> Any:
    """Return the parameter when its choices and default are values that it would accept itself."""
    failed = False
    for index, choice in enumerate(parameter.choices):
        for message in check_value(parameter, choice, choices=False):
            reading.refuse(node.get("choices") or node, (*path, "choices", index), message)
            failed = True
    if parameter.has_default and not failed:
        for message in check_value(parameter, parameter.default):
            reading.refuse(node.get("default") or node, (*path, "default"), f"the default is refused: {message}")
            failed = True
    return INVALID if failed else parameter


PARAMETER: Final[Record] = Record(
    "parameter",
    {
        "type": Field(TYPE, "What kind of value it is.", required=True),
        "required": Field(Flag(), "A value must be given. A default makes a parameter optional all the same."),
        "default": Field(Anything(), "The value when none is given."),
        "description": Field(Text(), "What it is for."),
        "choices": Field(ListOf(Anything(), least=1), "The only values accepted."),
        "choices_from": Field(CHOICES_FROM, "Who says what can be chosen: the hosts, when they are asked."),
        "sensitive": Field(Flag(), "Never print, log or store it in clear."),
        "allow_offline": Field(Flag(), "A host or hosts parameter that may name hosts that are offline."),
        "validation": Field(VALIDATION, "Bounds of the value."),
        "items": Field(
            Either(ItemType(), None, Later(lambda: PARAMETER), "a type, or a parameter without a name"),
            "The type of a list's items.",
        ),
        "properties": Field(MapOf(NAME, Later(lambda: PARAMETER)), "The properties of an object."),
    },
    _build,
)
