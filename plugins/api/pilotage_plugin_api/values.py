"""Types for parameters: durations, sizes, file modes, references to secrets, and files of the blueprint.

Use them as field types of a `StepParams` model; they parse what blueprints write and put their form into the JSON
Schema, so that the coordinator refuses a wrong one before anything runs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

# The patterns end in $ for JSON Schema; Python's $ also matches before a last line break, hence \Z below.
_DURATION_PARTS: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_DURATION_PATTERN: Final = r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"
_DURATION: Final = re.compile(_DURATION_PATTERN[:-1] + r"\Z")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST: Final = timedelta(days=36_500)

_SIZE_PATTERN: Final = r"^(\d+(?:\.\d+)?) ?(B|[kKMGTP]i?B?)?$"
_SIZE: Final = re.compile(_SIZE_PATTERN[:-1] + r"\Z")
_BIGGEST: Final = 2**63 - 1

_MODE_PATTERN: Final = r"^0?[0-7]{3,4}$"
_MODE: Final = re.compile(_MODE_PATTERN[:-1] + r"\Z")
_SECRET_PATTERN: Final = r"^secret://[A-Za-z0-9][A-Za-z0-9._@+-]*(/[A-Za-z0-9._@+-]+)*$"  # noqa: S105 - the form of a name
_SECRET: Final = re.compile(_SECRET_PATTERN[:-1] + r"\Z")
_LONGEST_SECRET_NAME: Final = 255
_FILE_NAME_PATTERN: Final = r"^[A-Za-z0-9._-]{1,255}$"
_LARGEST_FILE: Final = 256 * 1024


def parse_duration(value: object) -> timedelta:
    """Read `10s`, `5m`, `1h30m`, `2d`, `250ms` or a number of seconds; raises ValueError that quotes the value."""
    if isinstance(value, timedelta):
        duration = value
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LONGEST.total_seconds():
        duration = timedelta(seconds=value)
    elif isinstance(value, str) and _DURATION.match(value) and len(value) <= 64:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PARTS.findall(value))
        if seconds > _LONGEST.total_seconds():
            raise ValueError(f"{value!r} is longer than a hundred years")
        duration = timedelta(seconds=seconds)
    else:
        raise ValueError(f"{value!r} is no duration: write 10s, 5m, 1h30m, 2d or a number of seconds")
    if not timedelta(0) <= duration <= _LONGEST:
        raise ValueError(f"{value!r} is not between nothing and a hundred years")
    return duration


def format_duration(value: timedelta) -> str:
    """Write a duration so that `parse_duration` reads it back: `1h30m`, `250ms`, `0s`."""
    left = round(value / timedelta(milliseconds=1))
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(value: object) -> int:
    """Read `10GiB` (1024s), `10GB` (1000s), `512K` (1024s) or a number, as bytes; raises ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and len(value) <= 32 and (found := _SIZE.match(value)):
        unit = found[2] or "B"
        base = 1000 if len(unit) == 2 and unit[1] == "B" else 1024
        size = int(float(found[1]) * base ** "BKMGTP".index(unit[0].upper()))
    else:
        raise ValueError(f"{value!r} is no size: write 10GiB, 500MB, 64K or a number of bytes")
    if not 0 <= size <= _BIGGEST:
        raise ValueError(f"{value!r} is not between 0 and {_BIGGEST} bytes")
    return size


def parse_mode(value: object) -> int:
    """Read a quoted octal file mode such as `"0644"`; raises ValueError otherwise.

    A bare 0644 reaches us as the number 644 or 420, and nobody can tell which was meant: refused.
    """
    if isinstance(value, str) and _MODE.match(value):
        return int(value, 8)
    raise ValueError(f'{value!r} is no file mode: write it in quotes, such as "0644"')


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _DURATION_PATTERN}, {"type": "number", "minimum": 0}]}),
]
"""A length of time: `10s`, `5m`, `1h30m`, `2d`, or seconds as a number. A `datetime.timedelta` inside."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _SIZE_PATTERN}, {"type": "integer", "minimum": 0}]}),
]
"""An amount of bytes: `10GiB`, `500MB`, `64K`, or a number. An `int` inside."""

FileMode = Annotated[
    int,
    BeforeValidator(parse_mode),
    PlainSerializer(lambda mode: f"{mode:04o}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": _MODE_PATTERN}),
]
"""Permission bits as a quoted octal string, `"0644"`. An `int` inside."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """The name of a secret, written `secret://name`; the content never lives in it, so it is safe to print.

    Read the content with `await ctx.secret(ref)` or hand it to a program with `ctx.secret_file(ref)`.
    """

    name: str

    def __str__(self) -> str:
        """Return the form that blueprints write."""
        return f"secret://{self.name}"

    @classmethod
    def parse(cls, value: object) -> "SecretRef":
        """Read `secret://name`; raises ValueError that does not quote the value, as it may be the secret itself."""
        if isinstance(value, SecretRef):
            return value
        if isinstance(value, str) and len(value) <= _LONGEST_SECRET_NAME and _SECRET.match(value):
            return cls(value.removeprefix("secret://"))
        raise ValueError(
            'is no reference to a secret: store it with "pilotage secret set NAME" and write secret://NAME here'
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate from text, serialise to text."""
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=None)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Name the form, so that the coordinator sees which parameters are references."""
        return {"type": "string", "format": "pilotage-secret", "pattern": _SECRET_PATTERN}


@dataclass(frozen=True, slots=True)
class BlueprintFile:
    """A text that stands under `files:` of the blueprint. The blueprint's author writes its name; a step gets both.

    A parameter of this type must stand among the step type's own parameters, never inside another one: there the
    coordinator puts the text in the name's place when it plans. The text is part of the plan's digest and is taken as
    it is: no expression in it is evaluated. At most 256 KiB.
    """

    name: str
    text: str = field(repr=False)

    @classmethod
    def parse(cls, value: object) -> "BlueprintFile":
        """Read `{"name": …, "text": …}`, which is what the coordinator sends; raises ValueError otherwise."""
        if isinstance(value, BlueprintFile):
            return value
        match value:
            case {"name": str(name), "text": str(text), **more} if not more:
                if len(text.encode()) > _LARGEST_FILE:
                    raise ValueError(f"the file {name!r} is larger than {_LARGEST_FILE} bytes")
                return cls(name, text)
            case str():
                raise ValueError(
                    "is the name of a file without its text: a name is looked up only where it stands directly among"
                    " the parameters of a blueprint's step"
                )
        raise ValueError("is no file of the blueprint: write its text under `files:`, and its name here")

    def dump(self) -> Mapping[str, str]:
        """Return the form that `parse` reads."""
        return {"name": self.name, "text": self.text}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate from what the coordinator sends, serialise to the same."""
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(cls.dump, return_schema=None)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe what an author writes, a name; the format tells the coordinator to look it up."""
        return {"type": "string", "format": "pilotage-file", "pattern": _FILE_NAME_PATTERN}
