"""Pieces of logs on their way to the runtime: held back while they cannot be stored, and acknowledged only after."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.fleet import LogPiece
from pilotage_coordinator.fleet.offers import LONGEST_DELAY
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.runtime.fleet_port import FleetListener
from pilotage_coordinator.structured import structlog

_log = structlog.get_logger("pilotage.fleet")


class LogHold:
    """The log of one session. An agent sends a piece once in a session, so one that the disk refuses is kept here.

    A session that has more to say than may be kept waits, and reads nothing, until there is space: the agent's window
    and its disk take the rest. Neither the session nor a result is lost by it.
    """

    def __init__(
        self,
        host: str,
        listener: FleetListener,
        settings: SessionSettings,
        speaking: asyncio.Lock,
        acknowledge: Callable[[AttemptKey, int], None],
    ) -> None:
        """`speaking` is held while the listener is called; `acknowledge` is told how far a log is stored."""
        self._host = host
        self._listener = listener
        self._settings = settings
        self._speaking = speaking
        self._acknowledge = acknowledge
        self._held: deque[LogPiece] = deque()
        self._bytes = 0
        self._closed = asyncio.Event()
        self._retry: asyncio.Task[None] | None = None

    async def take(self, piece: LogPiece) -> None:
        """Store a piece, or hold it; the caller holds `speaking`."""
        if not self._held and await self._keep(piece):
            return
        self._held.append(piece)
        self._bytes += len(piece.data)
        if self._retry is None:
            self._retry = asyncio.create_task(self._store_later())
        delay = self._settings.retry_seconds
        while self._bytes > self._settings.most_held_log and not self._closed.is_set():
            delay = await self._pause(delay)
            await self._store_held()

    def close(self) -> None:
        """Wait for nothing any more. The agent keeps what was not acknowledged."""
        self._closed.set()

    async def stop(self) -> None:
        """Store nothing more."""
        self.close()
        retry, self._retry = self._retry, None
        if retry is not None:
            await asyncio.gather(retry, return_exceptions=True)
        self._held.clear()

    async def _store_later(self) -> None:
        delay = self._settings.retry_seconds
        while self._held and not self._closed.is_set():
            delay = await self._pause(delay)
            async with self._speaking:
                await self._store_held()
        self._retry = None

    async def _store_held(self) -> None:
        while self._held and not self._closed.is_set() and await self._keep(self._held[0]):
            self._bytes -= len(self._held.popleft().data)

    async def _pause(self, delay: float) -> float:
        """Wait, unless the session ends; return how long to wait the next time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), delay)
        return min(delay * 2, LONGEST_DELAY)

    async def _keep(self, piece: LogPiece) -> bool:
        offset = await self._listener.log(self._host, piece)
        if offset is None:
            if not self._held:
                _log.warning("session.log_withheld", host=self._host, attempt=str(piece.key))
            return False
        self._acknowledge(piece.key, offset)
        return True
