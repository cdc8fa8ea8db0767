"""A timetable in words, as `schedule explain` and the lists show it."""

from collections.abc import Callable, Sequence
from typing import Final

from pilotage_coordinator.domain.schedule import zone as zones
from pilotage_coordinator.domain.schedule.cron import Cron
from pilotage_coordinator.domain.schedule.fields import Matched
from pilotage_coordinator.domain.schedule.timetable import Every, Once, Timetable
from pilotage_coordinator.domain.values import SECOND, write_duration

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
ORDINALS: Final = ("", "first", "second", "third", "fourth", "fifth")
WEEK: Final = (1, 2, 3, 4, 5, 6, 0)
"""The days of the week as people count them."""
MOST_TIMES: Final = 8
"""Times of the day that are written out."""


def in_words(timetable: Timetable) -> str:
    """Return when it fires, in words; the zone is named where it matters."""
    rule, zone = timetable.rule, zones.zone_named(timetable.zone)
    if isinstance(rule, Every):
        words = f"every {write_duration(rule.interval)}"
    elif isinstance(rule, Once):
        words = f"once, at {zones.shown(zone, rule.at // SECOND)}"
    else:
        words = f"{cron_in_words(rule)} ({timetable.zone})"
    if timetable.start is not None:
        words += f", from {zones.shown(zone, timetable.start // SECOND)}"
    if timetable.end is not None:
        words += f", until {zones.shown(zone, timetable.end // SECOND)}"
    return words


def cron_in_words(cron: Cron) -> str:
    """Return what an expression matches, in words."""
    return " ".join(part for part in (_times(cron), _days(cron), _months(cron.month)) if part)


def _times(cron: Cron) -> str:
    minute, hour = cron.minute, cron.hour
    if len(minute.values) * len(hour.values) <= MOST_TIMES:
        return "at " + _list([f"{h:02d}:{m:02d}" for h in sorted(hour.values) for m in sorted(minute.values)])
    if minute.every:
        minutes = "every minute"
    elif step := _step(minute, 60):
        minutes = f"every {step} minutes"
    else:
        minutes = f"at minute {_ranges(sorted(minute.values))}"
    if hour.every:
        return minutes if minute.every or _step(minute, 60) else f"{minutes} of every hour"
    if step := _step(hour, 24):
        return f"{minutes} of every {ORDINALS[step] if step < 6 else f'{step}th'} hour, from 00"
    return f"{minutes} of the hour{'s' if len(hour.values) > 1 else ''} {_ranges(sorted(hour.values), '{:02d}')}"


def _step(matched: Matched, size: int) -> int:
    values = sorted(matched.values)
    if len(values) < 2 or values[0] != 0:
        return 0
    step = values[1]
    return step if size % step == 0 and values == list(range(0, size, step)) and step > 1 else 0


def _days(cron: Cron) -> str:
    day, weekday = cron.day, cron.weekday
    of_month = ""
    if not day.every:
        named = _ranges(sorted(day.values)) if day.values else ""
        last = "the last day of the month" if day.last else ""
        of_month = "on " + " and on ".join(
            part for part in (f"day {named} of the month" if named else "", last) if part
        )
    of_week = ""
    if weekday.nth:
        of_week = (
            "on the " + _list([f"{ORDINALS[number]} {DAYS[day]}" for day, number in weekday.nth]) + " of the month"
        )
    elif not weekday.every:
        of_week = f"on {_weekdays(weekday)}"
    if of_month and of_week:
        return f"{of_month}, and also {of_week},"
    return of_month or of_week or "every day"


def _weekdays(weekday: Matched) -> str:
    places = [WEEK.index(day) for day in sorted(weekday.values, key=WEEK.index)]
    return _runs(places, lambda place: DAYS[WEEK[place]])


def _months(month: Matched) -> str:
    return "" if month.every else "in " + _runs([each - 1 for each in sorted(month.values)], lambda each: MONTHS[each])


def _ranges(values: Sequence[int], form: str = "{}") -> str:
    return _runs(values, form.format)


def _runs(values: Sequence[int], name: Callable[[int], str]) -> str:
    """Write sorted numbers, three or more in a row as `a to b`."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    parts: list[str] = []
    for run in runs:
        parts += [f"{name(run[0])} to {name(run[-1])}"] if len(run) > 2 else [name(each) for each in run]
    return _list(parts)


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
