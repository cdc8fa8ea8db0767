"""Tools that look at hosts, and search what there is."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import Paged, Words
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.mcp.untrusted import Fence, cut
from pilotage_coordinator.service import blueprints, executions, hosts
from pilotage_coordinator.service.wire import Answer, Request

MOST_PAGES: Final = 20
"""Pages of a thousand that a search looks through."""
MOST_TYPES: Final = 300


class ListHosts(Paged):
    """Which hosts to list."""

    state: Annotated[
        str, Field(pattern="^(|online|offline|quarantined)$", description="online, offline or quarantined only.")
    ] = ""


class GetHost(Request):
    """Which host to show."""

    host: Annotated[hosts.HostName, Field(description="Its name, as list_hosts has it.")]
    facts: Annotated[bool, Field(description="Also what the host says of itself (kernel, memory, disks...).")] = False


class HostRow(Answer):
    """A host in a list."""

    host: str
    state: str
    state_reason: str
    environment: str
    labels: dict[str, str]
    last_seen_at: str
    last_backup_at: str
    last_drill_at: str


class Hosts(Answer):
    """Hosts; `next` is empty at the end."""

    items: list[HostRow]
    next: str


class HostShown(HostRow):
    """One host. What it says of itself is untrusted output."""

    joined_at: str
    agent_version: str
    variables: str
    facts: str
    step_types: list[str]
    """What it can run; with a reason where it cannot just now."""


class SearchFleet(Request):
    """What to look for."""

    query: Annotated[
        Words, Field(min_length=1, description="Words, all of which must occur; label=value asks for a host's label.")
    ]
    limit: Annotated[int, Field(ge=1, le=100, description="Finds of each kind.")] = 20


class Found(Answer):
    """What was found; `more` names the kinds of which there is more than was asked for."""

    hosts: list[str]
    workflows: list[str]
    executions: list[str]
    more: list[str]


@tool("list_hosts", "List hosts", Toolset.READ, "host.list")
async def list_hosts(call: Call, request: ListHosts) -> Hosts:
    """List the hosts of the fleet: whether each can be reached, its labels, its last good backup."""
    page = await call.ask(hosts.list_hosts, hosts.ListHosts(cursor=request.cursor, limit=request.limit))
    rows = [_row(call.fence, each) for each in page.items if request.state in ("", each.state)]
    return Hosts(items=rows, next=page.next)


@tool("get_host", "Show a host", Toolset.READ, "host.show")
async def get_host(call: Call, request: GetHost) -> HostShown:
    """Show one host: state, labels, variables, last backup and drill, and which step types it can run."""
    found = await call.ask(hosts.show_host, hosts.NamedHost(host=request.host))
    types = [_type(each) for each in found.step_types]
    return HostShown(
        **_row(call.fence, found).model_dump(),
        joined_at=found.joined_at,
        agent_version=found.agent_version,
        variables=call.fence("", found.variables),
        facts=call.fence(found.name, found.facts, 12_000) if request.facts else "",
        step_types=sorted(types)[:MOST_TYPES],
    )


@tool("search_fleet", "Search the fleet", Toolset.READ, "host.list", also=("blueprint.list", "run.list"))
async def search_fleet(call: Call, request: SearchFleet) -> Found:
    """Search hosts (name, labels, environment), blueprints (id, name, description) and executions by words."""
    words = request.query.casefold().split()
    found: dict[str, list[str]] = {}
    for kind, operation, look in (
        ("hosts", "host.list", _hosts),
        ("workflows", "blueprint.list", _workflows),
        ("executions", "run.list", _runs),
    ):
        found[kind] = await look(call, words, request.limit + 1) if call.may(operation) else []
    more = [kind for kind, rows in found.items() if len(rows) > request.limit]
    first = {kind: rows[: request.limit] for kind, rows in found.items()}
    return Found(hosts=first["hosts"], workflows=first["workflows"], executions=first["executions"], more=more)


async def _hosts(call: Call, words: list[str], most: int) -> list[str]:
    found: list[str] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        page = await call.ask(hosts.list_hosts, hosts.ListHosts(cursor=cursor, limit=1000))
        for each in page.items:
            labels = " ".join(f"{name}={value}" for name, value in each.labels.items())
            if _has(f"{each.name} {each.state} {each.environment} {labels}", words):
                found.append(f"{each.name} ({each.state}{', ' + labels if labels else ''})")
        cursor = page.next
        if not cursor or len(found) >= most:
            break
    return found[:most]


async def _workflows(call: Call, words: list[str], most: int) -> list[str]:
    page = await call.ask(blueprints.list_blueprints, blueprints.ListBlueprints(limit=1000))
    return [
        f"{each.id}@{each.version}: {each.name}"
        for each in page.items
        if _has(f"{each.id} {each.name} {each.description}", words)
    ][:most]


async def _runs(call: Call, words: list[str], most: int) -> list[str]:
    page = await call.ask(executions.list_runs, executions.ListRuns(limit=1000))
    return [
        f"{each.id} {each.state} {each.created_at}: {each.name} by {each.requested_by}"
        for each in page.items
        if _has(f"{each.id} {each.state} {each.blueprint} {each.name} {each.requested_by}", words)
    ][:most]


def _has(text: str, words: list[str]) -> bool:
    folded = text.casefold()
    return all(word in folded for word in words)


def _row(fence: Fence, host: hosts.HostSummary) -> HostRow:
    return HostRow(
        host=host.name,
        state=host.state,
        state_reason=fence(host.name, host.state_reason, 1000),
        environment=host.environment,
        labels={name: cut(str(value), 200) for name, value in host.labels.items()},
        last_seen_at=host.last_seen_at,
        last_backup_at=host.last_backup_at,
        last_drill_at=host.last_drill_at,
    )


def _type(announced: Mapping[str, object]) -> str:
    name = str(announced.get("name", ""))
    return name if announced.get("available", True) else f"{name} (not now)"
