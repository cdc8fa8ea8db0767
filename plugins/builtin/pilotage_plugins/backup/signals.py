"""Signals to stop, put together."""

import asyncio

from pilotage_plugin_api.program import CancelSignal


class EitherSignal:
    """A signal that is set when either of two is."""

    def __init__(self, one: CancelSignal, other: CancelSignal) -> None:
        self._both = (one, other)

    def is_set(self) -> bool:
        """Whether either is set."""
        return any(signal.is_set() for signal in self._both)

    async def wait(self) -> object:
        """Return once either is set."""
        waiting = [asyncio.ensure_future(signal.wait()) for signal in self._both]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        return None
