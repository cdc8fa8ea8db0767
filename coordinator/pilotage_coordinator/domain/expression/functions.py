"""The functions of the language: pure, linear (sort_by: n log n), and clear about what they refuse.

They see JSON-able values. A field is a path: `outputs.p95_ms`, `0.name`; a key that holds dots is found as it is first.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pilotage_coordinator.domain.expression.errors import FunctionRefused
from pilotage_coordinator.domain.expression.versions import sortable_version

LONGEST_TEXT: Final = 1024 * 1024
"""Characters of any text that a function makes."""

LONGEST_RANGE: Final = 10_000
"""Numbers that range() makes at most; a `for_each` takes fewer."""

_MISSING: Final = object()
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": lambda one, other: _equal(one, other),
    "!=": lambda one, other: not _equal(one, other),
    "<": lambda one, other: bool(one < other),
    "<=": lambda one, other: bool(one <= other),
    ">": lambda one, other: bool(one > other),
    ">=": lambda one, other: bool(one >= other),
    "in": lambda one, other: one in other,
    "contains": lambda one, other: other in one,
}


def lookup(value: object, path: object) -> object:
    """Return what stands at `path` inside `value`, or the missing mark."""
    if isinstance(value, Mapping) and isinstance(path, str) and path in value:
        return value[path]
    if isinstance(path, int) and not isinstance(path, bool):
        return _step(value, str(path))
    if not isinstance(path, str):
        raise FunctionRefused("a path is a text such as 'outputs.bytes', or a number")
    for part in path.split("."):
        value = _step(value, part)
        if value is _MISSING:
            return _MISSING
    return value


def _step(value: object, part: str) -> object:
    if isinstance(value, Mapping):
        return value.get(part, _MISSING)
    if isinstance(value, Sequence) and not isinstance(value, str) and part.isdecimal() and len(part) < 10:
        index = int(part)
        return value[index] if index < len(value) else _MISSING
    return _MISSING


def get(value: object, path: object, *fallback: object) -> object:
    """get(value, path[, fallback]): what stands at path; without a fallback, a missing one is an error."""
    _count("get", fallback, 0, 1)
    found = lookup(value, path)
    if found is not _MISSING:
        return found
    if fallback:
        return fallback[0]
    raise FunctionRefused(f"get(): there is nothing at `{path}`; give a fallback: get(x, '{path}', 'none')")


def where(items: object, path: object, *test: object) -> list[object]:
    """where(list, path, value) or where(list, path, operator, value): the items for which it holds; where(list, path):
    those that have true there. An item that lacks the path is left out."""
    _count("where", test, 0, 2)
    operator = str(test[0]) if len(test) == 2 else "=="
    compare = _COMPARISONS.get(operator)
    if compare is None:
        raise FunctionRefused(f"where(): `{operator[:20]}` is no operator; known: {' '.join(_COMPARISONS)}")
    wanted = test[-1] if test else True
    chosen = []
    for item in _list("where", items):
        found = lookup(item, path)
        if found is _MISSING:
            continue
        try:
            if compare(found, wanted):
                chosen.append(item)
        except TypeError:
            raise FunctionRefused(f"where(): cannot compare {_kind(found)} {operator} {_kind(wanted)}") from None
    return chosen


def pluck(items: object, path: object, *fallback: object) -> list[object]:
    """pluck(list, path[, fallback]): what stands at path in each item."""
    _count("pluck", fallback, 0, 1)
    values = []
    for index, item in enumerate(_list("pluck", items)):
        found = lookup(item, path)
        if found is _MISSING:
            if not fallback:
                raise FunctionRefused(
                    f"pluck(): item {index} has nothing at `{path}`; filter with where(), or add a fallback"
                )
            found = fallback[0]
        values.append(found)
    return values


def sort_by(items: object, path: object, *order: object) -> list[object]:
    """sort_by(list, path[, 'desc']): the items ordered by what stands at path; equal ones keep their order."""
    _count("sort_by", order, 0, 1)
    if order and order[0] not in ("asc", "desc"):
        raise FunctionRefused("sort_by(): the order is 'asc' or 'desc'")
    found = list(zip(pluck(items, path), _list("sort_by", items), strict=True))
    try:
        found.sort(key=lambda pair: pair[0], reverse=bool(order) and order[0] == "desc")  # type: ignore[arg-type,return-value]
    except TypeError:
        raise FunctionRefused(f"sort_by(): the values at `{path}` are of several kinds, or have no order") from None
    return [item for _, item in found]


def unique(items: object) -> list[object]:
    """unique(list): each value once, where it first stood."""
    seen: dict[str, object] = {}
    for item in _list("unique", items):
        seen.setdefault(json.dumps(item, sort_keys=True, ensure_ascii=False), item)
    return list(seen.values())


def flatten(items: object) -> list[object]:
    """flatten(list of lists): one list of their items; one level."""
    flat: list[object] = []
    for item in _list("flatten", items):
        flat += item if isinstance(item, list) else [item]
    return flat


def first(items: object, *fallback: object) -> object:
    """first(list[, fallback]): the first item."""
    _count("first", fallback, 0, 1)
    found = _list("first", items)
    if found:
        return found[0]
    if fallback:
        return fallback[0]
    raise FunctionRefused("first(): the list is empty; give a fallback: first(x, 'none')")


def total(items: object) -> int | float:
    """sum(list): an int when all are ints, else a double."""
    numbers = _numbers("sum", items, empty=True)
    return sum(numbers) if all(isinstance(each, int) for each in numbers) else math.fsum(numbers)


def least(*items: object) -> object:
    """min(list) or min(a, b, …)."""
    return _extreme("min", items, min)


def greatest(*items: object) -> object:
    """max(list) or max(a, b, …)."""
    return _extreme("max", items, max)


def average(items: object) -> float:
    """avg(list): a double."""
    numbers = _numbers("avg", items)
    return math.fsum(numbers) / len(numbers)


def quantile(items: object, share: object) -> float:
    """quantile(list, q): a double; between two values, in proportion. q goes from 0.0 to 1.0."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise FunctionRefused("quantile(): q is a number from 0.0 to 1.0")
    numbers = sorted(_numbers("quantile", items))
    place = (len(numbers) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(numbers) - 1)
    return float(numbers[low] + (numbers[high] - numbers[low]) * (place - low))


