"""Tools that look at the coordinator itself: its log of who did what, and its health."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import Paged, Words
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.service import audit, doctor
from pilotage_coordinator.service.wire import Answer, Request


class SearchEvents(Paged):
    """Which entries to find; empty fields match all."""

    principal: Annotated[Words, Field(description="Who did it.")] = ""
    operation: Annotated[Words, Field(description="run.start, or run for all that begin with run.")] = ""
    about: Annotated[Words, Field(description="An id or a name that it was done to.")] = ""
    outcome: Annotated[str, Field(pattern="^(|allowed|denied|refused)$", description="allowed, denied, refused.")] = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class EventRow(Answer):
    """One entry of the audit log; its detail may hold output of hosts."""

    sequence: int
    at: str
    principal: str
    operation: str
    subject: str
    outcome: str
    detail: str


class Events(Answer):
    """Entries, newest first; `next` is empty at the end."""

    items: list[EventRow]
    next: str


class Examine(Request):
    """Asks for every check."""


class FindingRow(Answer):
    """What one check found, and what to do."""

    check: str
    verdict: str
    detail: str
    fix: str


class Examined(Answer):
    """All findings; `healthy` is false when one of them is a failure."""

    healthy: bool
    items: list[FindingRow]


@tool("search_events", "Search the audit log", Toolset.READ, "audit.search")
async def search_events(call: Call, request: SearchEvents) -> Events:
    """Find who did what and when, newest first: every write, and every request that was denied."""
    page = await call.ask(
        audit.search_audit,
        audit.SearchAudit(
            cursor=request.cursor,
            limit=request.limit,
            principal=request.principal,
            operation=request.operation,
            about=request.about,
            outcome=request.outcome,
            since=request.since,
            until=request.until,
        ),
    )
    rows = [
        EventRow(
            sequence=each.sequence,
            at=each.at,
            principal=each.principal,
            operation=each.operation,
            subject=each.subject,
            outcome=each.outcome,
            detail=call.fence("", each.detail, 1000),
        )
        for each in page.items
    ]
    return Events(items=rows, next=page.next)


@tool("examine_coordinator", "Check the coordinator", Toolset.ADMIN, "doctor")
async def examine_coordinator(call: Call, request: Examine) -> Examined:
    """Check the coordinator: database, disk, keys, certificates, hosts; each finding with what to do."""
    found = await call.ask(doctor.examine, doctor.Examine())
    rows = [
        FindingRow(check=each.check, verdict=each.verdict, detail=call.fence("", each.detail, 1000), fix=each.fix)
        for each in found.items
    ]
    return Examined(healthy=found.healthy, items=rows)
