"""Group commit: writes that are asked for while a transaction runs share the next one."""

import asyncio
from collections import deque
from typing import TypeVar, cast

from pilotage_coordinator.store.database import Database, Work
from pilotage_coordinator.store.errors import Conflict, StoreError, StoreUnavailable

T = TypeVar("T")

LARGEST_GROUP = 1_000
"""Works in one transaction: bounds how long the first of them waits for the last."""
IDLE_ROWS = 4_000
"""Row changes in the write-ahead log from which the next pause is used for a checkpoint."""
MOST_ROWS = 20_000
"""Row changes in the write-ahead log (some 50 MiB) from which a checkpoint waits for no pause."""


class GroupCommit:
    """Feeds a database with works, one transaction at a time. No timer: an idle database writes at once."""

    def __init__(self, database: Database) -> None:
        """Feed this database; nobody else may write to it."""
        self._database = database
        self._waiting: deque[tuple[Work[object], asyncio.Future[object]]] = deque()
        self._feeder: asyncio.Task[None] | None = None
        self._alone = asyncio.Lock()
        self._closed = False
        self.writes = 0
        self.transactions = 0
        self.conflicts = 0
        self.checkpoints = 0
        self.wal_pages = 0
        self.refusal = ""
        """Why the newest transaction was not stored; empty when it was."""

    async def submit(self, work: Work[T]) -> T:
        """Run a work in the next transaction; returns its result, or raises its exception, when that is durable.

        Cancelling the caller does not take the work back.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed: the coordinator is stopping")
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        self.writes += 1
        if self._feeder is None:
            self._feeder = asyncio.create_task(self._feed(), name="store group commit")
        return cast(T, await future)

    async def checkpoint(self) -> None:
        """Move the write-ahead log into the database file, between transactions."""
        async with self._alone:
            await self._checkpoint()

    async def vacuum(self, pages: int) -> None:
        """Give free pages back, between transactions."""
        async with self._alone:
            await self._database.vacuum(pages)

    async def close(self) -> None:
        """Finish what was submitted and take no more."""
        self._closed = True
        while self._feeder is not None:
            await asyncio.wait({self._feeder})

    async def _feed(self) -> None:
        try:
            while self._waiting:
                async with self._alone:
                    await self._write([self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_GROUP))])
                    await self._checkpoint_if_due()
        finally:
            self._feeder = None
            _fail(self._waiting, StoreUnavailable("the store was stopped before it wrote this"))
            self._waiting.clear()

    async def _write(self, group: list[tuple[Work[object], asyncio.Future[object]]]) -> None:
        try:
            results = await self._database.write([work for work, _ in group])
        except StoreError as error:
            self.refusal = str(error)
            _fail(group, error)
            return
        except BaseException as error:
            _fail(group, StoreUnavailable(f"the store was stopped while it wrote this ({error!r}); it may have landed"))
            raise
        self.refusal = ""
        self.transactions += 1
        for (_, future), result in zip(group, results, strict=True):
            self.conflicts += isinstance(result, Conflict)
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _checkpoint_if_due(self) -> None:
        rows = self._database.rows_in_log()
        if rows < IDLE_ROWS:
            return
        # Those who were just answered may write again at once: a pause is when they do not.
        await asyncio.sleep(0)
        if rows >= MOST_ROWS or not self._waiting:
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        self.wal_pages = await self._database.checkpoint()
        self.checkpoints += 1


def _fail(
    group: "list[tuple[Work[object], asyncio.Future[object]]] | deque[tuple[Work[object], asyncio.Future[object]]]",
    error: StoreError,
) -> None:
    for _, future in group:
        if not future.done():
            # One exception object each: they gather a traceback where they are raised.
            future.set_exception(type(error)(str(error)))
