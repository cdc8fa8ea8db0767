"""One session with a coordinator: Hello, the journal, Welcome, and then items both ways until the stream ends.

The order is fleet.proto's. Nothing of a session is kept for the next: what matters is in the journal.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage_proto.limits import FULL_MESSAGE

from pilotage_agent.attempts import Attempts
from pilotage_agent.errors import LinkLost, LinkRefused
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal import Journal
from pilotage_agent.ledger import Entry
from pilotage_agent.link.log_feed import LogFeed
from pilotage_agent.link.transport import Transport
from pilotage_agent.messages import (
    AgentItem,
    Assignment,
    AuditHead,
    Cancel,
    CoordinatorItem,
    EntryState,
    Goodbye,
    Heartbeat,
    Hello,
    Inventory,
    JournalLine,
    JournalPage,
    LogAck,
    Ping,
    Query,
    Refusal,
    Result,
    ResultAck,
    SignedPlan,
    Welcome,
)
from pilotage_agent.outbox import Outbox, size_of
from pilotage_agent.results import bounded
from pilotage_agent.witness import Witness, judge

_log = logging.getLogger("pilotage.agent.link")

PROTOCOL_MIN: Final = 1
PROTOCOL_MAX: Final = 1

WELCOME_SECONDS: Final = 30.0
PAGE: Final = 100
"""Journal entries in one page, at most; fewer when FULL_MESSAGE is reached."""

LOOK_SECONDS: Final = 0.25
"""How often logs and progress of running attempts are looked at."""

REPEAT_SECONDS: Final = 30.0
"""How often results that stay unacknowledged are reported again."""


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What every session of this agent process works with. `now` gives UTC microseconds."""

    journal: Journal
    attempts: Attempts
    outbox: Outbox
    logs: LogFeed
    inventory: Callable[[], Inventory]
    now: Callable[[], int]
    failpoints: Failpoints
    agent_version: str
    instance_id: str
    boot_id: str
    slots: int
    host_id: str = ""
    """Under which identity heads of the audit log are seen."""
    owners: Callable[[], Sequence[str]] = tuple
    """The owners' public keys that this host knows; raises OSError or ValueError when they cannot be read."""


