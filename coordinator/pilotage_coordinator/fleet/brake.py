"""Slowing down whoever sends wrong tokens and proofs, without remembering more than a bounded number of sources."""

import ipaddress
from collections import OrderedDict
from typing import Final

WINDOW: Final = 60.0
"""Seconds in which failures are counted."""
MOST_PER_SOURCE: Final = 10
MOST_IN_ALL: Final = 200
MOST_SOURCES: Final = 4_096


class Brake:
    """Counts failures per source and in all, in windows of a minute. Successes cost nothing."""

    def __init__(self) -> None:
        """Begin without failures."""
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._all = (0.0, 0)

    def closed(self, source: str, now: float) -> bool:
        """Return whether requests from `source` are refused at `now` (seconds of a monotonic clock)."""
        _, here = _current(self._failures.get(_network(source), (now, 0)), now)
        return here >= MOST_PER_SOURCE or _current(self._all, now)[1] >= MOST_IN_ALL

    def failed(self, source: str, now: float) -> None:
        """Count a failure of `source`."""
        network = _network(source)
        start, count = _current(self._failures.pop(network, (now, 0)), now)
        self._failures[network] = (start, count + 1)
        while len(self._failures) > MOST_SOURCES:
            self._failures.popitem(last=False)
        start, count = _current(self._all, now)
        self._all = (start, count + 1)


def _current(counted: tuple[float, int], now: float) -> tuple[float, int]:
    return counted if now - counted[0] < WINDOW else (now, 0)


def _network(source: str) -> str:
    """Return the source's network: an IPv6 host owns its whole /64."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else source
