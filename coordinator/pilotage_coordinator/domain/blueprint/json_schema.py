"""Checking values against the part of JSON Schema that step types announce.

Schemas come from agents, so nothing in them is trusted: every check is bounded, patterns take linear time, and a
keyword that is not known here is left to the step type itself, which validates again where it runs.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.errors import ValueRefused
from pilotage_coordinator.domain.expression.pattern import matches_somewhere

DEEPEST: Final = 64
MOST_CHECKS: Final = 20_000
"""Of one value; after that nothing more is said about it."""

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}

_BOUNDS: Final[Mapping[str, tuple[Callable[[float, float], bool], str]]] = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "exclusiveMinimum": (operator.gt, "more than"),
    "exclusiveMaximum": (operator.lt, "less than"),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a value breaks its schema. `path` leads into the value."""

    path: Path
    message: str
    hint: str = ""


@dataclass(slots=True)
class _Check:
    definitions: Mapping[str, Any]
    left: int = MOST_CHECKS


def violations(schema: Mapping[str, object], value: object) -> tuple[Violation, ...]:
    """Return how `value` breaks `schema`. A text that holds an expression fits everywhere: its value is not known."""
    definitions = schema.get("$defs", {})
    check = _Check(definitions if isinstance(definitions, Mapping) else {})
    return tuple(_check(schema, value, (), check, 0))


def _check(schema: object, value: object, path: Path, check: _Check, depth: int) -> Iterator[Violation]:
    check.left -= 1
    if check.left < 0 or depth > DEEPEST or not isinstance(schema, Mapping) or _unknown_yet(value):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield from _check(check.definitions.get(reference.rpartition("/")[2]), value, path, check, depth + 1)
    for each in _list(schema.get("allOf")):
        yield from _check(each, value, path, check, depth + 1)
    alternatives = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
    if alternatives and not _choice(schema):
        yield from _alternatives(alternatives, value, path, check, depth)
    misfit = _misfit(schema, value)
    if misfit is not None:
        yield Violation(path, *misfit)
        return
    match value:
        case str():
            yield from _text(schema, value, path)
        case int() | float() if not isinstance(value, bool):
            yield from _number(schema, value, path)
        case list() | tuple():
            yield from _array(schema, value, path, check, depth)
        case dict():
            yield from _object(schema, value, path, check, depth)


def broken_choice(schema: Mapping[str, object], value: Mapping[str, object]) -> str:
    """Say which of several keys, of which exactly one must be given, are missing or too many; "" when it is one.

    A schema says so by a `oneOf` whose alternatives each require one key and say nothing else. An expression may turn
    out to be null, so beside it another key may stand.
    """
    keys = _choice(schema)
    given = [key for key in keys if value.get(key) is not None]
    sure = [key for key in given if not _unknown_yet(value[key])]
    if not keys or len(given) == 1 or (len(sure) < 2 and len(sure) < len(given)):
        return ""
    listed = ", ".join(f"`{key}`" for key in given or keys)
    return f"give only one of {listed}" if given else f"one of {listed} is needed"


def _choice(schema: Mapping[str, object]) -> tuple[str, ...]:
    """Return the keys of which exactly one must be given; nothing when the schema asks for no such choice."""
    found = []
    for each in _list(schema.get("oneOf")):
        match each:
            case {"required": [str(key)], **more} if not more:
                found.append(key)
            case _:
                return ()
    return tuple(found)


def _unknown_yet(value: object) -> bool:
    return isinstance(value, str) and ("${{" in value or "{{ parameters." in value)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _alternatives(
    alternatives: list[object], value: object, path: Path, check: _Check, depth: int
) -> Iterator[Violation]:
    """Report nothing when one alternative fits, else what the likeliest one says: the one that fails deepest."""
    failures: list[list[Violation]] = []
    for each in alternatives:
        found = list(_check(each, value, path, check, depth + 1))
        if not found:
            return
        failures.append(found)
    inside = [found for found in failures if all(len(each.path) > len(path) for each in found)]
    if inside:
        yield from inside[0]
    elif len(failures) == 1:
        yield from failures[0]
    else:
        messages = " or ".join(dict.fromkeys(found[0].message.removeprefix("expected ") for found in failures))
        yield Violation(path, f"expected {messages}", failures[0][0].hint)


