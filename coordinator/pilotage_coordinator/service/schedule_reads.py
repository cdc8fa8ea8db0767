"""Operations that look at schedules and change nothing."""

import asyncio
from typing import Final

from pilotage_coordinator.domain.schedule import zone as zones
from pilotage_coordinator.domain.schedule.codec import read_timetable
from pilotage_coordinator.domain.schedule.cron import parse_cron
from pilotage_coordinator.domain.schedule.firing import State
from pilotage_coordinator.domain.schedule.timetable import Timetable
from pilotage_coordinator.domain.schedule.words import cron_in_words
from pilotage_coordinator.domain.values import HOUR
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.schedule_requests import (
    AskUpcoming,
    ExplainCron,
    ListFirings,
    ListSchedules,
    OneSchedule,
)
from pilotage_coordinator.service.schedule_view import (
    FIXED,
    WILDCARD,
    FiringAnswer,
    ScheduleAnswer,
    ScheduleExplained,
    UpcomingTimes,
    firing_answer,
    schedule_answer,
    upcoming_of,
    upcoming_time,
)
from pilotage_coordinator.service.seen import shown
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import verb
from pilotage_coordinator.service.wire import Page
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import ScheduleRecord

MOST_SCHEDULES: Final = 1_000
"""Schedules that are looked at for the next times of all."""


@verb("schedule.list")
async def list_schedules(services: Services, caller: Caller, request: ListSchedules) -> Page[ScheduleAnswer]:
    """List schedules, newest first: when they run, what they run, and how they are."""

    async def seen(row: ScheduleRecord) -> bool:
        return await services.subjects.sees_schedule(caller, "schedule.read", row)

    rows, cursor = await shown(
        lambda cursor, limit: services.store.schedules.find(cursor, limit, cancelled=request.cancelled),
        request,
        None if caller.unlimited("schedule.read") else seen,
    )
    return Page(items=[schedule_answer(each) for each in rows], next=cursor)


@verb("schedule.show")
async def show_schedule(services: Services, caller: Caller, request: OneSchedule) -> ScheduleAnswer:
    """Show one schedule, whole."""
    return schedule_answer(await services.store.schedules.get(request.schedule))


@verb("schedule.firings")
async def list_firings(services: Services, caller: Caller, request: ListFirings) -> Page[FiringAnswer]:
    """List what became of a schedule's times, newest first."""
    row = await services.store.schedules.get(request.schedule)
    found = await services.store.schedules.firings(row.id, request.cursor, request.limit)
    timetable, _ = read_timetable(row.timetable)
    return Page(items=[firing_answer(each, timetable) for each in found.rows], next=found.cursor)


@verb("schedule.upcoming")
async def show_upcoming(services: Services, caller: Caller, request: AskUpcoming) -> UpcomingTimes:
    """Show the next times of one schedule, or of all, with what changes of the clock make of them."""
    if request.schedule is not None:
        rows = [await services.store.schedules.get(request.schedule)]
    else:
        rows = [row for row in await services.store.schedules.soonest(MOST_SCHEDULES) if row.state == State.ACTIVE]
    chosen = [row for row in rows if await services.subjects.sees_schedule(caller, "schedule.read", row)]
    if request.schedule is not None and not chosen:
        raise store_errors.NotFound(f"there is no schedule {request.schedule}; see: pilotage schedule list")
    until = services.schedules.now() + request.hours * HOUR if request.hours is not None else None
    # Of more schedules than times that are asked for, only those that are due first can have one of them.
    items = await asyncio.to_thread(upcoming_of, chosen[: request.count], request.count, until)
    return UpcomingTimes(items=items)


@verb("schedule.explain")
async def explain_schedule(services: Services, caller: Caller, request: ExplainCron) -> ScheduleExplained:
    """Say in words when a cron expression fires, and show its next times."""
    cron = parse_cron(request.cron)
    timetable = Timetable(cron, request.timezone)
    zones.zone_named(request.timezone)
    now = services.schedules.now()

    def explained() -> ScheduleExplained:
        upcoming = [
            upcoming_time(timetable, each.nominal, each.nominal) for each in timetable.upcoming(now, request.count)
        ]
        clock = FIXED if cron.fixed else WILDCARD
        return ScheduleExplained(words=cron_in_words(cron), clock=clock, upcoming=upcoming)

    return await asyncio.to_thread(explained)
