"""Who is behind one request, and the one way from there to what the coordinator can do."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from pydantic import BaseModel

from pilotage_coordinator.mcp.catalogue import TOOLS
from pilotage_coordinator.mcp.tool import Call, Report, Tool, offered
from pilotage_coordinator.mcp.toolset import View
from pilotage_coordinator.mcp.untrusted import Fence, cleaned
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Invalid
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.wire import Request

LARGEST_ANSWER: Final = 80_000
"""Characters of one answer's JSON: what models' clients still take in."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who is behind one request, and what it asked to be shown."""

    services: Services
    caller: Caller
    view: View
    again: Callable[[], Awaitable[Caller]]
    """Finds the caller anew; raises ServiceError once the token is over."""
    note: Callable[[str], None]
    """Says in the access log what was asked for."""

    def has(self, tool: str) -> bool:
        """Return whether a tool is there for it."""
        return offered(TOOLS[tool], self.caller, self.view)

    @property
    def tools(self) -> list[Tool]:
        """Return the tools that are there for it."""
        return [each for each in TOOLS.values() if offered(each, self.caller, self.view)]

    def call(self, tool: Tool, report: Report | None = None) -> Call:
        """Return a call of a tool that is there for it."""
        return Call(
            self.services,
            self.caller,
            self.again,
            report or _silent,
            frozenset((*tool.operations, *tool.also)),
            Fence(self.services.random_bytes),
        )

    async def ask(self, tool: str, request: Request, report: Report | None = None) -> BaseModel:
        """Return a tool's answer; raises ServiceError."""
        found = TOOLS[tool]
        return await found.function(self.call(found, report), request)


Identify = Callable[[ServerRequestContext[Any, Any]], Client]
"""Returns who is behind a request."""


def plain(answer: BaseModel) -> tuple[Any, str]:
    """Return an answer as JSON, as a value and as a text, cleaned; raises Invalid for one that is too large."""
    value = cleaned(answer.model_dump(mode="json"))
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(text) > LARGEST_ANSWER:
        raise Invalid(
            f"the answer has {len(text)} characters, more than the {LARGEST_ANSWER} that are sent",
            fix="ask for less: a smaller limit, one step, one host",
        )
    return value, text


def place(cursor: str | None) -> int:
    """Return where a part of a list begins; raises MCPError for what is no cursor of this server."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
        raise MCPError(INVALID_PARAMS, "this cursor is not one of this server: begin the list again without it")
    return int(cursor)


async def _silent(progress: float, total: float | None, message: str) -> None:
    return
