"""Time as a port: the runtime never reads a clock of its own, so that a simulation can turn it."""

import time
from typing import Protocol

LARGEST_CORRECTION = 1_000_000
"""Microseconds by which the machine's clock may differ from ours and still be followed."""


class Clock(Protocol):
    """Two clocks: one that says what time it is, and one that never goes back."""

    def now(self) -> int:
        """Return UTC microseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The machine's clocks, made steady: a wall clock that is set while we run neither fires nor delays a timer.

    `now` goes on from the wall clock at start at the pace of the monotonic one. Small corrections (NTP) are followed;
    a jump is not, until the next start.
    """

    def __init__(self) -> None:
        self._offset = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def now(self) -> int:
        """Return UTC microseconds."""
        steady = time.monotonic_ns() // 1000 + self._offset
        difference = time.time_ns() // 1000 - steady
        if 0 < abs(difference) <= LARGEST_CORRECTION:
            self._offset += difference
            return steady + difference
        return steady

    def monotonic(self) -> float:
        """Return seconds of the machine's monotonic clock."""
        return time.monotonic()

    def wall_difference(self) -> int:
        """Return by how many microseconds the machine's wall clock was set away from ours."""
        return time.time_ns() // 1000 - (time.monotonic_ns() // 1000 + self._offset)
