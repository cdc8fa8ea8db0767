"""One alarm clock for all executions: each may have one next moment at which it must be looked at."""

import asyncio
import contextlib
import heapq
from collections.abc import Callable

from pilotage_coordinator.runtime.clock import Clock

LONGEST_SLEEP = 60.0
"""Seconds; a bound, so that a clock that runs differently from the loop's is noticed."""


class Timers:
    """Calls `ring(name)` once a name's moment has come. One task and one heap, whatever the number of names."""

    def __init__(self, clock: Clock, ring: Callable[[str], None]) -> None:
        """`ring` is called on the loop and must not block; a name rings again only after it was set again."""
        self._clock = clock
        self._ring = ring
        self._heap: list[tuple[int, str]] = []
        self._moments: dict[str, int] = {}
        self._changed = asyncio.Event()

    def set(self, name: str, moment: int | None) -> None:
        """Let `name` ring at `moment` (UTC microseconds), instead of what was set before; None = not at all."""
        if moment is None:
            self._moments.pop(name, None)
        elif self._moments.get(name) != moment:
            self._moments[name] = moment
            heapq.heappush(self._heap, (moment, name))
            if self._heap[0] == (moment, name):
                self._changed.set()

    async def run(self) -> None:
        """Ring until cancelled."""
        while True:
            self._ring_due()
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._changed.wait()

    def _ring_due(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            moment, name = heapq.heappop(self._heap)
            if self._moments.get(name) == moment:
                del self._moments[name]
                self._ring(name)

    def _pause(self) -> float:
        while self._heap and self._moments.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if not self._heap:
            return LONGEST_SLEEP
        return min(LONGEST_SLEEP, max(0.0, (self._heap[0][0] - self._clock.now()) / 1_000_000))
