"""Whether an agent still lives: what came when, pings, and challenges of its instance."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pilotage_coordinator.fleet.settings import SessionSettings


class Pulse:
    """Watches one session with one coarse timer, so that a message costs no timer of its own.

    Silence counts only while the session waits for a message: when the coordinator itself is slow, nobody is blamed.
    """

    def __init__(self, settings: SessionSettings, ping: Callable[[str], None], silent: Callable[[str], None]) -> None:
        """`ping` sends a ping with a nonce; `silent` ends the session, with the reason."""
        self._settings = settings
        self._ping = ping
        self._silent = silent
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._greet_by: float | None = None
        self._challenges: dict[str, asyncio.Future[bool]] = {}
        self._stopped = False
        self.receiving = False
        """Whether the session waits for a message just now."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch; the handshake must be complete within its time."""
        self._loop = loop
        self._heard = loop.time()
        self._greet_by = self._heard + self._settings.handshake_seconds
        self._timer = loop.call_later(self._interval, self._check)

    def greeted(self) -> None:
        """The handshake is complete."""
        self._greet_by = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Mark the time in which the session waits for a message."""
        assert self._loop is not None
        self._heard = self._loop.time()
        self.receiving = True
        try:
            yield
        finally:
            self.receiving = False
            self._heard = self._loop.time()

    def heard(self, nonce: str) -> None:
        """Take a heartbeat; `nonce` answers a challenge if it is one's."""
        answer = self._challenges.get(nonce) if nonce else None
        if answer is not None and not answer.done():
            answer.set_result(True)

    async def challenge(self, nonce: str) -> bool:
        """Ping with `nonce`; return whether the answer came in time."""
        if self._loop is None or self._stopped:
            return False
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._challenges[nonce] = answer
        try:
            self._ping(nonce)
            async with asyncio.timeout(self._settings.challenge_seconds):
                return await answer
        except TimeoutError:
            return False
        finally:
            del self._challenges[nonce]

    def stop(self) -> None:
        """Watch no more; open challenges are lost."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for answer in self._challenges.values():
            if not answer.done():
                answer.set_result(False)

    @property
    def _interval(self) -> float:
        return min(self._settings.heartbeat_seconds, self._settings.silence_seconds / 3)

    def _check(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        silence = now - self._heard if self.receiving else 0.0
        if self.receiving and self._greet_by is not None and now >= self._greet_by:
            self._silent(f"the handshake was not complete after {self._settings.handshake_seconds:g} s")
        elif silence >= self._settings.silence_seconds:
            self._silent(f"nothing was heard for {silence:.0f} s")
        else:
            if silence >= 1.5 * self._interval:
                self._ping("")
            self._timer = self._loop.call_later(self._interval, self._check)
