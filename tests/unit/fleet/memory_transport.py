"""A stream in memory: what the simulation uses in place of gRPC."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pilotage_coordinator.fleet.errors import TransportLost
from pilotage_proto.v1 import fleet_pb2 as pb


class MemoryTransport:
    def __init__(self) -> None:
        self._incoming: asyncio.Queue[Sequence[pb.AgentItem] | Exception | None] = asyncio.Queue()
        self.sent: list[pb.CoordinatorItem] = []
        self.reading = asyncio.Event()
        """Cleared: the agent reads nothing, so sending waits."""
        self.reading.set()
        self._changed = asyncio.Event()
        self.lost = False

    # The agent's side

    def say(self, *items: pb.AgentItem) -> None:
        self._incoming.put_nowait(items)

    def hang_up(self) -> None:
        self._incoming.put_nowait(None)

    def lose(self) -> None:
        self.lost = True
        self._incoming.put_nowait(TransportLost("cut"))

    def of(self, kind: str) -> list[Any]:
        return [getattr(item, kind) for item in self.sent if item.WhichOneof("item") == kind]

    async def until(self, kind: str, count: int = 1) -> list[Any]:
        async with asyncio.timeout(5):
            while len(self.of(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)

    @property
    def unread(self) -> int:
        return self._incoming.qsize()

    # The coordinator's side

    async def receive(self) -> Sequence[pb.AgentItem] | None:
        message = await self._incoming.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, items: Sequence[pb.CoordinatorItem]) -> None:
        await self.reading.wait()
        if self.lost:
            raise TransportLost("cut")
        self.sent.extend(items)
        self._changed.set()
