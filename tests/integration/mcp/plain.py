"""The face of assistants without TLS and token, on the loopback address: for official tools that can bring neither."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from pilotage_coordinator.api.assistants import HERE, Assistants
from pilotage_coordinator.api.identity import Identity
from pilotage_coordinator.mcp.face import McpFace
from pilotage_coordinator.service.caller import Face
from starlette.types import Receive, Scope, Send

from tests.unit.service.desk import Desk


class WithToken:
    """Shows a token in the name of whoever asks."""

    def __init__(self, app: Assistants, token: str) -> None:
        self._app = app
        self._header = (b"authorization", f"Bearer {token}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "headers": [*scope["headers"], self._header]}, receive, send)


@asynccontextmanager
async def served_plainly(desk: Desk, token: str) -> AsyncIterator[str]:
    """Yield the address of the face, served for whoever `token` belongs to."""
    face = McpFace(desk.services)
    await face.start()
    app = WithToken(Assistants(Identity(desk.authentication, Face.MCP), face, HERE), token)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", access_log=False))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        await serving
        await face.stop()
