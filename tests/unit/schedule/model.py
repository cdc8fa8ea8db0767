"""When a cron expression fires, told minute by minute: slowly, and without anything that the product uses for it.

The model goes through the minutes that there really are, reads what the wall clock shows in each (the only thing that
is asked of a zone), and compares five numbers with five sets. It never turns a wall clock's time into a moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MINUTE = timedelta(minutes=1)
SHORT = {"@daily": "0 0 * * *", "@hourly": "0 * * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}


def number(text: str, names: tuple[str, ...], low: int) -> int:
    """Return a value by number or name."""
    return names.index(text) + low if text in names else int(text)


@cache
def values(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """Return what a field without extras matches."""
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = (number(each, names, low) for each in span.split("-"))
            last = 7 if names is DAYS and last == 0 else last
        else:
            first = last = number(span, names, low)
        found |= set(range(first, last + 1, int(step or 1)))
    return frozenset(each % 7 for each in found) if names is DAYS else frozenset(found)


@dataclass(frozen=True)
class Model:
    """An expression as sets."""

    minutes: frozenset[int]
    hours: frozenset[int]
    day: str
    months: frozenset[int]
    weekday: str
    fixed: bool

    @staticmethod
    def of(text: str) -> "Model":
        """Read an expression."""
        minute, hour, day, month, weekday = SHORT.get(text, text).lower().split()
        return Model(
            values(minute, 0, 59),
            values(hour, 0, 23),
            day,
            values(month, 1, 12, MONTHS),
            weekday,
            not ("*" in minute or "*" in hour),
        )

    def on_day(self, wall: datetime) -> bool:
        """Return whether the day of a time is one of its days."""
        if wall.month not in self.months:
            return False
        if self.day == "*" or self.weekday == "*":
            return (self.day == "*" or self.in_month(wall)) and (self.weekday == "*" or self.in_week(wall))
        return self.in_month(wall) or self.in_week(wall)

    def in_month(self, wall: datetime) -> bool:
        """Return whether the day of the month fits."""
        parts = self.day.split(",")
        plain = ",".join(each for each in parts if each != "l")
        last = (wall + timedelta(days=1)).day == 1
        return ("l" in parts and last) or (bool(plain) and wall.day in values(plain, 1, 31))

    def in_week(self, wall: datetime) -> bool:
        """Return whether the day of the week fits."""
        day = wall.isoweekday() % 7
        if "#" not in self.weekday:
            return day in values(self.weekday, 0, 6, DAYS)
        wanted = [each.split("#") for each in self.weekday.split(",")]
        return any(number(name, DAYS, 0) % 7 == day and int(nth) == (wall.day - 1) // 7 + 1 for name, nth in wanted)

    def matches(self, wall: datetime) -> bool:
        """Return whether a time of the wall clock fits."""
        return wall.minute in self.minutes and wall.hour in self.hours and self.on_day(wall)

    def firings(self, minutes: "list[tuple[datetime, datetime]]") -> list[datetime]:
        """Return the moments of these at which it fires."""
        return list(self._fixed(minutes) if self.fixed else (at for at, wall in minutes if self.matches(wall)))

    def _fixed(self, minutes: "list[tuple[datetime, datetime]]") -> Iterator[datetime]:
        """Yield the first moment at which the wall clock shows a matching time, or has gone past it."""
        highest = minutes[0][1] - MINUTE
        for at, wall in minutes:
            passed = []
            while highest < wall:
                highest += MINUTE
                passed.append(highest)
            if any(self.matches(each) for each in passed):
                yield at


def real_minutes(zone: ZoneInfo, first: datetime, count: int) -> list[tuple[datetime, datetime]]:
    """Return so many minutes from a moment on, each with what the wall clock shows."""
    moments = (first + n * MINUTE for n in range(count))
    return [(at, at.astimezone(zone).replace(tzinfo=None, fold=0)) for at in moments]


def changes(zone: ZoneInfo, since: datetime, until: datetime) -> list[tuple[datetime, timedelta, timedelta]]:
    """Return when the clock is changed, to the minute, and its offsets before and after."""
    found = []
    at, before = since, since.astimezone(zone).utcoffset()
    assert before is not None
    while at < until:
        later = at + timedelta(hours=12)
        after = later.astimezone(zone).utcoffset()
        assert after is not None
        if after != before:
            exact = next(
                at + n * MINUTE for n in range(721) if (at + n * MINUTE).astimezone(zone).utcoffset() != before
            )
            found.append((exact, before, after))
        at, before = later, after
    return found


def utc(year: int, month: int, day: int, hour: int = 0) -> datetime:
    """Return a moment."""
    return datetime(year, month, day, hour, tzinfo=UTC)
