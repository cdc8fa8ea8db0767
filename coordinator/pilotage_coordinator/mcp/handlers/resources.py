"""`resources/list`, `resources/templates/list` and `resources/read`."""

from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from pilotage_coordinator.mcp import refusal
from pilotage_coordinator.mcp.address import KINDS, blueprint_uri, execution_uri, host_uri, parsed
from pilotage_coordinator.mcp.client import Client, Identify, plain
from pilotage_coordinator.mcp.tools.blueprints import ListWorkflows, Workflows
from pilotage_coordinator.mcp.tools.executions import Executions, ListExecutions
from pilotage_coordinator.mcp.tools.hosts import Hosts, ListHosts
from pilotage_coordinator.mcp.untrusted import clean, cut
from pilotage_coordinator.service.errors import ServiceError

PAGE: Final = 50
JSON: Final = "application/json"
LISTS: Final = ("list_workflows", "list_workflow_executions", "list_hosts")
"""The tools whose lists, one after the other, are the list of resources."""


class ResourceHandlers:
    """Lists and reads what has an address."""

    def __init__(self, identify: Identify) -> None:
        """Take what tells who is behind a request."""
        self._identify = identify

    async def list(
        self, context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """List blueprints, then executions, newest first, then hosts, as far as the caller may."""
        client = self._identify(context)
        client.note("resources")
        lists = [each for each in LISTS if client.has(each)]
        given = params.cursor if params is not None and params.cursor is not None else ""
        number, _, cursor = given.partition(":")
        if given and not (number.isdecimal() and len(number) < 3 and int(number) < len(lists)):
            raise MCPError(types.INVALID_PARAMS, "this cursor is not one of this server: begin the list without it")
        at = int(number or 0)
        if not lists:
            return types.ListResourcesResult(resources=[])
        try:
            found, following = await _part(client, lists[at], cursor)
        except ServiceError as error:
            raise MCPError(types.INVALID_PARAMS, refusal.of_service("resources/list", error)) from error
        if following:
            return types.ListResourcesResult(resources=found, next_cursor=f"{at}:{following}")
        return types.ListResourcesResult(resources=found, next_cursor=f"{at + 1}:" if at + 1 < len(lists) else None)

    async def templates(
        self, context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """List the forms of addresses, as far as the caller may read there."""
        client = self._identify(context)
        client.note("resource templates")
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    name=name,
                    title=kind.title,
                    uri_template=kind.template,
                    description=kind.description,
                    mime_type=JSON,
                )
                for name, kind in KINDS.items()
                if client.has(kind.tool)
            ]
        )

    async def read(
        self, context: ServerRequestContext[Any, Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Read what an address is of: the answer of its tool."""
        client = self._identify(context)
        client.note("resource")
        uri = str(params.uri)
        found = parsed(uri)
        if found is None or not client.has(found[0].tool):
            known = ", ".join(kind.template for kind in KINDS.values() if client.has(kind.tool))
            text = f"nothing that this credential may read has that address; there are {known or 'none'}"
            raise MCPError(types.INVALID_PARAMS, text, {"uri": cut(clean(uri), 200)})
        kind, request = found
        try:
            _, text = plain(await client.ask(kind.tool, request))
        except ServiceError as error:
            text = refusal.of_service("resources/read", error)
            raise MCPError(types.INVALID_PARAMS, text, {"uri": cut(clean(uri), 200)}) from error
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=params.uri, mime_type=JSON, text=text)]
        )


async def _part(client: Client, tool: str, cursor: str) -> tuple[list[types.Resource], str]:
    if tool == "list_workflows":
        rows = await client.ask(tool, ListWorkflows(cursor=cursor, limit=PAGE))
        assert isinstance(rows, Workflows)
        return [
            _resource(blueprint_uri(each.workflow_name), each.workflow_name, each.title, each.description)
            for each in rows.items
        ], rows.next
    if tool == "list_hosts":
        found = await client.ask(tool, ListHosts(cursor=cursor, limit=PAGE))
        assert isinstance(found, Hosts)
        return [_resource(host_uri(each.host), each.host, each.host, each.state) for each in found.items], found.next
    runs = await client.ask(tool, ListExecutions(cursor=cursor, limit=PAGE))
    assert isinstance(runs, Executions)
    return [
        _resource(execution_uri(each.execution_id), each.execution_id, each.summary, each.created_at)
        for each in runs.items
    ], runs.next


def _resource(uri: str, name: str, title: str, description: str) -> types.Resource:
    return types.Resource(
        uri=uri,
        name=clean(name),
        title=clean(cut(title, 200)),
        description=clean(cut(description, 500)),
        mime_type=JSON,
    )
