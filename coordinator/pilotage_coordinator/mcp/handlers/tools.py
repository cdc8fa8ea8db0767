"""`tools/list` and `tools/call`."""

import json
from functools import cache
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from pilotage_coordinator.mcp import refusal
from pilotage_coordinator.mcp.catalogue import TOOLS
from pilotage_coordinator.mcp.client import Client, Identify, place, plain
from pilotage_coordinator.mcp.schema import input_schema, output_schema
from pilotage_coordinator.mcp.tool import Report, Tool, offered
from pilotage_coordinator.service.errors import Denied, ServiceError
from pilotage_coordinator.service.verb import admit
from pilotage_coordinator.service.wire import Request

PAGE: Final = 100
"""Tools in one part of a list."""


class ToolHandlers:
    """Lists and calls tools: one table and one predicate for both."""

    def __init__(self, identify: Identify) -> None:
        """Take what tells who is behind a request."""
        self._identify = identify

    async def list(
        self, context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """List the tools that are there for the caller."""
        client = self._identify(context)
        client.note("tools")
        found = client.tools
        begin = place(params.cursor if params is not None else None)
        end = begin + PAGE
        return types.ListToolsResult(
            tools=[described(each.name) for each in found[begin:end]],
            next_cursor=str(end) if end < len(found) else None,
        )

    async def call(
        self, context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Call a tool that is there for the caller; any other is unknown."""
        client = self._identify(context)
        tool = TOOLS.get(params.name)
        client.note(tool.name if tool is not None else "unknown tool")
        if tool is None or not offered(tool, client.caller, client.view):
            await _record(client, tool)
            known = [each.name for each in client.tools]
            raise MCPError(types.INVALID_PARAMS, refusal.unknown_tool(params.name, known))
        try:
            given = tool.request.model_validate_json(json.dumps(params.arguments or {}), strict=True)
        except (ValidationError, ValueError, RecursionError) as error:
            return _refused(_misfit(tool, error))
        return await _called(client, tool, given, _report(context))


async def _called(client: Client, tool: Tool, given: Request, report: Report) -> types.CallToolResult:
    try:
        value, text = plain(await client.ask(tool.name, given, report))
    except ServiceError as error:
        return _refused(refusal.of_service(tool.name, error))
    except ValidationError as error:
        # What fits the tool may yet not fit the operation behind it, whose bounds are its own.
        return _refused(refusal.of_arguments(tool.name, tool.request, error))
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=value)


async def _record(client: Client, tool: Tool | None) -> None:
    """Leave a record where somebody called a tool that is hidden because they may not use it."""
    for operation in tool.operations if tool is not None else ():
        try:
            await admit(operation, client.services, client.caller, Request())
        except Denied:
            return


@cache
def described(name: str) -> types.Tool:
    """Return a tool as clients see it."""
    tool = TOOLS[name]
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=input_schema(tool.request),
        output_schema=output_schema(tool.answer),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.read_only,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent or tool.read_only,
            open_world_hint=tool.open_world,
        ),
    )


def _report(context: ServerRequestContext[Any, Any]) -> Report:
    async def report(progress: float, total: float | None, message: str) -> None:
        await context.session.report_progress(progress, total, message)

    return report


def _misfit(tool: Tool, error: Exception) -> str:
    if isinstance(error, ValidationError):
        return refusal.of_arguments(tool.name, tool.request, error)
    return f"{tool.name} was not called: its arguments are no JSON that can be read here"


def _refused(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)
