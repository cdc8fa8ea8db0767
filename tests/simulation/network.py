"""The simulated network: streams that are slow, stall, break on one side only, and outlive those who opened them."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotage_agent.errors import LinkLost
from pilotage_agent.link.wire import from_response, to_request
from pilotage_agent.messages import AgentItem, CoordinatorItem, Result
from pilotage_coordinator.fleet.errors import TransportLost
from pilotage_coordinator.fleet.wire import write_message
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.simulation.loop import spread
from tests.simulation.mischief import Mischief, ends_the_greeting
from tests.simulation.universe import Universe

WINDOW = 32
"""Messages on their way in one direction before a sender has to wait."""
KEEPALIVE = 30.0
"""Seconds after which an agent's side notices that nobody answers any more."""

_LOST = object()
_END = object()


class Pipe:
    """One direction of a stream: in order, with a latency, perhaps held up."""

    def __init__(self, universe: Universe, name: str, latency: float, deliver: Callable[[str, Any], None]) -> None:
        self._universe = universe
        self._name = name
        self._latency = latency
        self._note = deliver
        self._last = 0.0
        self._arrived: deque[Any] = deque()
        self._held: deque[Any] | None = None
        self._under_way = 0
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self.dead = False
        """Whatever is sent is lost, and nobody is told."""

    def push(self, message: Any) -> None:
        """Send."""
        if self.dead:
            return
        self._under_way += 1
        loop = self._universe.loop
        delay = spread(self._universe.random, self._latency / 3, self._latency * 3)
        # Never two at the same instant: the loop does not promise an order among those.
        self._last = max(self._last + 1e-9, loop.time() + delay)
        loop.call_at(self._last, self._deliver, message, context=loop.world)

    def hold(self) -> None:
        """Let nothing through for now."""
        if self._held is None:
            self._held = deque()

    def release(self) -> None:
        """Let what was held go on."""
        held, self._held = self._held or deque(), None
        for message in held:
            self._deliver(message)

    async def room(self) -> None:
        """Return when the sender may send."""
        while self._under_way >= WINDOW and not self.dead:
            waiting = self._universe.loop.create_future()
            self._writers.append(waiting)
            await waiting

    async def pop(self) -> Any:
        """Return the next message, or the stream's end, again and again."""
        while not self._arrived:
            self._reader = self._universe.loop.create_future()
            await self._reader
        message = self._arrived[0]
        if message is not _LOST and message is not _END:
            self._arrived.popleft()
            self._under_way -= 1
            self._wake_writers()
        return message

    def end(self, message: Any) -> None:
        """Let the reader find the end at once, after what has arrived."""
        self.dead = True
        self._arrived.append(message)
        self._wake_reader()
        self._wake_writers()

    @property
    def ended(self) -> bool:
        """Return whether the end has arrived."""
        return bool(self._arrived) and self._arrived[-1] in (_LOST, _END)

    def _deliver(self, message: Any) -> None:
        if self.dead:
            return
        if self._held is not None:
            self._held.append(message)
            return
        if message is _LOST or message is _END:
            self.end(message)
            return
        self._note(self._name, message)
        self._arrived.append(message)
        self._wake_reader()

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    def _wake_writers(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)


class Stream:
    """A stream between an agent and the coordinator."""

    def __init__(self, universe: Universe, mischief: Mischief, host: str, number: int, latency: float) -> None:
        self.mischief = mischief
        self.host = host
        self.greeted = False
        """The agent has told its journal: it may say anything now."""
        self.welcomed = False
        """The coordinator has opened the session: the agent knows its epoch."""
        self.number = number
        self.universe = universe
        self.up = Pipe(universe, f"{host}.{number} up", latency, universe.delivered)
        self.down = Pipe(universe, f"{host}.{number} down", latency, universe.delivered)
        self.agent = AgentEnd(self)
        self.coordinator = CoordinatorEnd(self)

    def agent_closes(self, *, told: bool = True) -> None:
        """The agent, or its kernel, closes its end; untold, the machine just went silent."""
        if not self.down.ended:
            self.down.end(_LOST)
        if told:
            self.up.push(_LOST)
        else:
            self.up.dead = True

    def coordinator_closes(self, *, told: bool = True) -> None:
        """The coordinator, or its kernel, closes its end."""
        if not self.up.ended:
            self.up.end(_LOST)
        if told:
            self.down.push(_END)
        else:
            self.down.dead = True
            self.universe.loop.later(KEEPALIVE, self.lose_agent_side)

    def lose_agent_side(self) -> None:
        """The agent notices that the stream is gone."""
        if not self.down.ended:
            self.down.end(_LOST)

    def lose_coordinator_side(self) -> None:
        """The coordinator notices that the stream is gone."""
        if not self.up.ended:
            self.up.end(_LOST)

    def hold(self) -> None:
        """Let nothing through."""
        self.up.hold()
        self.down.hold()

    def release(self) -> None:
        """Deliver late what was held."""
        self.up.release()
        self.down.release()

    def break_off(self, agent_after: float, coordinator_after: float | None) -> None:
        """Lose what is not delivered yet; each side learns of it by and by, the coordinator perhaps never."""
        self.down.dead = True
        self.universe.loop.later(agent_after, self.lose_agent_side)
        if coordinator_after is not None:
            self.up.dead = True
            self.universe.loop.later(coordinator_after, self.lose_coordinator_side)