def count(items: object) -> int:
    """count(list or map): how many there are."""
    if isinstance(items, list | Mapping):
        return len(items)
    raise FunctionRefused(f"count(): expected a list or a map, not {_kind(items)}; size() counts letters")


def whole_numbers(lowest: object, highest: object) -> list[object]:
    """range(from, to): the whole numbers from one to the other, both included; an empty list when `to` is less."""
    start, end = _whole("range", lowest), _whole("range", highest)
    if end - start >= LONGEST_RANGE:
        raise FunctionRefused(f"range(): more than {LONGEST_RANGE} numbers")
    return list(range(start, end + 1))


def join(items: object, separator: object) -> str:
    """join(list, separator): one text; numbers and booleans are written out."""
    parts = []
    for item in _list("join", items):
        if item is None or isinstance(item, list | Mapping):
            raise FunctionRefused(f"join(): a text cannot be made of {_kind(item)}")
        parts.append(written(item))
    gap = _text("join", separator)
    _bounded("join", sum(map(len, parts)) + len(gap) * max(0, len(parts) - 1))
    return gap.join(parts)


def split(text: object, separator: object) -> list[object]:
    """split(text, separator): the parts of a text."""
    gap = _text("split", separator)
    if not gap:
        raise FunctionRefused("split(): the separator is empty")
    return list(_text("split", text).split(gap))


def lower(text: object) -> str:
    """lower(text): in small letters."""
    return _text("lower", text).lower()


