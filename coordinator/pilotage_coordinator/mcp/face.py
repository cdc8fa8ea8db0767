"""The face as an application: streamable HTTP without sessions, for callers whom the API's door has proved."""

import asyncio
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl

from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from pilotage_coordinator.mcp.client import Client
from pilotage_coordinator.mcp.server import make_server
from pilotage_coordinator.mcp.toolset import ViewRefused, view_of
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.services import Services

CALLER = "caller"
AGAIN = "again"
OPERATION = "operation"
VIEW = "view"


class McpFace:
    """Serves the protocol from `start` to `stop`. The scope's state holds the caller, and how to find it anew.

    Stateless: each request stands for itself, whichever version of the protocol it speaks, so that a coordinator that
    was restarted has forgotten nobody.
    """

    def __init__(self, services: Services) -> None:
        """Take what stands behind every face."""
        self._services = services
        server = make_server(self._client, version("pilotage"))
        self._manager = StreamableHTTPSessionManager(server, stateless=True)
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve."""
        started = asyncio.Event()
        self._running = asyncio.create_task(self._run(started), name="mcp")
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({self._running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._running.done():
            self._running.result()

    async def stop(self) -> None:
        """End what is being served."""
        self._stopping.set()
        if self._running is not None:
            await self._running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            view = view_of(_query(scope))
        except ViewRefused as error:
            await JSONResponse({"detail": str(error)}, 400)(scope, receive, send)
            return
        if self._stopping.is_set():
            await JSONResponse({"detail": "the coordinator is stopping; try again soon"}, 503)(scope, receive, send)
            return
        scope["state"][VIEW] = view
        await self._manager.handle_request(scope, receive, send)

    def _client(self, context: ServerRequestContext[Any, Any]) -> Client:
        """Return who is behind a request: what the door left in its scope, not what it says itself."""
        assert context.request is not None, "served without a door"
        state = context.request.scope["state"]
        caller = state[CALLER]
        assert isinstance(caller, Caller)

        def note(what: str) -> None:
            state[OPERATION] = f"mcp {what}"

        return Client(self._services, caller, state[VIEW], state[AGAIN], note)

    async def _run(self, started: asyncio.Event) -> None:
        async with self._manager.run():
            started.set()
            await self._stopping.wait()


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
