"""A timetable as it is stored, and what spreads schedules of one time."""

import hashlib
from collections.abc import Mapping
from typing import Any

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.schedule.cron import Cron, parse_cron
from pilotage_coordinator.domain.schedule.errors import ScheduleRefused
from pilotage_coordinator.domain.schedule.timetable import Every, Once, Rule, Timetable
from pilotage_coordinator.domain.schedule.zone import zone_named
from pilotage_coordinator.domain.values import SECOND


def to_json(timetable: Timetable) -> dict[str, Json]:
    """Return a timetable as JSON."""
    rule = timetable.rule
    found: dict[str, Json] = {"zone": timetable.zone, "start": timetable.start, "end": timetable.end}
    if isinstance(rule, Cron):
        return {**found, "cron": rule.text}
    if isinstance(rule, Every):
        return {**found, "every": rule.interval, "anchor": rule.anchor}
    return {**found, "at": rule.at}


def timetable_of(value: Mapping[str, Any]) -> Timetable:
    """Return what `to_json` wrote."""
    return Timetable(_rule(value), value["zone"], value["start"], value["end"])


def read_timetable(value: Mapping[str, Any]) -> tuple[Timetable, str]:
    """Return what `to_json` wrote and an empty text, or one without times and why it cannot be read (any more).

    A zone may be gone from the machine, or a newer version refuse an expression.
    """
    try:
        found = timetable_of(value)
        zone_named(found.zone)
    except ScheduleRefused as error:
        return Timetable(Once(0)), f"it cannot be read any more: {error}"
    return found, ""


def delay(schedule: str, jitter: int) -> int:
    """Return by how much a schedule is always late (whole seconds, in microseconds), from 0 to its jitter.

    It depends on the schedule's id alone, so that no restart changes it.
    """
    drawn = int.from_bytes(hashlib.sha256(schedule.encode()).digest()[:8])
    return drawn % (jitter // SECOND + 1) * SECOND


def _rule(value: Mapping[str, Any]) -> Rule:
    if "cron" in value:
        return parse_cron(value["cron"])
    if "every" in value:
        return Every(value["every"], value["anchor"])
    return Once(value["at"])
