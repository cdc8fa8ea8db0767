"""Times, spans and zones as people write them, read for a schedule."""

from pilotage_coordinator.domain.errors import ValueRefused
from pilotage_coordinator.domain.schedule import zone as zones
from pilotage_coordinator.domain.schedule.cron import parse_cron
from pilotage_coordinator.domain.schedule.errors import ScheduleRefused
from pilotage_coordinator.domain.schedule.timetable import Every, Once, Rule, Timetable
from pilotage_coordinator.domain.values import DAY, SECOND, parse_duration
from pilotage_coordinator.service.errors import Invalid
from pilotage_coordinator.service.schedule_requests import CreateSchedule, UpdateSchedule


def new_timetable(request: CreateSchedule, now: int) -> Timetable:
    """Return when a new schedule is due; raises ScheduleRefused, Invalid."""
    zone = zones.zone_named(request.timezone)
    start, end = (zones.read_time(zone, text) * SECOND if text else None for text in (request.start, request.end))
    rule = _rule(request.cron, request.every, request.at, request.timezone, start or now)
    assert rule is not None
    return Timetable(rule, request.timezone, start, end)


def updated_timetable(read: tuple[Timetable, str], request: UpdateSchedule, now: int) -> Timetable:
    """Return when a schedule is due from now on; raises ScheduleRefused, Invalid."""
    before, fault = read
    if fault and (request.cron, request.every, request.at).count(None) == 3:
        raise ScheduleRefused(fault, "say anew when it is due, and in which zone")
    name = request.timezone or before.zone
    zone = zones.zone_named(name)

    def moment(text: str | None, kept: int | None) -> int | None:
        return kept if text is None else zones.read_time(zone, text) * SECOND if text else None

    start, end = moment(request.start, before.start), moment(request.end, before.end)
    rule = _rule(request.cron, request.every, request.at, name, start or now)
    if isinstance(rule, Every) and isinstance(before.rule, Every) and rule.interval == before.rule.interval:
        rule = before.rule if request.start is None else rule
    return Timetable(rule or before.rule, name, start, end)


def _rule(cron: str | None, every: str | None, at: str | None, zone: str, anchor: int) -> Rule | None:
    if cron is not None:
        return parse_cron(cron)
    if every is not None:
        return Every(_duration(every, "interval"), anchor // SECOND * SECOND)
    return Once(zones.read_time(zones.zone_named(zone), at) * SECOND) if at is not None else None


def catchup_of(text: str) -> int:
    """Read how late a time may run; raises Invalid."""
    value = _duration(text, "catch-up window")
    if not SECOND <= value <= 365 * DAY:
        raise Invalid("a catch-up window is from 1s to 365d", fix="10m is what most schedules have")
    return value


def jitter_of(text: str) -> int:
    """Read by how much times may be spread; raises Invalid."""
    value = _duration(text, "jitter")
    if value > DAY:
        raise Invalid("a jitter is at most 24h", fix="choose other times for schedules that are further apart")
    return value


def _duration(text: str, what: str) -> int:
    try:
        return parse_duration(text)
    except ValueRefused as error:
        raise Invalid(f"the {what}: {error}") from error
