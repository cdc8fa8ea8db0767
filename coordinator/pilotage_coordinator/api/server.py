"""The HTTP server: uvicorn on a unix socket, started and stopped by its owner, without signal handlers of its own."""

import asyncio
import getpass
import os
import socket
from pathlib import Path

import uvicorn
from starlette.requests import Request

from pilotage_coordinator.api.application import application
from pilotage_coordinator.api.socket_file import listen, remove
from pilotage_coordinator.service.caller import Caller, socket_owner
from pilotage_coordinator.service.services import Services

GRACE = 3
"""Seconds that requests have to end by themselves at a stop; streams are told at once."""


class ApiServer:
    """Serves the API on a unix socket from `start` to `stop`."""

    def __init__(self, services: Services, path: Path) -> None:
        """Take the services and where to listen."""
        self._path = path
        self._closing = asyncio.Event()
        owner = owner_name()

        def identify(request: Request) -> Caller:
            return socket_owner(owner)

        self._server = _Server(
            uvicorn.Config(
                application(services, identify, self._closing),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE,
                h11_max_incomplete_event_size=64 * 1024,
                limit_concurrency=1000,
            ),
        )

    async def start(self) -> None:
        """Listen; returns once requests are answered. Raises SocketRefused."""
        listener = await asyncio.to_thread(listen, self._path)
        await self._server.begin(listener)

    async def stop(self) -> None:
        """End streams, let requests finish, close, and remove the socket file."""
        self._closing.set()
        await self._server.shutdown()
        await asyncio.to_thread(remove, self._path)


class _Server(uvicorn.Server):
    """uvicorn's connections without its main loop, which wakes up ten times a second to look at nothing."""

    async def begin(self, listener: socket.socket) -> None:
        """Answer on a listening socket until `shutdown`."""
        config = self.config
        config.load()
        self.lifespan = config.lifespan_class(config)

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(config=config, server_state=self.server_state, app_state={})  # type: ignore[call-arg]

        self.servers = [await asyncio.get_running_loop().create_unix_server(protocol, sock=listener)]
        self.started = True


def owner_name() -> str:
    """Return the name of the user who owns this process, who is everybody that can reach the socket."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid:{os.geteuid()}"
