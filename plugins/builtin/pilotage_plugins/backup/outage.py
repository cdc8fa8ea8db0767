"""A repository that goes away in the middle of the work.

restic tries each of its requests again for a quarter of an hour, and says so. That outlasts the timeout of many steps,
which then have failed for a reason that nobody retries. So what it says is listened to, and it is stopped earlier.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Final

REQUESTS_KEPT: Final = 10_000
_TRIED_AGAIN: Final = re.compile(rb"(\w+\(.{0,500}\)) returned error, retrying after [^:]{1,40}: (.*)", re.DOTALL)


class Outage:
    """Takes restic's lines of standard error; `over` is set once one request has failed for as long as allowed."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._failing_since: dict[bytes, float] = {}
        self.over = asyncio.Event()
        self.reason = ""

    def note(self, line: bytes) -> None:
        """Take a line; all but those about a request that is tried again are none of ours."""
        found = _TRIED_AGAIN.search(line)
        if found is None:
            return
        if len(self._failing_since) >= REQUESTS_KEPT:
            self._failing_since.clear()
        since = self._failing_since.setdefault(found[1], self._clock())
        if self._clock() - since >= self._seconds:
            self.reason = found[2].decode("utf-8", "backslashreplace").strip()[-500:]
            self.over.set()