class Session:
    """Runs once over one transport. `on_welcome` is called when the session is open."""

    def __init__(
        self, parts: SessionParts, transport: Transport, on_welcome: Callable[[], None] = lambda: None
    ) -> None:
        self._parts = parts
        self._transport = transport
        self._on_welcome = on_welcome
        self._goodbye: Goodbye | None = None

    async def run(self) -> Goodbye | None:
        """Hold the session until it ends; returns the coordinator's Goodbye when it said one.

        Raises LinkLost when the stream broke, LinkRefused when the coordinator will not have us (or we not it), and
        JournalUnwritable when the session cannot be counted durably.
        """
        parts = self._parts
        counter = await parts.journal.next_session()
        parts.failpoints.reach("agent.session.counted")
        parts.outbox.clear()
        await self._transport.send([self._hello(counter)])
        for page in tuple(pages(parts.journal)):
            await self._transport.send([page])
        parts.failpoints.reach("agent.hello.sent")
        welcome, rest = await self._welcome()
        await self._see_log(welcome)
        parts.journal.see_epoch(welcome.epoch)
        parts.logs.begin_session(welcome.log_window)
        self._on_welcome()
        try:
            await self._hold(welcome, rest)
        finally:
            parts.attempts.drop_queries()
        return self._goodbye

    def _hello(self, counter: int) -> Hello:
        parts = self._parts
        return Hello(
            agent_version=parts.agent_version,
            instance_id=parts.instance_id,
            journal_id=parts.journal.journal_id,
            journal_sequence=parts.journal.sequence,
            session_counter=counter,
            highest_epoch=parts.journal.highest_epoch,
            boot_id=parts.boot_id,
            clock=parts.now(),
            slots=parts.slots,
            inventory=parts.inventory(),
            protocol_min=PROTOCOL_MIN,
            protocol_max=PROTOCOL_MAX,
            witness=self._seen(),
        )

    def _seen(self) -> AuditHead | None:
        """Return the newest head that was seen under this identity."""
        witness = self._parts.journal.witness
        return witness.head if witness is not None and witness.host_id == self._parts.host_id else None

    async def _see_log(self, welcome: Welcome) -> None:
        """Compare the coordinator's audit log with what was seen; raises LinkRefused for one that goes back."""
        parts = self._parts
        try:
            owners = tuple(parts.owners())
        except (OSError, ValueError) as error:
            raise LinkRefused(f"the owners' keys of this host cannot be read: {error}", retry=True) from error
        consumed = parts.journal.approval_consumed
        ruling = judge(self._seen(), welcome.audit_head, welcome.recoveries, owners, consumed)
        if ruling.refusal:
            raise LinkRefused(bounded(ruling.refusal), retry=True)
        if ruling.consume:
            assert welcome.audit_head is not None
            _log.warning(
                "the coordinator was restored: its audit log goes on after entry %s", welcome.audit_head.sequence
            )
            # Both in one transaction, before anything else: the record is not used up without the host going back.
            parts.journal.see_head(Witness(parts.host_id, welcome.audit_head))
            await parts.journal.consume_approval(ruling.consume)
        elif welcome.audit_head is not None:
            parts.journal.see_head(Witness(parts.host_id, welcome.audit_head))

    async def _welcome(self) -> tuple[Welcome, Sequence[CoordinatorItem]]:
        try:
            async with asyncio.timeout(WELCOME_SECONDS):
                first, *rest = await self._transport.receive()
        except TimeoutError:
            raise LinkLost(f"the coordinator did not answer Hello within {WELCOME_SECONDS:.0f} s") from None
        except ValueError:
            raise LinkLost("the coordinator answered Hello with an empty message") from None
        if isinstance(first, Refusal):
            raise refused(first)
        if isinstance(first, Goodbye):
            raise LinkLost("the coordinator cannot open a session now; its log says why")
        if not isinstance(first, Welcome):
            raise LinkLost(f"the coordinator answered Hello with {type(first).__name__}")
        highest = self._parts.journal.highest_epoch
        if first.epoch < highest:
            raise LinkRefused(
                f"this coordinator is at epoch {first.epoch}, but this host has seen {highest}: it was restored from"
                " an old copy, or it is not the one in charge",
                retry=True,
            )
        if not PROTOCOL_MIN <= first.protocol <= PROTOCOL_MAX:
            raise LinkRefused(f"the coordinator chose protocol {first.protocol}, which we did not offer", retry=False)
        return first, rest

    async def _hold(self, welcome: Welcome, rest: Sequence[CoordinatorItem]) -> None:
        """Work both ways until one side ends it."""
        tasks = [
            asyncio.ensure_future(self._receive(rest)),
            asyncio.ensure_future(self._send()),
            asyncio.ensure_future(self._beat(max(1, welcome.heartbeat_seconds))),
            asyncio.ensure_future(self._look()),
            asyncio.ensure_future(self._repeat()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            if (error := task.exception()) and not (self._goodbye and isinstance(error, LinkLost)):
                raise error

    async def _receive(self, rest: Sequence[CoordinatorItem]) -> None:
        items = rest
        while True:
            for item in items:
                if not self._handle(item):
                    return
            items = await self._transport.receive()

    def _handle(self, item: CoordinatorItem) -> bool:
        """Take one item; says whether the session goes on."""
        parts = self._parts
        match item:
            case Assignment():
                parts.attempts.assign(item)
            case SignedPlan():
                parts.attempts.see(item)
            case ResultAck():
                parts.attempts.acknowledge(item)
            case Cancel():
                parts.attempts.cancel(item)
            case LogAck():
                parts.logs.acknowledge(item)
                parts.outbox.wake()
            case Ping(nonce):
                self._heartbeat(nonce)
            case Query():
                parts.attempts.ask(item)
            case Goodbye():
                self._goodbye = item
                return False
            case Refusal():
                raise refused(item)
            case AuditHead():
                self._see_head(item)
            case Welcome():
                raise LinkLost("the coordinator said Welcome twice")
        return True

    def _see_head(self, head: AuditHead) -> None:
        seen = self._seen()
        if seen is not None and (head.log != seen.log or head.sequence < seen.sequence):
            raise LinkRefused("the coordinator's audit log goes back within a session", retry=True)
        self._parts.journal.see_head(Witness(self._parts.host_id, head))

    async def _send(self) -> None:
        parts = self._parts
        while True:
            await parts.outbox.wait()
            items: list[AgentItem] = parts.outbox.take()
            if items:
                await self._transport.send(items)
                if any(isinstance(item, Result) for item in items):
                    parts.failpoints.reach("agent.result.sent")
            if (chunk := await parts.logs.next_chunk()) is not None:
                await self._transport.send([chunk])
                parts.outbox.wake()

    async def _beat(self, seconds: int) -> None:
        while True:
            await asyncio.sleep(seconds)
            self._heartbeat("")

    async def _look(self) -> None:
        """Look for new log lines and progress of what runs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for progress in self._parts.logs.progress():
                self._parts.outbox.progress(progress)
            if self._parts.logs.look():
                self._parts.outbox.wake()

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(REPEAT_SECONDS)
            self._parts.attempts.report_unacknowledged()

    def _heartbeat(self, nonce: str) -> None:
        parts = self._parts
        running, waiting = parts.attempts.running, parts.attempts.waiting
        parts.outbox.heartbeat(Heartbeat(parts.now(), nonce, running, waiting))


def refused(refusal: Refusal) -> LinkRefused:
    """Return the error for a coordinator's Refusal; bounded, as it goes into logs and the status file."""
    reason = refusal.reason or "for a reason that this version does not know"
    return LinkRefused(f"refused ({reason}): {bounded(refusal.message)}", retry=refusal.retry)


def pages(journal: Journal) -> Iterator[JournalPage]:
    """Return the open entries in pages, the last one complete; only what is durable is told."""
    held: list[JournalLine] = []
    size = 0
    for entry in journal.entries():
        line = line_of(entry, durable=journal.is_durable(entry.key))
        held.append(line)
        size += size_of(line.result) if line.result else 0
        if len(held) >= PAGE or size >= FULL_MESSAGE:
            yield JournalPage(tuple(held), complete=False)
            held, size = [], 0
    yield JournalPage(tuple(held), complete=True)


def line_of(entry: Entry, *, durable: bool) -> JournalLine:
    """Return how an entry is told; an end that is not durable yet is told as what came before it."""
    state, result = entry.state, entry.result
    if state is EntryState.EXITED and not durable:
        state, result = (EntryState.STARTED if entry.started_at else EntryState.ACCEPTED), None
    return JournalLine(key=entry.key, state=state, epoch=entry.epoch, result=result, started_at=entry.started_at)
