"""Cron expressions on the naive wall clock: which minutes they match. Zones are none of their business.

croniter finds the next matching minute. It is given nothing but numbers that were checked here, and never a zone: its
own rules for changes of the clock fire `30 2 * * *` twice in autumn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from croniter import croniter

from pilotage_coordinator.domain.schedule.errors import ScheduleRefused
from pilotage_coordinator.domain.schedule.fields import Field, Matched, read_field

LONGEST: Final = 500
SHORTHANDS: Final = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)
FIVE_FIELDS: Final = "write minute, hour, day of the month, month and day of the week, such as `30 2 * * 1-5`"
_LONGEST_MONTHS: Final = MappingProxyType(dict.fromkeys(range(1, 13), 31) | {2: 29, 4: 30, 6: 30, 9: 30, 11: 30})


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that fires at some time or other."""

    text: str
    """As it was written."""
    minute: Matched
    hour: Matched
    day: Matched
    month: Matched
    weekday: Matched

    @property
    def fixed(self) -> bool:
        """Return whether it names times of the day: neither minute nor hour has a `*`.

        Such a job fires once when a change of the clock leaves its time out or repeats it; others in each minute that
        there really is.
        """
        return not (self.minute.starred or self.hour.starred)

    @property
    def either_day(self) -> bool:
        """Return whether the day of the month and the day of the week are both given: then either is enough."""
        return not (self.day.every or self.weekday.every)

    def walls(self, after: datetime) -> Iterator[datetime]:
        """Yield the matching minutes after a time of the naive wall clock, without end."""
        found = croniter(_numbers(self), after, ret_type=datetime)
        while True:
            yield found.get_next()

    def matches(self, wall: datetime) -> bool:
        """Return whether a time of the wall clock is one of its minutes."""
        return next(self.walls(wall - timedelta(seconds=1))) == wall


@lru_cache(maxsize=1024)
def parse_cron(text: str) -> Cron:
    """Read an expression of five fields, or `@daily` and its like; raises ScheduleRefused with the fix."""
    if len(text) > LONGEST:
        raise ScheduleRefused(f"a cron expression has at most {LONGEST} characters", FIVE_FIELDS)
    plain = SHORTHANDS.get(text.strip().lower(), text.lower())
    if plain.lstrip().startswith("@"):
        raise _no_shorthand(plain.strip())
    parts = plain.split()
    if len(parts) != len(Field):
        raise _not_five(text, len(parts))
    minute, hour, day, month, weekday = (read_field(name, part) for name, part in zip(Field, parts, strict=True))
    cron = Cron(text.strip(), minute, hour, day, month, weekday)
    _check_days(cron)
    return cron


def _check_days(cron: Cron) -> None:
    day, weekday = cron.day, cron.weekday
    if cron.either_day and (day.starred or weekday.starred):
        raise ScheduleRefused(
            f"{cron.text!r}: cron programs disagree on whether both days must fit or one of them, where one has a `*/`",
            "leave one of them `*`, or write out the days, such as 1,3,5",
        )
    for one, other in ((day, weekday), (weekday, day)):
        if one.every and one.text != "*" and not other.every:
            raise ScheduleRefused(
                f"{cron.text!r}: {one.text!r} names every day, and cron programs disagree on what the other day does",
                "write `*` instead of it, or leave the other day `*`",
            )
    if weekday.nth and not day.every:
        raise ScheduleRefused(
            f"{cron.text!r} names a day of the month and the day of a certain week",
            "leave the day of the month `*`: `0 2 * * fri#2` is the second Friday",
        )
    if weekday.every and not day.last:
        longest = max(_LONGEST_MONTHS[month] for month in cron.month.values)
        if min(day.values) > longest:
            raise ScheduleRefused(
                f"{cron.text!r} never fires: no month that it names has a day {min(day.values)}",
                "write L for the last day of a month, or choose another day",
            )


def _no_shorthand(word: str) -> ScheduleRefused:
    if word.startswith("@every"):
        return ScheduleRefused(f"{word[:40]!r} is no cron expression", "give a fixed interval instead, such as 15m")
    if word == "@reboot":
        return ScheduleRefused("`@reboot` names no time", FIVE_FIELDS)
    return ScheduleRefused(f"there is no {word[:20]!r}", f"there are {', '.join(SHORTHANDS)}; or {FIVE_FIELDS}")


def _not_five(text: str, count: int) -> ScheduleRefused:
    if count in (6, 7):
        return ScheduleRefused(
            f"{text[:60]!r} has {count} fields: seconds and years are not known here",
            f"{FIVE_FIELDS}; a single time is given as a time, and a year as the schedule's end",
        )
    return ScheduleRefused(f"{text[:60]!r} has {count} field{'' if count == 1 else 's'} of five", FIVE_FIELDS)


@lru_cache(maxsize=1024)
def _numbers(cron: Cron) -> str:
    """Return the expression as croniter is given it: bare numbers, `*` where a field matches everything."""
    return " ".join(_listed(each) for each in (cron.minute, cron.hour, cron.day, cron.month, cron.weekday))


def _listed(matched: Matched) -> str:
    if matched.nth:
        return ",".join(f"{day}#{number}" for day, number in matched.nth)
    if matched.every:
        return "*"
    return ",".join([*(str(each) for each in sorted(matched.values)), *(["l"] if matched.last else [])])
