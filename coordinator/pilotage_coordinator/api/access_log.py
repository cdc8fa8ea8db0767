"""The access log: who asked for what through what, how it ended and how long it took. Nothing of what was given.

One line for each request, by the logger `pilotage.access`. The audit log is another thing: it holds what was done, is
kept for ever, and cannot be changed.
"""

import time
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.access")

UNTOLD: Final = frozenset({"/v1/health"})
LONGEST_SUBJECT: Final = 200
CALLER: Final = "caller"
ASKED: Final = "asked"
OPERATION: Final = "operation"


class AccessLog:
    """Wraps an application; its endpoints leave caller, operation and request in the request's state."""

    def __init__(self, app: ASGIApp, face: Face) -> None:
        """Take the application and the face through which its requests come."""
        self._app = app
        self._face = face

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and write its line at the end, of a stream when it is over."""
        if scope["type"] != "http" or scope["path"] in UNTOLD:
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        began = time.monotonic()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            log.info("request", **self._line(scope, state, status, time.monotonic() - began))

    def _line(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> dict[str, object]:
        caller: Caller | None = state.get(CALLER)
        asked = state.get(ASKED)
        client = scope.get("client")
        return {
            "face": self._face.value,
            "peer": client[0] if client and self._face is not Face.SOCKET else "",
            "principal": caller.principal if caller is not None else "",
            "token": caller.token if caller is not None else "",
            "operation": state.get(OPERATION, ""),
            "subject": asked.subject()[:LONGEST_SUBJECT] if asked is not None else "",
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
