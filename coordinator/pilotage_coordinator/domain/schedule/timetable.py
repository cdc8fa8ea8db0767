"""When a schedule is due: a rule, the zone of its wall clock, and from when until when. Times are UTC microseconds.

Its times are *nominal*: what the rule says, before any jitter. A change of the clock neither loses nor repeats a job at
a fixed time: one that is left out comes at the first moment after the gap, one that is repeated in the first pass. A
job with a `*` in its minute or hour fires in each matching minute that there really is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from pilotage_coordinator.domain.schedule import zone as zones
from pilotage_coordinator.domain.schedule.cron import Cron
from pilotage_coordinator.domain.schedule.errors import ScheduleRefused
from pilotage_coordinator.domain.values import DAY, MINUTE, SECOND

SHORTEST_INTERVAL: Final = MINUTE
FURTHEST: Final = 100 * 366 * DAY
"""How far ahead a start, an end or a single time may lie."""


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed interval, counted in real time from an anchor, both ways."""

    interval: int
    anchor: int


@dataclass(frozen=True, slots=True)
class Once:
    """A single time."""

    at: int


Rule: TypeAlias = Cron | Every | Once


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A nominal time to come, and what a change of the clock makes of it, in words."""

    nominal: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Timetable:
    """All nominal times of a schedule."""

    rule: Rule
    zone: str = "UTC"
    start: int | None = None
    """No time before this one."""
    end: int | None = None
    """No time after this one."""

    def after(self, instant: int) -> Iterator[int]:
        """Yield the nominal times later than an instant, in order."""
        if self.start is not None:
            instant = max(instant, self.start - 1)
        for nominal in self._ruled(instant):
            if self.end is not None and nominal > self.end:
                return
            yield nominal

    def next_after(self, instant: int) -> int | None:
        """Return the first nominal time later than an instant; None when there is none."""
        return next(self.after(instant), None)

    def upcoming(self, instant: int, count: int) -> tuple[Upcoming, ...]:
        """Return the next `count` nominal times after an instant."""
        return tuple(Upcoming(nominal, self.note(nominal)) for nominal in islice(self.after(instant), count))

    def note(self, nominal: int) -> str:
        """Return what a change of the clock makes of a nominal time; empty nearly always."""
        if not isinstance(self.rule, Cron):
            return ""
        zone, moment = zones.zone_named(self.zone), nominal // SECOND
        wall = zones.wall(zone, moment)
        if self.rule.fixed:
            if not self.rule.matches(wall):
                left_out = next(self.rule.walls(zones.wall(zone, moment - 1)))
                return f"{left_out:%H:%M} does not exist that day: the first moment after it"
            if len(zones.moments(zone, wall)) > 1:
                return f"{wall:%H:%M} comes twice that day: the first time only"
            return ""
        passes = zones.moments(zone, wall)
        if len(passes) < 2:
            return ""
        return f"{wall:%H:%M} comes twice that day: the {'first' if moment == passes[0] else 'second'} time"

    def _ruled(self, instant: int) -> Iterator[int]:
        if isinstance(self.rule, Every):
            yield from _intervals(self.rule, instant)
        elif isinstance(self.rule, Once):
            yield from (self.rule.at,) if self.rule.at > instant else ()
        else:
            zone, after = zones.zone_named(self.zone), instant // SECOND
            found = _fixed(self.rule, zone, after) if self.rule.fixed else _each_minute(self.rule, zone, after)
            yield from (moment * SECOND for moment in found)


def check(timetable: Timetable, now: int) -> int:
    """Return the first nominal time after `now`; raises ScheduleRefused for a timetable that has none, or no sense."""
    rule = timetable.rule
    if isinstance(rule, Every) and rule.interval < SHORTEST_INTERVAL:
        raise ScheduleRefused("an interval is a minute or longer", "write 1m or more")
    if timetable.start is not None and timetable.end is not None and timetable.end < timetable.start:
        raise ScheduleRefused("the schedule ends before it starts", "give an end after the start")
    for moment in (timetable.start, timetable.end, rule.at if isinstance(rule, Once) else None):
        if moment is not None and abs(moment - now) > FURTHEST:
            raise ScheduleRefused("a time lies more than a hundred years away", "mend its year")
    first = timetable.next_after(now)
    if first is not None:
        return first
    if isinstance(rule, Once):
        raise ScheduleRefused(
            f"{zones.shown(zones.zone_named(timetable.zone), rule.at // SECOND)} is over", "give a time to come"
        )
    raise ScheduleRefused("the schedule never fires: it ends before its next time", "give a later end, or none")


def _intervals(rule: Every, instant: int) -> Iterator[int]:
    passed = (instant - rule.anchor) // rule.interval + 1
    while True:
        yield rule.anchor + passed * rule.interval
        passed += 1


def _fixed(cron: Cron, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Yield moments of a job at fixed times. The first moment of a time never lies before that of an earlier time, so
    the order of the wall clock is theirs."""
    told = after
    for time in cron.walls(zones.wall(zone, after)):
        moment = zones.first_moment(zone, time)
        if moment > told:
            told = moment
            yield moment


def _each_minute(cron: Cron, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Yield each moment at which the wall clock comes to a matching minute, from change to change."""
    begun, first = after, zones.wall(zone, after)
    while True:
        ahead = zones.offset(zone, begun)
        last = begun
        for time in cron.walls(first):
            moment = zones.as_if_utc(time) - ahead
            changed = zones.change_between(zone, last, moment)
            if changed is not None:
                begun = changed
                break
            last = moment
            yield moment
        # The minute that begins with the change is one of those after it.
        first = zones.wall(zone, begun) - timedelta(seconds=1)
