"""Whether a moment lies within hours of the week, on the wall clock of a zone."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from pilotage_coordinator.domain.policy.rule import Hours, Window
from pilotage_coordinator.domain.values import SECOND

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return a time zone; raises KeyError, ValueError or OSError for one that is not known."""
    return ZoneInfo(name)


def written(at: int) -> str:
    """Return a moment (UTC microseconds) as people and rules write it: 2027-03-01T08:00:00Z."""
    return datetime.fromtimestamp(at // SECOND, UTC).isoformat().replace("+00:00", "Z")


def within(hours: Iterable[Hours], at: int) -> bool:
    """Return whether a moment (UTC microseconds) lies in any of these hours.

    The wall clock decides: an hour that a change of the clock repeats counts twice, one that it leaves out never.
    """
    return any(_contains(each, at) for each in hours)


def is_open(windows: Iterable[Window], at: int) -> bool:
    """Return whether any of these windows is open."""
    return any(within(each.hours, at) for each in windows)


def _contains(hours: Hours, at: int) -> bool:
    local = datetime.fromtimestamp(at // SECOND, zone(hours.zone))
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if hours.start < hours.end:
        return day in hours.days and hours.start <= minute < hours.end
    if minute >= hours.start:
        return day in hours.days
    return minute < hours.end and (day - 1) % 7 in hours.days
