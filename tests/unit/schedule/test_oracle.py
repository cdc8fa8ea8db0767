"""The product's times against a model that goes minute by minute, around every change of every clock in two years.

Zones whose clocks are changed at the same moment by the same amount are tried by one of them, and by each with
`PILOTAGE_ALL_ZONES=1`, which takes some minutes.
"""

import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from pilotage_coordinator.domain.schedule.cron import parse_cron
from pilotage_coordinator.domain.schedule.timetable import Timetable

from tests.unit.schedule.model import DAYS, MONTHS, Model, changes, real_minutes, utc

EVERY_ZONE = bool(os.environ.get("PILOTAGE_ALL_ZONES"))
SINCE, UNTIL = utc(2026, 1, 1), utc(2028, 1, 1)
BEFORE, MINUTES = timedelta(hours=7), 60 * 27
EXPRESSIONS = (
    "30 2 * * *",
    "0 0 * * *",
    "0,15,30,45 0-4 * * *",
    "59 23 * * *",
    "@hourly",
    "*/20 * * * *",
    "*/10 2 * * *",
    "17 */3 * * *",
    "30 1,2,3 * * sun",
    "5 0 L,1 * *",
    "10 2 * * sun#1,sun#2,sun#5",
)
ODD = (
    ("Pacific/Apia", utc(2011, 12, 30, 10)),  # the clock leaves out a whole day
    ("America/Caracas", utc(2016, 5, 1, 7)),  # half an hour
    ("Asia/Pyongyang", utc(2018, 5, 4, 15)),  # half an hour, late in the evening
    ("America/Juneau", utc(1983, 10, 30, 10)),  # two hours back
    ("Antarctica/Troll", utc(2026, 3, 29, 1)),  # two hours forward
    ("Africa/Casablanca", utc(2026, 2, 15, 2)),
    ("Asia/Manila", utc(1978, 3, 21, 16)),
)


def micro(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def told(text: str, zone: str, first: datetime, last: datetime) -> list[int]:
    """Return the product's times of an expression from one moment to another."""
    found: list[int] = []
    for nominal in Timetable(parse_cron(text), zone).after(micro(first) - 1):
        if nominal > micro(last):
            return found
        found.append(nominal)
    raise AssertionError("the times of an expression end")


def differences(zone: str, around: datetime, expressions: tuple[str, ...] = EXPRESSIONS) -> list[str]:
    """Return how product and model differ around a change of the clock."""
    minutes = real_minutes(ZoneInfo(zone), around - BEFORE, MINUTES)
    found = []
    for text in expressions:
        expected = [micro(each) for each in Model.of(text).firings(minutes)]
        got = told(text, zone, minutes[0][0], minutes[-1][0])
        if got != expected:
            found.append(f"{text} in {zone} around {around}: {sorted(set(got) ^ set(expected))}")
    return found


def all_changes() -> Iterator[tuple[str, datetime]]:
    """Yield zones and moments: every change in two years, and for zones without any a plain night."""
    seen: set[object] = set()
    for zone in sorted(available_timezones() - {"localtime", "Factory"}):
        plain = SINCE.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0)
        for kind in changes(ZoneInfo(zone), SINCE, UNTIL) or [(utc(2026, 6, 1), plain, plain)]:
            if EVERY_ZONE or kind not in seen:
                seen.add(kind)
                yield zone, kind[0]


def test_around_every_change_of_every_clock_in_two_years() -> None:
    cases = list(all_changes())
    assert len(cases) > 60
    assert {"Antarctica/Troll", "Australia/LHI", "Africa/Casablanca", "America/Havana"} <= {zone for zone, _ in cases}
    assert [line for zone, at in cases for line in differences(zone, at)] == []


@pytest.mark.parametrize(("zone", "at"), ODD, ids=lambda value: str(value))
def test_odd_changes_of_the_clock(zone: str, at: datetime) -> None:
    assert differences(zone, at, (*EXPRESSIONS, "* * * * *", "* 2 * * *", "0-59 0-3 * * *")) == []


@pytest.mark.parametrize("start", [0, 30, 61, 119, 120, 179, 180, 239])
@pytest.mark.parametrize("text", ["15,45 1,2 * * *", "*/15 * * * *", "40 * * * *"])
@pytest.mark.parametrize(
    ("zone", "at"), [("Europe/Berlin", utc(2026, 10, 24, 22)), ("Europe/Berlin", utc(2026, 3, 28, 23))]
)
def test_it_makes_no_difference_from_where_one_looks(zone: str, at: datetime, text: str, start: int) -> None:
    """From within a repeated hour, from the moment of a change, and from a second before it."""
    minutes = real_minutes(ZoneInfo("Europe/Berlin"), at, 30 * 60)
    expected = [micro(each) for each in Model.of(text).firings(minutes)]
    table = Timetable(parse_cron(text), "Europe/Berlin")
    for seconds in (-1, 0, 1):
        instant = micro(at + timedelta(minutes=start, seconds=seconds))
        assert table.next_after(instant) == next(each for each in expected if each > instant)


EVERY_DAY = "sun-sat"


def drawn(random: random.Random) -> str:
    """Return an expression at one or two times of the day, on days of every kind."""

    def some(low: int, high: int, names: tuple[str, ...] = ()) -> str:
        kind = random.randrange(4)
        a, b = sorted(random.sample(range(low, high + 1), 2))
        if kind == 0:
            return "*"
        if kind == 1:
            return f"{names[a - low]}-{names[b - low]}" if names else f"{a}-{b}/{random.randint(1, b - a)}"
        return f"{a},{b}" if kind == 2 else str(a)

    day, weekday = some(1, 28), some(0, 6, DAYS)
    if random.randrange(4) == 0:
        day = random.choice(("L", "L,13", "29", "30,31"))
    if day == "*" and random.randrange(3) == 0:
        weekday = ",".join(f"{each}#{random.randint(1, 5)}" for each in random.sample(("0", "fri", "3", "7"), 2))
    month = some(1, 12, MONTHS) if "L" in day or "3" not in day else random.choice(("*", "jan,3", "dec"))
    return f"{random.randrange(60)} {random.choice(('0', '7', '3,21'))} {day} {month} {weekday}"


def test_days_months_and_weeks_of_drawn_expressions() -> None:
    source = random.Random(20260101)
    days = [SINCE.replace(tzinfo=None) + timedelta(days=n) for n in range(730)]
    for text in (drawn(source) for _ in range(120)):
        if text.split()[2] != "*" and text.endswith(EVERY_DAY):
            continue  # it is refused
        model = Model.of(text)
        clocks = [(hour, minute) for hour in sorted(model.hours) for minute in sorted(model.minutes)]
        walls = [day.replace(hour=hour, minute=minute) for day in days for hour, minute in clocks if model.on_day(day)]
        expected = [micro(wall.replace(tzinfo=SINCE.tzinfo)) for wall in walls]
        got = told(text, "UTC", SINCE, SINCE + timedelta(days=730, seconds=-1))
        assert got == expected, text
