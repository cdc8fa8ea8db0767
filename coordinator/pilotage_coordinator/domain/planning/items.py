"""The items of a loop and their keys: the same rule for the plan and for the engine."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.planning.json_form import plain

LONGEST_KEY: Final = 256
"""Characters; a key stands in the identity of an attempt, in logs and in file names."""


class ItemsRefused(DomainError):
    """What `for_each` gave cannot be looped over; the text says why."""


def read_items(value: Any, max_items: int) -> list[Any]:
    """Return what `for_each` gave as a list of JSON values; raises ItemsRefused when it is none or too long."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ItemsRefused(f"for_each gives {_named(value)}, not a list")
    if len(value) > max_items:
        raise ItemsRefused(f"for_each gives {len(value)} items, more than max_items ({max_items}) allows")
    try:
        return [plain(each) for each in value]
    except TypeError as error:
        raise ItemsRefused(f"for_each: {error}") from error


def item_keys(items: Sequence[Any], key: str, expressions: Evaluator, scope: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the key of each item: `key` rendered with `item` in the scope, or the item itself where there is none.

    Raises ItemsRefused when a key is no text, is empty or too long, or is another item's as well.
    """
    keys: dict[str, None] = {}
    for number, item in enumerate(items):
        found = expressions.render(key, {**scope, "item": item}) if key else item
        if isinstance(found, int) and not isinstance(found, bool):
            found = str(found)
        if not isinstance(found, str):
            fix = "" if key else '; give one with `key: "${{ item.… }}"`'
            raise ItemsRefused(f"the key of item {number} is {_named(found)}, not a text{fix}")
        if not 0 < len(found) <= LONGEST_KEY:
            raise ItemsRefused(f"the key of item {number} has {len(found)} characters; 1 to {LONGEST_KEY} are allowed")
        if found in keys:
            raise ItemsRefused(f"two items have the key `{found[:60]}`: keys name step runs and must differ")
        keys[found] = None
    return tuple(keys)


def _named(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case Mapping():
            return "an object"
        case Sequence():
            return "a list"
    return f"a {type(value).__name__}"
