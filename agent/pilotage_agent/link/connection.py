"""Keeping one session open: dial, hold, and dial again, for as long as the agent lives."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pilotage_agent.errors import JournalUnwritable, LinkLost, LinkRefused
from pilotage_agent.link.backoff import Backoff
from pilotage_agent.link.session import Session, SessionParts
from pilotage_agent.link.transport import Transport

_log = logging.getLogger("pilotage.agent.link")

SAME_AGAIN_SECONDS = 600.0
"""How long the log does not hear the same reason for having no session again."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """What is to be shown of the link."""

    connected: bool
    text: str


class Connection:
    """Dials by `dial` (raises LinkLost or LinkRefused) and holds sessions. `told` hears of every change."""

    def __init__(
        self,
        dial: Callable[[], Awaitable[Transport]],
        parts: SessionParts,
        backoff: Backoff,
        told: Callable[[LinkState], None] = lambda state: None,
    ) -> None:
        self._dial = dial
        self._parts = parts
        self._backoff = backoff
        self._told = told
        self._redial = asyncio.Event()
        self._said = ("", 0.0)
        """What was logged last, and when."""

    def redial(self) -> None:
        """End the present session, if any, and dial at once: a new certificate is there, or somebody asks."""
        self._redial.set()

    async def run(self) -> None:
        """Keep a session until cancelled."""
        while True:
            pause = await self._once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._redial.wait()

    async def _once(self) -> float:
        """Hold one session; return how long to wait before the next."""
        self._redial.clear()
        try:
            goodbye = await self._hold()
        except LinkRefused as refusal:
            self._tell(str(refusal))
            return self._backoff.next() if refusal.retry else self._backoff.refused()
        except (LinkLost, JournalUnwritable) as error:
            self._tell(str(error))
            return self._backoff.next()
        self._tell("the coordinator said goodbye" if goodbye else "dialling again")
        if goodbye is None:
            return 0.0
        return goodbye / 1000 + self._backoff.next()

    async def _hold(self) -> int | None:
        """Dial and hold a session; return the Goodbye's milliseconds, or None after `redial`."""
        transport = await self._dial()
        try:
            session = asyncio.ensure_future(Session(self._parts, transport, self._opened).run())
            redial = asyncio.ensure_future(self._redial.wait())
            try:
                await asyncio.wait({session, redial}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                redial.cancel()
                if not session.done():
                    session.cancel()
                    await asyncio.gather(session, return_exceptions=True)
            if session.cancelled():
                return None
            goodbye = session.result()
            return goodbye.reconnect_ms if goodbye else 0
        finally:
            await transport.close()

    def _opened(self) -> None:
        self._backoff.succeeded()
        self._said = ("", 0.0)
        _log.info("connected")
        self._told(LinkState(True, "connected"))

    def _tell(self, text: str) -> None:
        """Tell why there is no session; the log hears the same again only once in a while."""
        said, at = self._said
        now = asyncio.get_running_loop().time()
        if text != said or now - at >= SAME_AGAIN_SECONDS:
            _log.warning("not connected: %s", text)
            self._said = (text, now)
        self._told(LinkState(False, text))
