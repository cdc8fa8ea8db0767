"""What differs between two plans: for messages, never for the decision, which is the digest's.

These words say why two digests differ.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.codec import content
from pilotage_coordinator.domain.planning.shortened import shortened

MOST_DIFFERENCES: Final = 20
_NAMES: Final = ("path", "package")


def differences(approved: Plan, fresh: Plan) -> tuple[str, ...]:
    """Return up to 20 lines that say where the content of two plans differs; none when their digests are equal."""
    return lines_between(content(approved), content(fresh))


def lines_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Return up to 20 lines that say where two trees of JSON values differ; none where they are equal."""
    return tuple(islice(_differ("", old, new), MOST_DIFFERENCES))


def _differ(place: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            inner = f"{place}.{key}" if place else key
            if key not in new:
                yield f"{inner}: gone (was {shortened(old[key])})"
            elif key not in old:
                yield f"{inner}: new ({shortened(new[key])})"
            else:
                yield from _differ(inner, old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differ(f"{place}[{_label(one, index)}]", one, other)
    elif isinstance(old, list) and isinstance(new, list):
        yield f"{place}: {_lists(old, new)}"
    else:
        yield f"{place}: was {shortened(old)}, is {shortened(new)}"


def _label(value: Any, index: int) -> str:
    name = _name(value)
    return str(value[name]) if name else str(index)


def _name(value: Any) -> str | None:
    """Return the key under which a value says what it is about."""
    return next((key for key in _NAMES if key in value), None) if isinstance(value, Mapping) else None


def _told(value: Any) -> str:
    """Return a value in few words, those first that say what it is about."""
    name = _name(value)
    return shortened({name: value[name], **value} if name else value)


def _lists(old: list[Any], new: list[Any]) -> str:
    gone = [_told(each) for each in old if each not in new]
    added = [_told(each) for each in new if each not in old]
    return "; ".join(
        f"{word}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        for word, names in (("gone", gone), ("new", added))
        if names
    )
