"""One connection of the HTTP server: who is at its other end, and no patience with one that says nothing."""

import asyncio
import socket
import struct
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

PEER_USER: Final = "peer_user"
"""Where a request's state holds the system user at the other end of a unix socket."""
HEAD_SECONDS: Final = 15.0
"""So long a connection may take to bring the head of a request, the first or another."""
_CREDENTIALS: Final = struct.Struct("3i")


class Connection(H11Protocol):
    """uvicorn's connection, which tells requests the peer's user and ends when no request comes."""

    _waiting_since: Any = None
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the peer's user, and begin to watch."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, PEER_USER: peer_user(transport)}
        self._watch = self.loop.call_later(HEAD_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """End the connection when it is without a request now, and was without one at the last look as well."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._waiting_since is self.cycle:
            self.transport.close()
            return
        # None stands for "no request yet", and a connection that is new has waited for one since it was made.
        self._waiting_since = self.cycle if idle else self
        self._watch = self.loop.call_later(HEAD_SECONDS, self._look)


def peer_user(transport: asyncio.BaseTransport) -> int | None:
    """Return the id of the user at the other end of a unix socket, as the kernel says; None for any other peer."""
    peer = transport.get_extra_info("socket")
    if peer is None or peer.family != socket.AF_UNIX:
        return None
    _, user, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(user)