def replace_text(text: object, old: object, new: object) -> str:
    """replace_text(text, old, new): every `old` replaced."""
    whole, before, after = (_text("replace_text", each) for each in (text, old, new))
    if not before:
        raise FunctionRefused("replace_text(): the text to replace is empty")
    _bounded("replace_text", len(whole) + whole.count(before) * (len(after) - len(before)))
    return whole.replace(before, after)


def default(value: object, fallback: object) -> object:
    """default(value, fallback): the fallback where value is null. A missing key is an error: see get()."""
    return fallback if value is None else value


def version(text: object) -> str:
    """version(text): a text that sorts as the version does; see sortable_version."""
    return sortable_version(_text("version", text))


def now_in(zone: object, now: int | None) -> dict[str, object]:
    """now_in(zone): the wall clock there, as a map: date, time, year, month, day, hour, minute, weekday (monday …).

    `now` is in microseconds since 1970, UTC; None where an expression must not depend on the time.
    """
    if now is None:
        raise FunctionRefused("now_in(): the time is not known here; it is known when a step is due")
    try:
        moment = datetime.fromtimestamp(now // 1_000_000, ZoneInfo(_text("now_in", zone)))
    except (KeyError, ValueError, OSError):
        raise FunctionRefused(f"now_in(): there is no zone `{str(zone)[:60]}`; write Europe/Paris or UTC") from None
    return {
        "date": moment.strftime("%Y-%m-%d"),
        "time": moment.strftime("%H:%M"),
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "weekday": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")[moment.weekday()],
    }


FUNCTIONS: Final[Mapping[str, Callable[..., object]]] = {
    "get": get,
    "where": where,
    "pluck": pluck,
    "sort_by": sort_by,
    "unique": unique,
    "flatten": flatten,
    "first": first,
    "sum": total,
    "min": least,
    "max": greatest,
    "avg": average,
    "quantile": quantile,
    "count": count,
    "range": whole_numbers,
    "join": join,
    "split": split,
    "lower": lower,
    "replace_text": replace_text,
    "default": default,
    "version": version,
    "now_in": now_in,
}

BUILT_IN: Final = frozenset(
    {"has", "size", "contains", "startsWith", "endsWith", "matches", "string", "int", "double", "duration", "timestamp"}
    | {"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"}
    | {"getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)
"""The functions of CEL itself that the language keeps."""


def written(value: object) -> str:
    """Return a value as it stands inside a text: booleans as true and false, lists and maps as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _equal(one: object, other: object) -> bool:
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _list(name: str, value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    raise FunctionRefused(f"{name}(): expected a list, not {_kind(value)}")


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise FunctionRefused(f"{name}(): expected a text, not {_kind(value)}")


def _whole(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise FunctionRefused(f"{name}(): expected whole numbers, not {_kind(value)}")


def _numbers(name: str, value: object, empty: bool = False) -> list[int | float]:
    numbers = _list(name, value)
    for each in numbers:
        if isinstance(each, bool) or not isinstance(each, int | float):
            raise FunctionRefused(f"{name}(): expected numbers, not {_kind(each)}")
    if not numbers and not empty:
        raise FunctionRefused(f"{name}(): the list is empty")
    return numbers


def _extreme(name: str, items: tuple[object, ...], choose: Callable[[Any], object]) -> object:
    values = _list(name, items[0]) if len(items) == 1 else list(items)
    if not values:
        raise FunctionRefused(f"{name}(): the list is empty")
    texts = all(isinstance(each, str) for each in values)
    return choose(values) if texts else choose(_numbers(name, values))


def _count(name: str, given: tuple[object, ...], least: int, most: int) -> None:
    if not least <= len(given) <= most:
        raise FunctionRefused(f"{name}(): too many arguments")


def _bounded(name: str, length: int) -> None:
    if length > LONGEST_TEXT:
        raise FunctionRefused(f"{name}(): the text would be longer than {LONGEST_TEXT} characters")


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case Mapping():
            return "a map"
    return f"a {type(value).__name__}"
