"""One session with one agent, from its admitted Hello to its end. Knows no gRPC: a Transport carries it.

Two loops: `_read` handles what the agent says, in order, and reads no further while the runtime stores it, so that an
agent that floods only waits; `_write` drains the outbox into as few messages as possible.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.limits import MOST_ITEMS
from pilotage_proto.v1 import fleet_pb2 as pb

from pilotage_coordinator.domain.fleet import (
    Assignment,
    AttemptReport,
    HostInventory,
    JournalEntry,
    JournalState,
    LogPiece,
    Query,
    QueryAnswer,
)
from pilotage_coordinator.fleet import wire
from pilotage_coordinator.fleet.admission import Live
from pilotage_coordinator.fleet.errors import BadMessage, RefusalReason, Refused, TransportLost
from pilotage_coordinator.fleet.log_hold import LogHold
from pilotage_coordinator.fleet.messages import (
    Accepted,
    AgentMessage,
    Answered,
    Heartbeat,
    Hello,
    JournalPage,
    Progress,
    Started,
)
from pilotage_coordinator.fleet.offers import Offers
from pilotage_coordinator.fleet.outbox import Outbox
from pilotage_coordinator.fleet.oversize import declined
from pilotage_coordinator.fleet.pulse import Pulse
from pilotage_coordinator.fleet.questions import Questions
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.fleet.transport import Transport
from pilotage_coordinator.runtime.fleet_port import FleetListener, HostUnreachable
from pilotage_coordinator.structured import structlog

_log = structlog.get_logger("pilotage.fleet")

INTERNAL_PAUSE_MS = 5_000
"""How long an agent is asked to stay away after an error on this side."""


@dataclass(frozen=True, slots=True)
class Party:
    """Whom a session is with, as the certificate and the registry say. `expires_at`: end of the certificate."""

    host_id: str
    host: str
    serial: str
    expires_at: int
    sealing_key: bytes


class Session:
    """A session. `run` lives as long as it; the other methods are for the loop's thread and never wait."""

    def __init__(
        self,
        party: Party,
        hello: Hello,
        transport: Transport,
        listener: FleetListener,
        settings: SessionSettings,
        token: Callable[[], str],
        reconciled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`token` gives unguessable, unique texts for pings and queries.

        `reconciled` is awaited once the listener has compared the journal, before anything is sent to the agent.
        """
        self._reconciled = reconciled
        self.party = party
        self.finished = asyncio.Event()
        """Set after the listener was told of the session's end."""
        self._greeting = hello.greeting
        self._inventory: HostInventory | None = hello.inventory
        """As greeted; let go once it is told, because it is large and there are many sessions."""
        self._transport = transport
        self._listener = listener
        self._settings = settings
        self._token = token
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        slots = max(1, min(hello.greeting.slots, settings.most_slots))
        self._outbox = Outbox(slots, self._wake.set, self._too_large)
        self._declining: set[asyncio.Task[None]] = set()
        self._pulse = Pulse(settings, self._ping, self._silent)
        self._journal: list[JournalEntry] | None = []
        """Pages so far; None once the journal is complete."""
        self._journal_bytes = 0
        self._told = False
        self._opened = False
        self._ending: str | None = None
        self._reader: asyncio.Task[None] | None = None
        self._farewell: asyncio.Timeout | None = None
        self._speaking = asyncio.Lock()
        self._questions = Questions(party.host, party.sealing_key, settings, token, self._outbox.push)
        self._logs = LogHold(party.host, listener, settings, self._speaking, self._outbox.acknowledge_log)
        self._offers = Offers(party.host, listener, settings, self._speaking, self._acknowledge, self._cannot_store)

    @property
    def live(self) -> Live:
        """Return by what a second session of the same host is judged."""
        greeting = self._greeting
        return Live(greeting.instance_id, greeting.journal_id, greeting.session_counter)

    @property
    def online(self) -> bool:
        """Return whether the journal is reconciled and the session goes on."""
        return self._opened and self._ending is None

    @property
    def outbox(self) -> Outbox:
        """Return what waits to be sent: assignments and cancels go here."""
        return self._outbox

    async def run(self, welcome: pb.CoordinatorItem, rest: Sequence[AgentMessage]) -> None:
        """Hold the session until it ends; `rest` came in the same message as the Hello."""
        self._outbox.push(welcome)
        self._pulse.start(asyncio.get_running_loop())
        self._reader = asyncio.create_task(self._read(rest))
        try:
            async with asyncio.timeout(None) as self._farewell:
                await self._write()
        except TimeoutError:
            _log.warning("session.farewell_unsent", host=self.party.host, reason=self._ending)
        except TransportLost as error:
            self.end(f"the stream was lost: {error}")
        finally:
            self._farewell = None
            self.end("the coordinator stopped the session")
            await self._finish()

    def end(self, reason: str, farewell: pb.CoordinatorItem | None = None) -> None:
        """End the session at once; the first reason counts. What is being stored is finished, nothing more is read."""
        if self._ending is not None:
            return
        self._ending = reason
        self._pulse.stop()
        self._outbox.close(farewell)
        self._wake.set()
        self._room.set()
        self._questions.lose(reason)
        self._logs.close()
        if self._farewell is not None:
            self._farewell.reschedule(asyncio.get_running_loop().time() + self._settings.farewell_seconds)
        if self._reader is not None and self._pulse.receiving:
            self._reader.cancel()

    def refuse(self, refused: Refused) -> None:
        """End the session and tell the agent why."""
        self.end(refused.message, wire.write_refusal(refused))

    async def challenge(self) -> bool:
        """Return whether the agent's instance still answers."""
        return self._ending is None and await self._pulse.challenge(self._token())

    async def ask(self, query: Query) -> QueryAnswer:
        """Ask the host; raises HostUnreachable as FleetPort.query says."""
        if not self.online:
            raise HostUnreachable(f"{self.party.host} has no session now")
        return await self._questions.ask(query)

    async def _write(self) -> None:
        while True:
            self._wake.clear()
            items = self._outbox.take()
            if items:
                await self._transport.send(items)
                if not self._room.is_set() and self._outbox.unsent < self._settings.most_unsent:
                    self._room.set()
            elif self._ending is not None:
                return
            else:
                await self._wake.wait()

    async def _read(self, rest: Sequence[AgentMessage]) -> None:
        try:
            await self._handle(rest)
            while self._ending is None:
                while self._outbox.unsent >= self._settings.most_unsent and self._ending is None:
                    self._room.clear()
                    await self._room.wait()
                with self._pulse.listening():
                    items = await self._transport.receive()
                if items is None:
                    self.end("the agent ended the stream")
                    return
                await self._handle(wire.read_items(items))
        except BadMessage as error:
            self.refuse(Refused(RefusalReason.BAD_MESSAGE, str(error), retry=False))
            _log.warning("session.bad_message", host=self.party.host, error=str(error))
        except Refused as refused:
            self.refuse(refused)
        except TransportLost as error:
            self.end(f"the stream was lost: {error}")
        except Exception:
            _log.exception("session.failed", host=self.party.host)
            self.end("an error in the coordinator; its log says which", wire.write_goodbye(INTERNAL_PAUSE_MS))

    async def _finish(self) -> None:
        """Wait for what is being stored, then tell the listener of the end."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.gather(reader, return_exceptions=True)
        await asyncio.gather(*self._declining, return_exceptions=True)
        await self._logs.stop()
        await self._offers.stop()
        try:
            if self._told:
                await self._listener.session_closed(self.party.host, self._ending or "")
        finally:
            self.finished.set()

    async def _handle(self, messages: Sequence[AgentMessage]) -> None:
        async with self._speaking:
            position = 0
            while position < len(messages) and self._ending is None:
                if self._journal is not None:
                    await self._open(messages[position])
                    position += 1
                elif isinstance(messages[position], AttemptReport):
                    reports = _leading_reports(messages, position)
                    await self._offer(reports)
                    position += len(reports)
                else:
                    await self._hear(messages[position])
                    position += 1

    async def _open(self, message: AgentMessage) -> None:
        """Take a message of the handshake: journal pages, and heartbeats between them."""
        match message:
            case Heartbeat():
                self._pulse.heard(message.nonce)
            case JournalPage():
                assert self._journal is not None
                for entry in message.entries:
                    self._own(entry.key)
                self._journal.extend(message.entries)
                self._journal_bytes += message.size
                if len(self._journal) > self._settings.most_entries:
                    raise BadMessage(f"the journal has more than {self._settings.most_entries} open entries")
                if self._journal_bytes > self._settings.largest_journal:
                    raise BadMessage(f"the open entries of the journal exceed {self._settings.largest_journal} bytes")
                if message.complete:
                    journal, self._journal = self._journal, None
                    self._pulse.greeted()
                    await self._reconcile(journal)
            case _:
                raise BadMessage(f"{type(message).__name__} came before the journal was complete")

    async def _reconcile(self, journal: Sequence[JournalEntry]) -> None:
        for entry in journal:
            if entry.state is JournalState.STARTED:
                self._outbox.occupy(entry.key)
        self._told = True
        inventory, self._inventory = self._inventory, None
        assert inventory is not None
        await self._listener.session_opened(self.party.host, self._greeting, inventory, journal)
        if self._reconciled is not None:
            try:
                await self._reconciled()
            except Refused as refused:
                self.refuse(refused)
                return
        reports = [entry.report for entry in journal if entry.report is not None]
        self._opened = True
        self._outbox.open()
        for start in range(0, len(reports), MOST_ITEMS):
            if self._ending is not None:
                return
            await self._offer(reports[start : start + MOST_ITEMS])
        if self._ending is None:
            await self._listener.session_ready(self.party.host)

    async def _hear(self, message: AgentMessage) -> None:
        host = self.party.host
        match message:
            case Heartbeat():
                self._pulse.heard(message.nonce)
            case Accepted():
                self._own(message.key)
                await self._listener.accepted(host, message.key, message.epoch)
            case Started():
                self._own(message.key)
                await self._listener.started(host, message.key, message.epoch, message.started_at)
            case LogPiece():
                self._own(message.key)
                await self._logs.take(message)
            case Progress():
                self._own(message.key)
                self._listener.progress(host, message.key, message.fraction, message.text)
            case HostInventory():
                await self._listener.inventory(host, message)
            case Answered():
                self._questions.answered(message.query_id, message.answer)
            case _:
                raise BadMessage(f"{type(message).__name__} is not allowed after the journal is complete")

    async def _offer(self, reports: Sequence[AttemptReport]) -> None:
        for report in reports:
            self._own(report.key)
        await self._offers.offer(reports)

    def _too_large(self, assignment: Assignment, size: int) -> None:
        task = asyncio.get_running_loop().create_task(self._decline(declined(assignment, size)))
        self._declining.add(task)
        task.add_done_callback(self._declining.discard)

    async def _decline(self, report: AttemptReport) -> None:
        async with self._speaking:
            if self._ending is None:
                await self._offers.offer([report])

    def _acknowledge(self, key: AttemptKey) -> None:
        self._outbox.answered(key)
        self._outbox.push(wire.write_result_ack(key))

    def _cannot_store(self) -> None:
        self.end("its results cannot be stored now", wire.write_goodbye(INTERNAL_PAUSE_MS))

    def _own(self, key: AttemptKey) -> None:
        if key.host != self.party.host:
            raise BadMessage(f"{self.party.host} spoke about an attempt of another host, {key}")

    def _ping(self, nonce: str) -> None:
        self._outbox.push(wire.write_ping(nonce or self._token()))

    def _silent(self, reason: str) -> None:
        self.end(reason, wire.write_goodbye(0))


def _leading_reports(messages: Sequence[AgentMessage], start: int) -> list[AttemptReport]:
    """Return the reports that follow each other from `start`, up to the first that repeats a key."""
    reports: dict[AttemptKey, AttemptReport] = {}
    for message in messages[start:]:
        if not isinstance(message, AttemptReport) or message.key in reports:
            break
        reports[message.key] = message
    return list(reports.values())
