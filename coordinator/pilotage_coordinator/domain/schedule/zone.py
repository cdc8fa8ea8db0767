"""Time zones: which moment a time of the wall clock is, and when the clock is changed. Moments are UTC seconds."""

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from pilotage_coordinator.domain.schedule.errors import ScheduleRefused

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
"""On a wall clock without a zone."""
STRIDE: Final = 12 * 3600
"""Seconds: no zone has changed its clock twice within so short a time."""
NOT_PORTABLE: Final = ("localtime", "posixrules", "Factory")
"""Names that mean another zone on another machine, or none."""


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo:
    """Return an IANA zone; raises ScheduleRefused for an unknown one."""
    known = _known()
    if name not in known:
        near = get_close_matches(name, known, 1) or [
            each for each in sorted(known) if each.rpartition("/")[2].lower() == name.lower().replace(" ", "_")
        ]
        raise ScheduleRefused(
            f"there is no time zone {name[:60]!r}",
            f"did you mean {near[0]}?" if near else "write an IANA name such as Europe/Berlin, or UTC",
        )
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones() - set(NOT_PORTABLE))


def offset(zone: ZoneInfo, moment: int) -> int:
    """Return by how many seconds the wall clock is ahead of UTC."""
    ahead = datetime.fromtimestamp(moment, zone).utcoffset()
    assert ahead is not None
    return round(ahead.total_seconds())


def wall(zone: ZoneInfo, moment: int) -> datetime:
    """Return what the wall clock shows, without a zone."""
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0)


def as_if_utc(time: datetime) -> int:
    """Return the seconds from 1970 to a time of a wall clock that is never changed."""
    return (time - EPOCH) // timedelta(seconds=1)


def moments(zone: ZoneInfo, time: datetime) -> tuple[int, ...]:
    """Return when the wall clock shows a time: once, never (it is left out), or twice (it is repeated)."""
    seconds = as_if_utc(time)
    ahead = {round(_ahead(zone, time, fold)) for fold in (0, 1)}
    found = {seconds - each for each in ahead}
    return tuple(sorted(moment for moment in found if wall(zone, moment) == time))


def first_moment(zone: ZoneInfo, time: datetime) -> int:
    """Return the first moment at which the wall clock shows a time; of one that is left out, the end of the gap."""
    if found := moments(zone, time):
        return found[0]
    before, after = (as_if_utc(time) - round(_ahead(zone, time, fold)) for fold in (1, 0))
    changed = change_between(zone, before, after)
    assert changed is not None, f"{time} does not exist in {zone.key}, and yet the clock is not changed around it"
    return changed


def change_between(zone: ZoneInfo, after: int, until: int) -> int | None:
    """Return the first moment later than `after`, and not later than `until`, at which another offset begins."""
    low = after
    while low < until:
        high = min(low + STRIDE, until)
        old = offset(zone, low)
        if offset(zone, high) != old:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == old else (low, middle)
            return high
        low = high
    return None


def read_time(zone: ZoneInfo, text: str) -> int:
    """Read a time as people write it: RFC 3339, or a time of the zone's wall clock. Raises ScheduleRefused.

    One that a change of the clock leaves out, or repeats, is refused unless it says its offset.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ScheduleRefused(
            f"{text[:60]!r} is no time", "write it as 2030-01-31T02:30, or with an offset: 2030-01-31T02:30:00+01:00"
        ) from error
    time = time.replace(microsecond=0)
    if time.tzinfo is not None:
        try:
            return as_if_utc(time.astimezone(UTC).replace(tzinfo=None))
        except OverflowError as error:
            raise ScheduleRefused(f"{text[:60]!r} is no time that a schedule can have") from error
    found = moments(zone, time)
    if len(found) == 1:
        return found[0]
    if found:
        both = " or ".join(shown(zone, each) for each in found)
        raise ScheduleRefused(f"{text} comes twice in {zone.key}: the clock is set back then", f"write {both}")
    after = shown(zone, first_moment(zone, time))
    raise ScheduleRefused(
        f"{text} does not exist in {zone.key}: the clock is set forward then", f"the first time after it is {after}"
    )


def shown(zone: ZoneInfo, moment: int) -> str:
    """Write a moment in a zone, with its offset."""
    return datetime.fromtimestamp(moment, zone).isoformat()


def _ahead(zone: ZoneInfo, time: datetime, fold: int) -> float:
    ahead = time.replace(tzinfo=zone, fold=fold).utcoffset()
    assert ahead is not None
    return ahead.total_seconds()
