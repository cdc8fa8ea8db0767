"""A runtime that writes down what it is told, and can be made to wait or to fail."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pilotage_coordinator.domain.fleet import AttemptReport, Greeting, HostInventory, JournalEntry, LogPiece
from pilotage_proto.attempt import AttemptKey


class RecordingListener:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.changed = asyncio.Event()
        self.keeps = True
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.results_begun = 0
        self.begun = asyncio.Event()
        """Set when the first result was offered."""

    def note(self, *call: Any) -> None:
        self.calls.append(call)
        self.changed.set()

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[0] == name]

    async def until(self, name: str, count: int = 1) -> list[tuple[Any, ...]]:
        """Wait, at most ten seconds, until `name` was called `count` times."""
        async with asyncio.timeout(10):
            while len(self.named(name)) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.named(name)

    async def session_opened(
        self, host: str, greeting: Greeting, inventory: HostInventory, journal: Sequence[JournalEntry]
    ) -> None:
        self.note("opened", host, greeting, inventory, tuple(journal))
        await self.gate.wait()

    async def session_ready(self, host: str) -> None:
        self.note("ready", host)

    async def session_closed(self, host: str, reason: str) -> None:
        self.note("closed", host, reason)

    async def accepted(self, host: str, key: AttemptKey, epoch: int) -> None:
        self.note("accepted", host, key, epoch)

    async def started(self, host: str, key: AttemptKey, epoch: int, started_at: int) -> None:
        self.note("started", host, key, epoch, started_at)

    async def result(self, host: str, report: AttemptReport) -> bool:
        self.results_begun += 1
        self.begun.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.note("result" if self.keeps else "unstored", host, report)
        return self.keeps

    async def log(self, host: str, piece: LogPiece) -> int | None:
        if not self.keeps:
            self.note("unkept", host, piece)
            return None
        self.note("log", host, piece)
        return piece.offset + len(piece.data)

    def progress(self, host: str, key: AttemptKey, fraction: float | None, text: str) -> None:
        self.note("progress", host, key, fraction, text)

    async def inventory(self, host: str, inventory: HostInventory) -> None:
        self.note("inventory", host, inventory)
