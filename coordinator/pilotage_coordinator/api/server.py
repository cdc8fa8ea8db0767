"""The HTTP server: uvicorn on a unix socket and, if asked, on a TLS port; started and stopped by its owner."""

import asyncio
import os
import pwd
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn

from pilotage_coordinator.api.access_log import AccessLog
from pilotage_coordinator.api.application import application
from pilotage_coordinator.api.assistants import HERE, Assistants
from pilotage_coordinator.api.certificate import ShownCertificate
from pilotage_coordinator.api.connection import Connection
from pilotage_coordinator.api.errors import SocketRefused
from pilotage_coordinator.api.identity import Identity
from pilotage_coordinator.api.late import Late
from pilotage_coordinator.api.socket_file import listen, remove
from pilotage_coordinator.service.authentication import Authentication
from pilotage_coordinator.service.caller import Face
from pilotage_coordinator.service.services import Services

GRACE: Final = 3
"""Seconds that requests have to end by themselves at a stop; streams are told at once."""
HANDSHAKE_SECONDS: Final = 10.0
MOST_CONNECTIONS: Final = 1000
SOCKET_NAME: Final = "pilotage"
"""What clients call the coordinator behind its socket, which has no name."""


@dataclass(frozen=True, slots=True)
class Https:
    """Where the API is served over the network, and with which certificate."""

    listen: str
    """host:port; port 0 takes a free one."""
    certificate: ShownCertificate
    names: Collection[str] = ()
    """Under which clients of `/mcp` may ask for it, besides those by which a machine speaks to itself."""


class ApiServer:
    """Serves the API on a unix socket, and over TLS where that is asked for, from `start` to `stop`."""

    def __init__(
        self,
        services: Services,
        authentication: Authentication,
        path: Path,
        https: Https | None = None,
        assistants: Late | None = None,
    ) -> None:
        """Take the services, what finds callers, where to listen, and the face of assistants."""
        self._path = path
        self._https = https
        self._closing = asyncio.Event()
        self._assistants = assistants
        known = Identity(authentication, Face.MCP)
        self._local = self._server(services, Identity(authentication, Face.SOCKET), known, HERE | {SOCKET_NAME})
        self._remote = None
        if https is not None:
            self._remote = self._server(services, Identity(authentication, Face.HTTPS), known, HERE.union(https.names))
        self.https_port = 0

    async def start(self) -> None:
        """Listen; returns once requests are answered. Raises SocketRefused."""
        listener = await asyncio.to_thread(listen, self._path)
        loop = asyncio.get_running_loop()
        await self._local.begin(lambda protocol: loop.create_unix_server(protocol, sock=listener))
        if self._https is not None and self._remote is not None:
            self.https_port = await self._serve_https(self._https, self._remote)

    async def stop(self) -> None:
        """End streams, let requests finish, close, and remove the socket file."""
        self._closing.set()
        servers = [each for each in (self._remote, self._local) if each is not None and each.started]
        if self._assistants is not None:
            # Before the servers: their shutdown waits for what is still being answered.
            await self._assistants.stop()
        await asyncio.gather(*(each.shutdown() for each in servers))
        await asyncio.to_thread(remove, self._path)

    async def _serve_https(self, https: Https, server: "_Server") -> int:
        host, _, port = https.listen.rpartition(":")
        loop = asyncio.get_running_loop()
        try:
            made = await server.begin(
                lambda protocol: loop.create_server(
                    protocol,
                    host.strip("[]"),
                    int(port),
                    ssl=https.certificate.context,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
            )
        except OSError as error:
            await self.stop()
            raise SocketRefused(
                f"{https.listen} cannot be listened on for HTTPS: {error.strerror or error}; "
                "choose another address with --https-listen"
            ) from error
        return int(made.sockets[0].getsockname()[1])

    def _server(
        self, services: Services, identity: Identity, of_assistants: Identity, names: Collection[str]
    ) -> "_Server":
        door = Assistants(of_assistants, self._assistants, names) if self._assistants is not None else None
        app = AccessLog(application(services, identity, self._closing, door), identity.face)
        return _Server(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE,
                h11_max_incomplete_event_size=64 * 1024,
                limit_concurrency=MOST_CONNECTIONS,
            ),
        )


class _Server(uvicorn.Server):
    """uvicorn's connections without its main loop, which wakes up ten times a second to look at nothing."""

    async def begin(self, serve: Callable[..., Coroutine[Any, Any, asyncio.Server]]) -> asyncio.Server:
        """Answer on what `serve` makes of a protocol, until `shutdown`."""
        config = self.config
        config.load()
        self.lifespan = config.lifespan_class(config)

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(config=config, server_state=self.server_state, app_state={})  # type: ignore[call-arg]

        made = await serve(protocol)
        self.servers = [made]
        self.started = True
        return made


def user_name() -> str:
    """Return the name of the user who runs this process, and whose its socket is: what the system says, not USER."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid:{os.geteuid()}"
