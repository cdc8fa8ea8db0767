"""Who sends a request: whoever runs the coordinator at its own socket, and everybody else by a bearer token."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from pilotage_coordinator.api.connection import PEER_USER
from pilotage_coordinator.security.brake import Brake
from pilotage_coordinator.service.authentication import Authentication
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.service.errors import Denied, TooMany, Unauthenticated

ROOT: Final = 0
SHOW_ONE: Final = "send `Authorization: Bearer TOKEN`; with the command line, set PILOTAGE_TOKEN or give --token-file"


@dataclass(slots=True)
class Identity:
    """Finds the caller of each request that comes through one face."""

    authentication: Authentication
    face: Face
    monotonic: Callable[[], float] = time.monotonic
    _brake: Brake = field(default_factory=Brake)
    """Over those who failed to prove who they are; at the network's face only, for at the socket all are one."""

    async def __call__(self, request: Request) -> Caller:
        """Return the caller; raises Unauthenticated, TooMany, and Denied for a page of another site.

        A token that is shown counts, also at the owner's socket: one that proves nothing never falls back to the owner.
        """
        self._refuse_other_sites(request)
        given = request.headers.getlist("authorization")
        if not given and self._is_owner(request):
            return self.authentication.local()
        source, now = self._source(request), self.monotonic()
        if source and self._brake.closed(source, now):
            raise TooMany("too many requests from here without a token that is good", fix="wait a minute")
        try:
            return await self.authentication.bearer(_token(given), self.face)
        except Unauthenticated:
            if source:
                self._brake.count(source, now)
            raise

    def _is_owner(self, request: Request) -> bool:
        return self.face is Face.SOCKET and getattr(request.state, PEER_USER, None) in (os.geteuid(), ROOT)

    def _source(self, request: Request) -> str:
        # At a unix socket, where all are one, there is no address.
        return request.client.host if self.face is not Face.SOCKET and request.client is not None else ""

    def _refuse_other_sites(self, request: Request) -> None:
        """Raise Denied for what a browser sends on behalf of a page that did not come from here."""
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
            raise Denied(f"a page of {origin[:100]} may not send requests here", fix="open this coordinator's own page")


def _token(given: list[str]) -> str:
    if len(given) != 1:
        many = "several credentials were sent" if given else "who asks is not known: no API token was sent"
        raise Unauthenticated(many, fix=SHOW_ONE)
    scheme, _, text = given[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(f"`{scheme[:20]}` is no way to say who you are here", fix=SHOW_ONE)
    return text.strip()