class AgentEnd:
    """Implements the agent's Transport port."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def send(self, items: Sequence[AgentItem]) -> None:
        await self._stream.up.room()
        if self._stream.down.ended:
            raise LinkLost("the stream broke")
        for item in items:
            if isinstance(item, Result):
                self._stream.universe.on_report(item)
        self._stream.mischief.up(self._stream.host, items, self._stream.up.push)
        self._stream.greeted = self._stream.greeted or ends_the_greeting(items)

    async def receive(self) -> Sequence[CoordinatorItem]:
        message = await self._stream.down.pop()
        if message is _LOST:
            raise LinkLost("the stream broke")
        if message is _END:
            raise LinkLost("the coordinator ended the stream")
        return from_response(message)

    async def close(self) -> None:
        if not self._stream.universe.process_is_dead(self._stream.host):
            self._stream.agent_closes()


class CoordinatorEnd:
    """Implements the coordinator's Transport port."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def receive(self) -> Sequence[pb.AgentItem] | None:
        message = await self._stream.up.pop()
        if message is _LOST:
            raise TransportLost("the stream broke")
        assert isinstance(message, pb.SessionRequest)
        return message.items

    async def send(self, items: Sequence[pb.CoordinatorItem]) -> None:
        await self._stream.down.room()
        if self._stream.up.ended:
            raise TransportLost("the stream broke")
        self._stream.universe.sending(self._stream.host, self._stream.number, items)
        self._stream.mischief.down(self._stream.host, items, self._stream.down.push)
        self._stream.welcomed = self._stream.welcomed or any(item.HasField("welcome") for item in items)


@dataclass(slots=True)
class Network:
    """All streams, and who listens."""

    universe: Universe
    mischief: Mischief
    serve: Callable[[Stream], None] | None = None
    """The coordinator's ear; None while it is down."""
    streams: dict[str, list[Stream]] = field(default_factory=dict)
    cut_off: set[str] = field(default_factory=set)
    """Hosts that nobody reaches just now."""
    stalled: dict[str, float] = field(default_factory=dict)
    """Hosts whose next stream carries nothing upwards for so many seconds."""
    _number: int = 0

    async def dial(self, host: str) -> AgentEnd:
        """Open a stream from a host; raises LinkLost."""
        draw = self.universe.random
        await asyncio.sleep(spread(draw, 0.001, 0.05))
        if host in self.cut_off:
            await asyncio.sleep(spread(draw, 0.5, 10))
            raise LinkLost("no answer")
        if self.serve is None:
            raise LinkLost("connection refused")
        self._number += 1
        stream = Stream(self.universe, self.mischief, host, self._number, spread(draw, 0.0005, 0.02))
        self.streams.setdefault(host, []).append(stream)
        self.universe.trace(f"{host} dials stream {stream.number}")
        if host in self.stalled:
            stream.up.hold()
            self.universe.loop.later(self.stalled.pop(host), stream.up.release)
        self.serve(stream)
        return stream.agent

    def agent_died(self, host: str, *, power: bool) -> None:
        """The agent's process is gone; with `power`, the whole machine, and nobody says goodbye."""
        for stream in self._open(host):
            stream.agent_closes(told=not power and host not in self.cut_off)

    def coordinator_died(self) -> None:
        """The coordinator's process is gone; its kernel resets what it had open."""
        self.serve = None
        for host in sorted(self.streams):
            for stream in self._open(host):
                stream.coordinator_closes(told=host not in self.cut_off)

    def cut(self, host: str) -> None:
        """Cut a host off: what is under way waits."""
        self.cut_off.add(host)
        for stream in self._open(host):
            stream.hold()

    def heal(self, host: str, *, late: bool) -> None:
        """Connect it again; what waited arrives late, or the streams are lost."""
        self.cut_off.discard(host)
        for stream in self._open(host):
            stream.release()
            if not late:
                stream.break_off(spread(self.universe.random, 0.01, 5), spread(self.universe.random, 0.01, 5))

    def break_streams(self, host: str, agent_after: float, coordinator_after: float | None) -> None:
        """Break what a host has open."""
        for stream in self._open(host):
            stream.break_off(agent_after, coordinator_after)

    def say(self, host: str, items: Sequence[AgentItem]) -> None:
        """Let a host say something that its agent has not thought of."""
        for stream in self._open(host):
            if stream.greeted and items and not stream.up.ended:
                stream.up.push(to_request(items))

    def say_again(self, host: str, items: Sequence[pb.CoordinatorItem]) -> None:
        """Let a host hear again what a former coordinator has said to it."""
        for stream in self._open(host):
            if stream.welcomed and items and not stream.down.ended:
                stream.down.push(write_message(items))

    def _open(self, host: str) -> list[Stream]:
        streams = [each for each in self.streams.get(host, []) if not (each.up.ended and each.down.ended)]
        self.streams[host] = streams
        return list(streams)
