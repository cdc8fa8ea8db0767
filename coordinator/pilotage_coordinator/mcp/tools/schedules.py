"""Tools about schedules: blueprints that run at certain times, with their owners' rights."""

import re
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import Paged, Reason, Targets, Workflow
from pilotage_coordinator.mcp.tools.plans import Parameters
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.mcp.untrusted import Fence
from pilotage_coordinator.service import schedule_reads, schedules
from pilotage_coordinator.service.schedule_requests import (
    AskUpcoming,
    CreateSchedule,
    ListFirings,
    ListSchedules,
    ScheduleName,
    SteerSchedule,
    Zone,
)
from pilotage_coordinator.service.schedule_view import ScheduleAnswer
from pilotage_coordinator.service.wire import Answer, Request

MOST_PAGES: Final = 20
ScheduleId = Annotated[
    str, StringConstraints(min_length=1, max_length=253), Field(description="A schedule's id (sch_…), or its name.")
]


class Times(Request):
    """When it runs, and with what."""

    cron_expression: Annotated[
        str, StringConstraints(min_length=1, max_length=500), Field(description="Five fields: 30 2 * * mon-fri.")
    ]
    timezone: Annotated[Zone, Field(description="A zone such as Europe/Vienna.")] = "UTC"
    parameters: Parameters = Field(default_factory=dict)


class ScheduleWorkflow(Request):
    """What to run, and when."""

    workflow_name: Workflow
    schedule: Times
    name: Annotated[
        ScheduleName | None, Field(description="The schedule's own name; else made of the blueprint's.")
    ] = None
    targets: Targets = ""
    reason: Reason = ""


class CancelScheduled(Request):
    """Which schedule to end."""

    schedule_id: ScheduleId
    reason: Reason = ""


class ListScheduled(Paged):
    """Which schedules to list."""

    workflow_name: Annotated[Workflow | None, Field(description="Only those of this blueprint.")] = None
    cancelled: Annotated[bool, Field(description="Also those that were cancelled.")] = False


class Upcoming(Request):
    """How far to look ahead."""

    hours_ahead: Annotated[int, Field(ge=1, le=24 * 366)] = 24
    limit: Annotated[int, Field(ge=1, le=200, description="At most so many.")] = 50


class ScheduleHistory(Paged):
    """Of which schedule."""

    schedule_id: ScheduleId


class ScheduleRow(Answer):
    """A schedule."""

    schedule_id: str
    name: str
    state: str
    note: str
    owner: str
    """With whose rights it runs."""
    workflow_name: str
    targets: str
    when: str
    cron_expression: str
    timezone: str
    next_run: str
    runs: int
    warning: str


class Schedules(Answer):
    """Schedules, newest first; `next` is empty at the end."""

    items: list[ScheduleRow]
    next: str


class UpcomingRow(Answer):
    """A time to come."""

    schedule_id: str
    name: str
    workflow_name: str
    runs_at: str
    local: str
    timezone: str
    note: str


class UpcomingRows(Answer):
    """Times to come, soonest first."""

    items: list[UpcomingRow]


class FiringRow(Answer):
    """A time that has come, and what became of it."""

    nominal: str
    outcome: str
    reason: str
    execution_id: str
    execution_state: str


class Firings(Answer):
    """Times that have come, newest first; `next` is empty at the end."""

    items: list[FiringRow]
    next: str


@tool("list_scheduled_workflows", "List schedules", Toolset.SCHEDULE, "schedule.list")
async def list_scheduled_workflows(call: Call, request: ListScheduled) -> Schedules:
    """List schedules: what runs when, with whose rights, and when next."""
    cursor, found = request.cursor, list[ScheduleAnswer]()
    wanted = (request.workflow_name or "").partition("@")[0]
    for _ in range(MOST_PAGES):
        page = await call.ask(
            schedule_reads.list_schedules,
            ListSchedules(cursor=cursor, limit=request.limit - len(found), cancelled=request.cancelled),
        )
        found += [each for each in page.items if wanted in ("", each.blueprint.partition("@")[0])]
        cursor = page.next
        if not cursor or len(found) >= request.limit:
            break
    return Schedules(items=[_row(call.fence, each) for each in found], next=cursor)


@tool("get_upcoming_executions", "See what comes next", Toolset.SCHEDULE, "schedule.upcoming")
async def get_upcoming_executions(call: Call, request: Upcoming) -> UpcomingRows:
    """Show what schedules will start in the next hours, soonest first."""
    found = await call.ask(schedule_reads.show_upcoming, AskUpcoming(count=request.limit, hours=request.hours_ahead))
    return UpcomingRows(
        items=[
            UpcomingRow(
                schedule_id=each.schedule,
                name=each.name,
                workflow_name=each.blueprint,
                runs_at=each.runs_at,
                local=each.local,
                timezone=each.timezone,
                note=each.note,
            )
            for each in found.items
        ]
    )


@tool("get_schedule_history", "See what became of a schedule", Toolset.SCHEDULE, "schedule.firings")
async def get_schedule_history(call: Call, request: ScheduleHistory) -> Firings:
    """Show what became of a schedule's times, newest first: what ran, what was skipped or missed, and why."""
    asked = ListFirings(schedule=request.schedule_id, cursor=request.cursor, limit=request.limit)
    page = await call.ask(schedule_reads.list_firings, asked)
    rows = [
        FiringRow(
            nominal=each.nominal,
            outcome=each.outcome,
            reason=call.fence("", each.reason, 1000),
            execution_id=each.execution,
            execution_state=each.execution_state,
        )
        for each in page.items
    ]
    return Firings(items=rows, next=page.next)


@tool(
    "schedule_workflow", "Schedule a blueprint", Toolset.SCHEDULE, "schedule.create", destructive=True, open_world=True
)
async def schedule_workflow(call: Call, request: ScheduleWorkflow) -> ScheduleRow:
    """Let a stored blueprint run at certain times, with your rights. It is planned anew each time."""
    made = await call.ask(
        schedules.create_schedule,
        CreateSchedule(
            name=request.name or _name(request.workflow_name),
            blueprint=request.workflow_name,
            cron=request.schedule.cron_expression,
            timezone=request.schedule.timezone,
            parameters=request.schedule.parameters,
            limit_to=request.targets,
            reason=request.reason,
        ),
    )
    return _row(call.fence, made)


@tool(
    "cancel_scheduled_workflow",
    "End a schedule",
    Toolset.SCHEDULE,
    "schedule.cancel",
    destructive=True,
    idempotent=True,
)
async def cancel_scheduled_workflow(call: Call, request: CancelScheduled) -> ScheduleRow:
    """End a schedule for good; what runs goes on, and its history stays."""
    asked = SteerSchedule(schedule=request.schedule_id, reason=request.reason)
    return _row(call.fence, await call.ask(schedules.cancel_schedule, asked))


def _name(workflow: str) -> str:
    return re.sub(r"[^a-z0-9_.-]", "-", workflow.partition("@")[0].lower())[:100].lstrip("_.-") or "schedule"


def _row(fence: Fence, row: ScheduleAnswer) -> ScheduleRow:
    return ScheduleRow(
        schedule_id=row.id,
        name=row.name,
        state=row.state,
        note=fence("", row.note, 1000),
        owner=row.owner,
        workflow_name=row.blueprint,
        targets=row.limit_to,
        when=row.words,
        cron_expression=row.cron,
        timezone=row.timezone,
        next_run=row.next_run,
        runs=row.runs,
        warning=fence("", row.warning, 2000),
    )
