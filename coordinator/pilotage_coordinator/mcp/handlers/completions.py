"""`completion/complete`: names of blueprints, executions and hosts, as far as the caller may see them."""

from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext

from pilotage_coordinator.mcp.address import KINDS
from pilotage_coordinator.mcp.client import Client, Identify
from pilotage_coordinator.mcp.handlers.prompts import PROMPTS, there
from pilotage_coordinator.mcp.tool import LARGEST_PAGE
from pilotage_coordinator.mcp.tools.blueprints import ListWorkflows, Workflows
from pilotage_coordinator.mcp.tools.executions import Executions, ListExecutions
from pilotage_coordinator.mcp.tools.hosts import Hosts, ListHosts
from pilotage_coordinator.service.errors import ServiceError

MOST: Final = 100
"""Values of one answer, as the protocol has it."""
MOST_PAGES: Final = 10
NAMES: Final = {"workflow_name": "blueprint", "execution_id": "execution", "host": "host"}
LISTS: Final = {"blueprint": "list_workflows", "execution": "list_workflow_executions", "host": "list_hosts"}


class CompletionHandlers:
    """Completes names."""

    def __init__(self, identify: Identify) -> None:
        """Take what tells who is behind a request."""
        self._identify = identify

    async def complete(
        self, context: ServerRequestContext[Any, Any], params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        """Return the names that begin with what was typed; none where nothing is known or may be seen."""
        client = self._identify(context)
        client.note("completion")
        kind = _kind(client, params)
        tool = LISTS.get(kind, "")
        if not tool or not client.has(tool):
            return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))
        try:
            found, more = await _names(client, kind, tool, params.argument.value)
        except ServiceError:
            found, more = [], False
        return types.CompleteResult(
            completion=types.Completion(values=found[:MOST], has_more=more or len(found) > MOST)
        )


def _kind(client: Client, params: types.CompleteRequestParams) -> str:
    """Return of what a name is asked for; empty where none of it can be completed."""
    if isinstance(params.ref, types.PromptReference):
        prompt = PROMPTS.get(params.ref.name)
        argument = prompt.arguments.get(params.argument.name) if prompt is not None and there(client, prompt) else None
        return argument.completes if argument is not None else ""
    template = any(kind.template == str(params.ref.uri) and client.has(kind.tool) for kind in KINDS.values())
    return NAMES.get(params.argument.name, "") if template else ""


async def _names(client: Client, kind: str, tool: str, typed: str) -> tuple[list[str], bool]:
    found: list[str] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        names, cursor = await _page(client, kind, tool, cursor)
        found += [each for each in names if each.startswith(typed)]
        if not cursor or len(found) > MOST:
            break
    return found, bool(cursor)


async def _page(client: Client, kind: str, tool: str, cursor: str) -> tuple[list[str], str]:
    if kind == "blueprint":
        rows = await client.ask(tool, ListWorkflows(cursor=cursor, limit=LARGEST_PAGE))
        assert isinstance(rows, Workflows)
        return [each.workflow_name for each in rows.items], rows.next
    if kind == "host":
        hosts = await client.ask(tool, ListHosts(cursor=cursor, limit=LARGEST_PAGE))
        assert isinstance(hosts, Hosts)
        return [each.host for each in hosts.items], hosts.next
    runs = await client.ask(tool, ListExecutions(cursor=cursor, limit=LARGEST_PAGE))
    assert isinstance(runs, Executions)
    return [each.execution_id for each in runs.items], runs.next
