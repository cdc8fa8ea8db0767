"""How long to wait before dialling again: exponential, with full jitter, so that a fleet does not dial in step."""

from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 20.0
REFUSED_SECONDS: Final = 300.0
"""When a person must help first: a revoked certificate does not heal by dialling."""


class Backoff:
    """`random` gives numbers from 0 up to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0

    def succeeded(self) -> None:
        """A session was opened: start over."""
        self._failures = 0

    def next(self) -> float:
        """Return the seconds to wait after one more failure; at least a tenth of the bound, never the whole fleet at
        once."""
        bound = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return bound * (0.1 + 0.9 * self._random())

    def refused(self) -> float:
        """Return the seconds to wait when trying again soon is useless."""
        return REFUSED_SECONDS * (0.75 + 0.5 * self._random())
