"""A coordinator's API over a real socket and real TLS, with the face of assistants, and the SDK's own client to it."""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from pilotage_coordinator.api.certificate import ShownCertificate
from pilotage_coordinator.api.late import Begun, Late
from pilotage_coordinator.api.server import ApiServer, Https
from pilotage_coordinator.mcp.face import McpFace
from pilotage_coordinator.security.api_tokens import new_api_token, token_digest
from pilotage_coordinator.security.authority import open_authority
from pilotage_coordinator.store.records import GrantRecord, PrincipalRecord, TokenRecord

from tests.unit.service.desk import DAY, NOW, Desk


class Site:
    """A served coordinator. `token` belongs to the assistant `bot`, whose role is `assistant`."""

    def __init__(self, desk: Desk, folder: Path, token: str) -> None:
        self.desk = desk
        self.token = token
        self.socket = folder / "run" / "s"
        authority = open_authority(folder / "authority.pem", _wall())
        self.authority_file = folder / "ca.pem"
        self.authority_file.write_bytes(authority.certificate_pem)
        certificate = ShownCertificate(authority, ("127.0.0.1",), _wall)
        self._https = Https("127.0.0.1:0", certificate, ("control.example.org",))
        self.begun = 0
        """How often the face of assistants was imported and begun."""
        self.serve_again()

    def serve_again(self) -> None:
        """Make the server anew, as a coordinator that was restarted does."""
        self.server = ApiServer(
            self.desk.services, self.desk.authentication, self.socket, self._https, Late(self._begin)
        )

    async def _begin(self) -> Begun:
        self.begun += 1
        face = McpFace(self.desk.services)
        await face.start()
        return face

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.https_port}/mcp"

    async def person(self, name: str, role: str, kind: str = "person") -> str:
        """Add a principal with a role; return the text of its token."""
        access = self.desk.store.access
        await access.add_principal(PrincipalRecord(name, kind, NOW, "ann"), (GrantRecord(name, role, NOW, "ann"),))
        text = new_api_token(name.encode().ljust(32, b"."))
        number = f"{abs(hash(name)):032x}"
        await access.add_token(TokenRecord(f"tok_{number}", token_digest(text), name, "", NOW, "ann", NOW + DAY))
        return text

    def http(self, token: str | None = None, **headers: str) -> httpx2.AsyncClient:
        """Return an HTTP client with a token (by default the assistant's; empty: none)."""
        text = self.token if token is None else token
        bearer = {"authorization": f"Bearer {text}"} if text else {}
        return httpx2.AsyncClient(headers={**bearer, **headers}, verify=_trust(self.authority_file), timeout=20)

    @asynccontextmanager
    async def client(self, query: str = "", token: str | None = None, **options: Any) -> AsyncIterator[Client]:
        """Yield the SDK's client over HTTPS."""
        async with (
            self.http(token) as http,
            Client(streamable_http_client(self.url + query, http_client=http), **options) as client,
        ):
            yield client


def _trust(file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(file))


def _wall() -> int:
    return time.time_ns() // 1000
