"""The door of assistants: `/mcp`. Who comes in has shown an API token, also at the coordinator's own socket.

An assistant never is the owner because it runs on the owner's machine: without a token of its own it is nobody.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from pilotage_coordinator.api import problem
from pilotage_coordinator.api.access_log import CALLER, OPERATION
from pilotage_coordinator.api.identity import Identity
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Denied, ServiceError, TooMany

PATH: Final = "/mcp"
AGAIN: Final = "again"
HERE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names under which a machine speaks to itself."""
MOST_OPEN: Final = 32
"""Requests of one principal that are under way at a time: streams and calls that wait among them."""
BURST: Final = 120
PER_SECOND: Final = 10.0
MOST_REMEMBERED: Final = 4_096


class Assistants:
    """Lets requests in to the face of assistants."""

    def __init__(
        self,
        identity: Identity,
        face: ASGIApp,
        hosts: Collection[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take who finds callers, the face, and the names under which requests may ask for this server."""
        self._identity = identity
        self._face = face
        self._hosts = frozenset({each.lower() for each in hosts})
        self._pace = Pace(monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or say why not."""
        request = Request(scope, receive, send)
        setattr(request.state, OPERATION, "mcp")
        if request.method != "POST":
            answer = problem.response(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{PATH} takes POST alone: it has no sessions and no stream besides the answers",
                kind=FailureKind.PARAMETER,
            )
            answer.headers["allow"] = "POST"
            await answer(scope, receive, send)
            return
        try:
            self._refuse_other_names(request)
            caller = await self._identity(request)
            setattr(request.state, CALLER, caller)
            with self._pace.of(caller):
                await self._serve(request, scope, receive, send)
        except ServiceError as error:
            await problem.of_service(error)(scope, receive, send)

    async def _serve(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        async def again() -> Caller:
            return await self._identity(request)

        setattr(request.state, AGAIN, again)
        await self._face(scope, receive, send)

    def _refuse_other_names(self, request: Request) -> None:
        """Raise Denied for a request to another name: a page may have had its own name resolved to this address."""
        given = request.headers.get("host", "")
        name = given if given.endswith("]") else given.rpartition(":")[0] or given
        if name.lower() not in self._hosts:
            raise Denied(
                f"this server is not called {name[:100]!r}",
                fix="use the address that `pilotage coordinator status` shows, or set `advertise` to the name",
            )


class Pace:
    """Bounds what one principal may ask: so many requests at once, and a pace that a burst may exceed."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin with nobody."""
        self._monotonic = monotonic
        self._open: dict[str, int] = {}
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @contextmanager
    def of(self, caller: Caller) -> Iterator[None]:
        """Hold a place for one request; raises TooMany."""
        name = caller.principal
        if self._open.get(name, 0) >= MOST_OPEN:
            raise TooMany(f"{name} has {MOST_OPEN} requests under way here", fix="let some of them end first")
        self._spend(name)
        self._open[name] = self._open.get(name, 0) + 1
        try:
            yield
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]

    def _spend(self, name: str) -> None:
        now = self._monotonic()
        left, at = self._left.pop(name, (float(BURST), now))
        left = min(float(BURST), left + (now - at) * PER_SECOND)
        self._left[name] = (left - 1 if left >= 1 else left, now)
        while len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        if left < 1:
            raise TooMany(f"{name} asks too fast: {PER_SECOND:.0f} requests a second are answered", fix="slow down")
