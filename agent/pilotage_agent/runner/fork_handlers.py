"""What Python modules want done around a fork, kept out of the zygote's forks and given to the workers.

`threading`, `logging` and `concurrent.futures` repair their locks after each fork, for another thread may have held
them. The zygote has one thread and holds none, so nothing is broken in its children; yet the repair runs code all over
the heap, and every page it touches is copied: a third of what a bare fork costs. A worker may have threads, so from its
job on the handlers are in place for whatever the step forks.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_LOCK_KEEPERS: Final = frozenset({"threading", "logging", "concurrent.futures.thread"})


class ForkHandlers:
    """The handlers of os.register_at_fork that a process without threads can do without."""

    def __init__(self) -> None:
        self._held: list[dict[str, Callable[[], Any]]] = []

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Meanwhile keep what the lock keepers register; everybody else's handlers are registered as ever."""
        register = os.register_at_fork

        def hold(**handlers: Callable[[], Any]) -> None:
            if {getattr(each, "__module__", None) for each in handlers.values()} <= _LOCK_KEEPERS:
                self._held.append(handlers)
            else:
                register(**handlers)

        os.register_at_fork = hold  # type: ignore[assignment]
        try:
            yield
        finally:
            os.register_at_fork = register

    def register(self) -> None:
        """Register what was held back; once, in a process that may get threads."""
        for handlers in self._held:
            os.register_at_fork(**handlers)
        self._held.clear()
