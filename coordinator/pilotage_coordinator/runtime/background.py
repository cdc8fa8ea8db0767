"""Tasks that nobody awaits: held until they have ended, their errors logged, all of them awaited at the end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")

RETRY_PAUSE: Final = 2.0
"""Seconds after which what the store did not take is tried again."""


class Background:
    """The tasks of one owner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Let work go on by itself."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def in_a_moment(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Do what the store has just refused, once more."""
        asyncio.get_running_loop().call_later(RETRY_PAUSE, lambda: self.spawn(work(), name))

    async def close(self) -> None:
        """Wait until every task has ended, those too that others begin meanwhile."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Cancel every task, and wait until all have ended."""
        for task in self._tasks:
            task.cancel()
        await self.close()

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task.failed", task=task.get_name(), error=repr(error), exc_info=error)
