"""The tool that lists what steps can be made of: the coordinator's own step types, and what hosts say they can run."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import Host, Words
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.mcp.untrusted import cut
from pilotage_coordinator.service import hosts
from pilotage_coordinator.service.errors import NotFound
from pilotage_coordinator.service.wire import Answer, Request
from pilotage_coordinator.steps.catalogue import coordinator_types

MOST_HOSTS: Final = 10
"""Hosts that are looked at where none is named."""
MOST_TYPES: Final = 300
LONGEST_SCHEMA: Final = 20_000


class ListStepTypes(Request):
    """Which step types to list."""

    search: Annotated[Words, Field(description="Only those whose name has this text, such as backup.")] = ""
    host: Annotated[Host, Field(description=f"What this one has; else the first {MOST_HOSTS} online.")] = ""
    schema_of: Annotated[Words, Field(description="The name of one: also show the schema of its parameters.")] = ""


class StepTypeRow(Answer):
    """A step type."""

    name: str
    effect: str
    destructive: bool
    hosts: list[str]
    """Of those that were looked at, the ones that have it; none for the coordinator's own."""
    not_now: list[str]
    """Those of them that could not run it when they last looked."""


class StepTypes(Answer):
    """Step types by name. `hosts_seen` are the hosts that were looked at."""

    items: list[StepTypeRow]
    omitted: int
    hosts_seen: list[str]
    parameters_schema: str
    """JSON Schema, as a host says it: untrusted output; empty unless one was asked for."""


@tool("list_step_types", "List step types", Toolset.AUTHOR, "host.list", "host.show")
async def list_step_types(call: Call, request: ListStepTypes) -> StepTypes:
    """List what steps of a blueprint can be: names, effects, which hosts have them; and the parameters of one."""
    found = {
        info.name: StepTypeRow(name=info.name, effect=info.effect.value, destructive=False, hosts=[], not_now=[])
        for info in coordinator_types().values()
    }
    schemas: dict[str, tuple[str, Any]] = {
        info.name: ("", dict(info.params_schema)) for info in coordinator_types().values()
    }
    seen = [request.host] if request.host else await _online(call)
    for name in seen:
        shown = await call.ask(hosts.show_host, hosts.NamedHost(host=name))
        for announced in shown.step_types:
            _add(found, schemas, name, announced)
    if request.schema_of and request.schema_of not in schemas:
        raise NotFound(
            f"no step type {request.schema_of} is known to the coordinator or to {', '.join(seen) or 'any host'}",
            fix="list_step_types(search=...) finds those that there are",
        )
    rows = [row for name, row in sorted(found.items()) if request.search.casefold() in name.casefold()]
    where, schema = schemas.get(request.schema_of, ("", None))
    return StepTypes(
        items=rows[:MOST_TYPES],
        omitted=max(0, len(rows) - MOST_TYPES),
        hosts_seen=seen,
        parameters_schema=call.fence(where, schema, LONGEST_SCHEMA, "docs/parameters.md has all of it"),
    )


async def _online(call: Call) -> list[str]:
    page = await call.ask(hosts.list_hosts, hosts.ListHosts(limit=200))
    return [each.name for each in page.items if each.state == "online"][:MOST_HOSTS]


def _add(
    found: dict[str, StepTypeRow], schemas: dict[str, tuple[str, Any]], host: str, announced: Mapping[str, Any]
) -> None:
    """Add what one host says of a step type; one that two hosts say differently stays as the first said it."""
    name = cut(str(announced.get("name", "")), 200)
    if not name:
        return
    row = found.setdefault(
        name,
        StepTypeRow(
            name=name,
            effect=str(announced.get("effect", "once")),
            destructive=bool(announced.get("destructive", False)),
            hosts=[],
            not_now=[],
        ),
    )
    row.hosts.append(host)
    if not announced.get("available", True):
        row.not_now.append(host)
    schemas.setdefault(name, (host, announced.get("params_schema", {})))
