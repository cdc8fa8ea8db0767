"""Time as a port: the runtime never reads a clock of its own, so that a simulation can turn it."""

import time
from typing import Protocol

LARGEST_CORRECTION = 1_000_000
"""Microseconds by which the machine's clock may differ from ours and still be followed."""


_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock of elapsed time: on Linux the one that also counts while the machine is suspended."""


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

    `now` goes on from the wall clock at start at the pace of elapsed time, a suspension of the machine included. Small
    corrections (NTP) are followed; a jump is not, until the next start. What others judge by the wall clock, such as
    the validity of a certificate, asks `wall`.
    """

    def __init__(self) -> None:
        self._offset = self.wall() - _elapsed()

    def now(self) -> int:
        """Return UTC microseconds."""
        steady = _elapsed() + self._offset
        difference = self.wall() - steady
        if 0 < abs(difference) <= LARGEST_CORRECTION:
            self._offset += difference
            return steady + difference
        return steady

    def monotonic(self) -> float:
        """Return seconds of elapsed time."""
        return time.clock_gettime(_ELAPSED)

    def wall(self) -> int:
        """Return UTC microseconds as the machine's wall clock has them now; may jump."""
        return time.time_ns() // 1000

    def wall_difference(self) -> int:
        """Return by how many microseconds the machine's wall clock was set away from ours."""
        return self.wall() - (_elapsed() + self._offset)


def _elapsed() -> int:
    return time.clock_gettime_ns(_ELAPSED) // 1000
