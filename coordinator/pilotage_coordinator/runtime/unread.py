"""Executions that are not over and could not be read at the start: read again until they can be.

Meanwhile nothing is taken for settled that may belong to them. Their open attempts are known, so that sessions compare
journals with them; their results are not acknowledged, so agents keep them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pilotage_coordinator.runtime.background import RETRY_PAUSE, Background
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.store.errors import StoreError, StoreUnavailable
from pilotage_coordinator.store.protocol import ExecutionStore
from pilotage_coordinator.store.records import ExecutionRecord
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")

T = TypeVar("T")

LONGEST_PAUSE: Final = 60.0
"""Seconds between two tries to read an execution, at most."""


class Unreadable(StoreUnavailable):
    """An execution exists, is not over, and cannot be read now."""


@dataclass(slots=True)
class Unread:
    """The executions that wait to be read."""

    executions: ExecutionStore
    dispatcher: Dispatcher
    background: Background
    take_up: Callable[[ExecutionRecord], Awaitable[None]]
    """Reads an execution and goes on with it; raises whatever keeps it from being read."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Execution to why it could not be read the last time."""
    _one_less: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced by a new one, when an execution was read."""

    def __contains__(self, execution: str) -> bool:
        return execution in self.reasons

    def refuse(self, execution: str) -> None:
        """Raise Unreadable for an execution that waits to be read."""
        if execution in self.reasons:
            raise Unreadable(
                f"{execution} cannot be read now ({self.reasons[execution]}); it is tried again by itself, at least"
                f" every {LONGEST_PAUSE:.0f} s, and agents keep their results until then"
            )

    async def patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what must be known before any session is compared, reading until the store gives it."""
        while True:
            try:
                return await read()
            except StoreError as error:
                log.error("recovery.unreadable", error=str(error))
                await asyncio.sleep(RETRY_PAUSE)

    async def put_off(self, execution: ExecutionRecord, error: Exception) -> None:
        """Read an execution later; returns once its open attempts are known, as sessions compare journals with them."""
        log.error("execution.unreadable", execution=execution.id, exc_info=error)
        self.reasons[execution.id] = str(error) or repr(error)
        opened = await self.patiently(lambda: self.executions.open_attempts(execution.id))
        for key, epoch in opened.items():
            self.dispatcher.opened(key, epoch)
        self._later(execution.id, RETRY_PAUSE)

    async def until_read(self, execution: str) -> None:
        """Return once an execution does not wait any more."""
        while execution in self.reasons:
            await self._one_less.wait()

    def was_read(self, execution: str) -> bool:
        """Note that an execution is in memory; says whether it had been waited for."""
        if self.reasons.pop(execution, None) is None:
            return False
        log.info("execution.readable", execution=execution)
        read, self._one_less = self._one_less, asyncio.Event()
        read.set()
        return True

    def _later(self, execution: str, pause: float) -> None:
        asyncio.get_running_loop().call_later(
            pause, lambda: self.background.spawn(self._again(execution, pause), f"read {execution} again")
        )

    async def _again(self, execution: str, pause: float) -> None:
        try:
            await self.take_up(await self.executions.get(execution))
        except Exception as error:
            log.error("execution.unreadable", execution=execution, error=str(error) or repr(error))
            self.reasons[execution] = str(error) or repr(error)
            self._later(execution, min(2 * pause, LONGEST_PAUSE))
