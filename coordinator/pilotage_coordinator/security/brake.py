"""Slowing down whoever asks too often, without remembering more than a bounded number of sources."""

import ipaddress
from collections import OrderedDict
from typing import Final

WINDOW: Final = 60.0
"""Seconds in which requests are counted."""
MOST_PER_SOURCE: Final = 10
MOST_SOURCES: Final = 4_096


class Brake:
    """Counts what it is told to count, per source, in windows of a minute.

    There is no bound over all sources: it would let strangers lock everybody out, and guessing 256 bits needs none.
    """

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def closed(self, source: str, now: float) -> bool:
        """Return whether requests from `source` are refused at `now` (seconds of a monotonic clock)."""
        return self._current(_network(source), now)[1] >= MOST_PER_SOURCE

    def count(self, source: str, now: float) -> None:
        """Count one request of `source`."""
        network = _network(source)
        start, count = self._current(network, now)
        self._counts.pop(network, None)
        self._counts[network] = (start, count + 1)
        while len(self._counts) > MOST_SOURCES:
            self._counts.popitem(last=False)

    def _current(self, network: str, now: float) -> tuple[float, int]:
        start, count = self._counts.get(network, (now, 0))
        return (start, count) if now - start < WINDOW else (now, 0)


def _network(source: str) -> str:
    """Return the source's network: an IPv6 host owns its whole /64."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else source
