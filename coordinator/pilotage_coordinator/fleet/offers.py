"""Results on their way from an agent to the runtime: offered until they are stored, and only then acknowledged."""

import asyncio
from collections.abc import Callable, Sequence

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.fleet import AttemptReport
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.runtime.fleet_port import FleetListener
from pilotage_coordinator.structured import structlog

_log = structlog.get_logger("pilotage.fleet")

LONGEST_DELAY = 30.0
"""Seconds between two offers of a result that cannot be stored."""


class Offers:
    """The results of one session. `speaking` is held while the listener is called, so that it hears one at a time."""

    def __init__(
        self,
        host: str,
        listener: FleetListener,
        settings: SessionSettings,
        speaking: asyncio.Lock,
        acknowledge: Callable[[AttemptKey], None],
        overflow: Callable[[], None],
    ) -> None:
        """`acknowledge` is called for each stored result, `overflow` when too many cannot be stored."""
        self._host = host
        self._listener = listener
        self._settings = settings
        self._speaking = speaking
        self._acknowledge = acknowledge
        self._overflow = overflow
        self._unstored: dict[AttemptKey, AttemptReport] = {}
        self._retry: asyncio.Task[None] | None = None

    async def offer(self, reports: Sequence[AttemptReport]) -> None:
        """Offer results that came together, begun in order, so that one commit can hold them all.

        The caller holds `speaking`; no key is in `reports` twice.
        """
        if len(reports) == 1:
            kept = [await self._keep(reports[0])]
        else:
            kept = list(await asyncio.gather(*(self._keep(report) for report in reports)))
        for report, stored in zip(reports, kept, strict=True):
            if stored:
                self._unstored.pop(report.key, None)
                self._acknowledge(report.key)
            else:
                self._unstored[report.key] = report
        if len(self._unstored) > self._settings.most_unstored:
            self._overflow()
        elif self._unstored and self._retry is None:
            self._retry = asyncio.create_task(self._offer_again())

    async def stop(self) -> None:
        """Offer nothing more. The agent keeps what was not acknowledged."""
        retry, self._retry = self._retry, None
        if retry is not None:
            async with self._speaking:
                retry.cancel()
            await asyncio.gather(retry, return_exceptions=True)

    async def _keep(self, report: AttemptReport) -> bool:
        try:
            return await self._listener.result(self._host, report)
        except Exception:
            _log.exception("session.result_failed", host=self._host, attempt=str(report.key))
            return False

    async def _offer_again(self) -> None:
        delay = self._settings.retry_seconds
        while self._unstored:
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)
            async with self._speaking:
                await self.offer(list(self._unstored.values()))
        self._retry = None