def _misfit(schema: Mapping[str, Any], value: object) -> tuple[str, str] | None:
    """Return message and hint when the value is of the wrong kind, or none of the values listed."""
    wanted = schema.get("type")
    kinds = [wanted] if isinstance(wanted, str) else [each for each in _list(wanted) if isinstance(each, str)]
    known = [each for each in kinds if each in _KINDS]
    if known and not any(_is(value, each) for each in known):
        return f"expected {' or '.join(known)}, not {_shown(value)}", _quoting(value, known)
    if "const" in schema and not _same(value, schema["const"]):
        return f"expected {_shown(schema['const'])}, not {_shown(value)}", ""
    listed = schema.get("enum")
    if isinstance(listed, list) and not any(_same(value, each) for each in listed):
        names = [each for each in listed if isinstance(each, str)]
        return f"{_shown(value)} is none of the values accepted", did_you_mean(str(value), names)
    return None


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS[kind])


def _quoting(value: object, kinds: list[str]) -> str:
    scalar = isinstance(value, int | float | bool)
    return f'quote it: "{value}"' if scalar and "string" in kinds else ""


def _text(schema: Mapping[str, Any], value: str, path: Path) -> Iterator[Violation]:
    least, most, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    if isinstance(least, int) and len(value) < least:
        yield Violation(path, "this text is empty" if least == 1 else f"this text has fewer than {least} characters")
    if isinstance(most, int) and len(value) > most:
        yield Violation(path, f"this text has more than {most} characters")
    if isinstance(pattern, str):
        try:
            if not matches_somewhere(pattern, value):
                yield Violation(path, f"{_shown(value)} does not match {pattern[:100]}")
        except ValueRefused:
            return


def _number(schema: Mapping[str, Any], value: float, path: Path) -> Iterator[Violation]:
    for name, (holds, words) in _BOUNDS.items():
        bound = schema.get(name)
        if isinstance(bound, int | float) and not isinstance(bound, bool) and not holds(value, bound):
            yield Violation(path, f"expected {words} {bound}, not {value}")


def _array(
    schema: Mapping[str, Any], value: list[object] | tuple[object, ...], path: Path, check: _Check, depth: int
) -> Iterator[Violation]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if isinstance(least, int) and len(value) < least:
        yield Violation(path, f"expected at least {least} items, not {len(value)}")
    if isinstance(most, int) and len(value) > most:
        yield Violation(path, f"expected at most {most} items, not {len(value)}")
    firsts = _list(schema.get("prefixItems"))
    for index, item in enumerate(value):
        inner = firsts[index] if index < len(firsts) else schema.get("items")
        yield from _check(inner, item, (*path, index), check, depth + 1)


def _object(
    schema: Mapping[str, Any], value: Mapping[str, object], path: Path, check: _Check, depth: int
) -> Iterator[Violation]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    others = schema.get("additionalProperties", True)
    for name, each in value.items():
        if name in properties:
            yield from _check(properties[name], each, (*path, name), check, depth + 1)
        elif others is False:
            yield Violation((*path, name), f"there is no `{name[:60]}` here", did_you_mean(name, properties))
        else:
            yield from _check(others, each, (*path, name), check, depth + 1)
    if broken := broken_choice(schema, value):
        yield Violation(path, broken)
    for needed in _list(schema.get("required")):
        if isinstance(needed, str) and needed not in value:
            described = properties.get(needed)
            help_text = described.get("description", "") if isinstance(described, Mapping) else ""
            yield Violation(path, f"`{needed}` is missing", str(help_text)[:200])


def _same(one: object, other: object) -> bool:
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case bool():
            return "true" if value else "false"
    text = str(value)
    return f"`{text if len(text) <= 60 else text[:57] + '…'}`"
