"""What a blueprint asks of whoever starts it: its typed parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pilotage_coordinator.domain.blueprint.position import NOWHERE, Position


class ParameterType(StrEnum):
    """The types of BLUEPRINTS.md. A value's shape inside is named beside each."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    OBJECT = "object"
    DURATION = "duration"
    """A string such as `1h30m`."""
    SIZE = "size"
    """A string such as `10GiB`."""
    TIMESTAMP = "timestamp"
    """RFC 3339 with a zone, or `latest`."""
    HOST = "host"
    """The name of one host."""
    HOSTS = "hosts"
    """A list of host names, or `{select: CONDITION}`, which the plan resolves."""
    IMAGE = "image"
    SECRET = "secret"  # noqa: S105 - the name of a type
    """A reference, `secret://NAME`; never the secret itself."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Bounds of a value. min and max hold for numbers, for lengths of strings and lists, and for durations and sizes
    (as microseconds and bytes); `pattern` must match the whole value; `that` is a condition over `parameters`."""

    min: int | float | None = None
    max: int | float | None = None
    pattern: str | None = None
    max_items: int | None = None
    that: str | None = None


@dataclass(frozen=True, slots=True)
class ChoicesFrom:
    """Where hosts say what can be chosen: a step type of effect read, what it is given, and where in its outputs the
    values stand (`containers.name`: a list, and the field of its items)."""

    type: str
    values: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, or one property of an object, or the items of a list (then `name` is empty)."""

    name: str
    type: ParameterType
    required: bool = False
    """True when a value must be given. A default makes a parameter optional, even beside `required: true`."""
    default: object = None
    has_default: bool = False
    description: str = ""
    choices: tuple[object, ...] = ()
    choices_from: ChoicesFrom | None = None
    sensitive: bool = False
    """Never printed, logged or stored in clear; always true for secrets."""
    allow_offline: bool = False
    """A `host` or `hosts` parameter that may name hosts that are offline or lost."""
    validation: Validation = field(default_factory=Validation)
    items: "Parameter | None" = None
    properties: Mapping[str, "Parameter"] = field(default_factory=dict)
    at: Position = field(default=NOWHERE, compare=False, repr=False)
