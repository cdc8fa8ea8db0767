"""The five fields of a cron expression: their bounds, names and grammar.

The grammar is narrower than that of most cron programs: what they read in different ways is refused with what to write
instead, so that no schedule means something else than its author thinks.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pilotage_coordinator.domain.schedule.errors import ScheduleRefused

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LAST_DAY: Final = "l"
SUNDAY_AS_LAST: Final = 7

_STEP: Final = re.compile(r"\*/([0-9]{1,4})")
_RANGE: Final = re.compile(r"([0-9a-z]+)-([0-9a-z]+)(?:/([0-9]{1,4}))?")
_NTH: Final = re.compile(r"([0-9a-z]+)#([0-9]+)")


class Field(StrEnum):
    """The fields, by the words in which people are told of them."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day of the month"
    MONTH = "month"
    WEEKDAY = "day of the week"


BOUNDS: Final = {
    Field.MINUTE: (0, 59),
    Field.HOUR: (0, 23),
    Field.DAY: (1, 31),
    Field.MONTH: (1, 12),
    Field.WEEKDAY: (0, 6),
}


@dataclass(frozen=True, slots=True)
class Matched:
    """What one field matches."""

    text: str
    values: frozenset[int]
    every: bool
    """Whether it matches everything there is, however that is written."""
    last: bool = False
    """`L`: the last day of each month."""
    nth: tuple[tuple[int, int], ...] = field(default=())
    """Of weekdays: the day, and the how manieth of its month."""

    @property
    def starred(self) -> bool:
        """Return whether a `*` is in it."""
        return "*" in self.text


def read_field(name: Field, text: str) -> Matched:
    """Read one field; raises ScheduleRefused."""
    values: set[int] = set()
    nth: list[tuple[int, int]] = []
    last = False
    for item in text.split(","):
        if item[:1] in ("r", "h"):
            raise ScheduleRefused(
                f"{item[:20]!r} in the {name.value}: what is drawn by chance would change with each restart",
                "write a fixed time, and give the schedule a jitter: that stays the same",
            )
        if name is Field.DAY and item == LAST_DAY:
            last = True
        elif name is Field.WEEKDAY and (match := _NTH.fullmatch(item)):
            nth.append(_nth(match[1], match[2]))
        else:
            values |= _item(name, item)
    if nth and values:
        raise ScheduleRefused(
            f"the {name.value} {text!r} mixes days with days of a certain week",
            "write either `1,3` or `1#2,3#2`; two schedules can do both",
        )
    low, high = BOUNDS[name]
    return Matched(text, frozenset(values), len(values) == high - low + 1, last, tuple(sorted(set(nth))))


def _item(name: Field, item: str) -> set[int]:
    low, high = BOUNDS[name]
    if item == "*":
        return set(range(low, high + 1))
    if match := _STEP.fullmatch(item):
        return set(range(low, high + 1, _step(name, item, match[1], high - low)))
    if match := _RANGE.fullmatch(item):
        return _range(name, item, match)
    if "/" in item:
        raise ScheduleRefused(
            f"{item!r} in the {name.value}: cron programs disagree on what a step after a single number means",
            f"write a range with a step, such as {low}-{high}/{item.partition('/')[2] or 5}",
        )
    return {_value(name, item) % _modulus(name)}


def _range(name: Field, item: str, match: "re.Match[str]") -> set[int]:
    start, end = _value(name, match[1]) % _modulus(name), _value(name, match[2])
    if name is Field.WEEKDAY and end == 0 and start:
        end = SUNDAY_AS_LAST  # `fri-sun`
    if start > end:
        raise ScheduleRefused(
            f"{item!r} in the {name.value} goes backwards", "write it as two ranges, such as 22-23,0-2"
        )
    step = _step(name, item, match[3], end - start) if match[3] else 1
    return {value % _modulus(name) for value in range(start, end + 1, step)}


def _step(name: Field, item: str, text: str, most: int) -> int:
    step = int(text)
    if not 1 <= step <= most:
        raise ScheduleRefused(
            f"{item!r} in the {name.value}: a step of {step} leaves nothing to step over",
            f"a step from 1 to {most} is possible here; for times further apart use a fixed interval",
        )
    return step


def _value(name: Field, text: str) -> int:
    low, high = BOUNDS[name]
    names = MONTHS if name is Field.MONTH else DAYS if name is Field.WEEKDAY else ()
    if text in names:
        return names.index(text) + low
    if not text.isdecimal() or not text.isascii():
        raise _no_value(name, text, low, high)
    value = int(text[:6])
    if not low <= value <= (SUNDAY_AS_LAST if name is Field.WEEKDAY else high):
        raise _no_value(name, text, low, high)
    return value


def _nth(day: str, number: str) -> tuple[int, int]:
    if number not in ("1", "2", "3", "4", "5"):
        raise ScheduleRefused(
            f"{day}#{number[:6]}: no month has that many weeks", "write a number from 1 to 5, such as fri#2"
        )
    return _value(Field.WEEKDAY, day) % _modulus(Field.WEEKDAY), int(number)


def _modulus(name: Field) -> int:
    return 7 if name is Field.WEEKDAY else 100


def _no_value(name: Field, text: str, low: int, high: int) -> ScheduleRefused:
    also = ""
    if name is Field.MONTH:
        also = " or jan to dec"
    elif name is Field.WEEKDAY:
        also = " (0 and 7 are Sunday) or sun to sat"
    elif name is Field.DAY:
        also = " or L for the last day"
    return ScheduleRefused(f"{text[:20]!r} is no {name.value}", f"it is a number from {low} to {high}{also}")
