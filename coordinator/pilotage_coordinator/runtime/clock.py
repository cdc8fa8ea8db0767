"""Time as a port: the runtime never reads a clock of its own, so that a simulation can turn it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that says what time it is, and one that never goes back."""

    def now(self) -> int:
        """Return UTC microseconds. May jump either way when somebody sets the machine's clock."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> int:
        """Return UTC microseconds."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds of the machine's monotonic clock."""
        return time.monotonic()
