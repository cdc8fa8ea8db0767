"""The session's order of things, over a transport in memory."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from pilotage_agent.catalogue import HostCatalogue
from pilotage_agent.errors import LinkLost, LinkRefused
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.link.log_feed import LogFeed
from pilotage_agent.link.session import Session, SessionParts
from pilotage_agent.link.wire import to_request
from pilotage_agent.messages import (
    Accepted,
    AgentItem,
    AuditHead,
    CoordinatorItem,
    EntryState,
    FailureKind,
    Goodbye,
    Heartbeat,
    Hello,
    Inventory,
    JournalPage,
    LogAck,
    LogChunk,
    Outcome,
    Ping,
    Progress,
    QueryAnswer,
    Recovery,
    Refusal,
    RefusalReason,
    Result,
    ResultAck,
    Started,
    Welcome,
)
from pilotage_agent.outbox import Outbox
from pilotage_agent.results import fitting, make_result
from pilotage_agent.running import LogPiece
from pilotage_agent.witness import Witness
from pilotage_proto import recovery as records
from pilotage_proto.attempt import AttemptKey
from pilotage_proto.limits import LARGEST_JSON, LARGEST_MESSAGE, LONGEST_TEXT, MOST_ITEMS

from tests.unit.agent.world import Host, World, assignment, key

WELCOME = Welcome(protocol=1, epoch=1, clock=0, heartbeat_seconds=60, log_window=100)


class MemoryTransport:
    """What the agent sent is in `sent`; what it receives is put into `inbox`; None breaks the stream."""

    def __init__(self, *items: CoordinatorItem) -> None:
        self.sent: list[AgentItem] = []
        self.inbox: asyncio.Queue[CoordinatorItem | None] = asyncio.Queue()
        for item in items:
            self.inbox.put_nowait(item)

    async def send(self, items: Sequence[AgentItem]) -> None:
        self.sent += items

    async def receive(self) -> Sequence[CoordinatorItem]:
        item = await self.inbox.get()
        if item is None:
            raise LinkLost("broken")
        return [item]

    async def close(self) -> None:
        pass

    async def wait_for(self, kind: type, number: int = 1) -> list[AgentItem]:
        async with asyncio.timeout(5):
            while len(found := [item for item in self.sent if isinstance(item, kind)]) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return found


def session(host: Host, transport: MemoryTransport, logs: LogFeed | None = None) -> Session:
    parts = SessionParts(
        journal=host.journal,
        attempts=host.attempts,
        outbox=host.outbox,
        logs=logs or LogFeed(lambda key: None),
        inventory=Inventory,
        now=lambda: 1,
        failpoints=Failpoints(),
        agent_version="test",
        instance_id="ins_1",
        boot_id="boot",
        slots=4,
    )
    return Session(parts, transport)


async def test_hello_then_journal_then_work(monkeypatch: pytest.MonkeyPatch) -> None:
    host = await Host(World()).recover()
    transport = MemoryTransport(WELCOME)
    running = asyncio.create_task(session(host, transport).run())
    [hello] = await transport.wait_for(Hello)
    assert isinstance(hello, Hello)
    assert (hello.session_counter, hello.journal_id) == (1, "jrn_1")
    await transport.wait_for(JournalPage)
    assert [type(item) for item in transport.sent[:2]] == [Hello, JournalPage]
    transport.inbox.put_nowait(assignment(key()))
    await transport.wait_for(Started)
    assert not any(isinstance(item, Accepted) for item in transport.sent)
    host.world.finish(key())
    [result] = await transport.wait_for(Result)
    assert isinstance(result, Result)
    assert result.outcome is Outcome.SUCCEEDED
    transport.inbox.put_nowait(ResultAck(key()))
    transport.inbox.put_nowait(Ping("n1"))
    [beat] = await transport.wait_for(Heartbeat)
    assert isinstance(beat, Heartbeat)
    assert beat.nonce == "n1"
    assert len(host.journal) == 0
    transport.inbox.put_nowait(Goodbye(500))
    assert await running == Goodbye(500)


async def test_a_quick_step_sends_its_result_alone() -> None:
    world = World()
    host = await Host(world).recover()
    transport = MemoryTransport(WELCOME)
    running = asyncio.create_task(session(host, transport).run())
    await transport.wait_for(JournalPage)
    transport.inbox.put_nowait(assignment(key()))
    while key() not in world.processes:  # noqa: ASYNC110 - the world tells nobody
        await asyncio.sleep(0)
    world.finish(key())
    await transport.wait_for(Result)
    await asyncio.sleep(0.1)
    assert not any(isinstance(item, Accepted | Started) for item in transport.sent)
    transport.inbox.put_nowait(None)
    with pytest.raises(LinkLost):
        await running


async def test_open_attempts_are_told_with_their_results_in_the_next_session() -> None:
    host = await Host(World()).recover()
    for number in (1, 2):
        host.attempts.assign(assignment(key(number)))
    await host.settle()
    host.world.finish(key(1))
    await host.settle()
    transport = MemoryTransport(WELCOME)
    running = asyncio.create_task(session(host, transport).run())
    [page] = await transport.wait_for(JournalPage)
    assert isinstance(page, JournalPage)
    assert page.complete
    told = {line.key: line for line in page.entries}
    assert told[key(1)].state is EntryState.EXITED
    assert told[key(1)].result is not None
    assert told[key(2)].state is EntryState.STARTED
    running.cancel()


async def test_many_entries_go_in_pages() -> None:
    host = Host(World(), slots=500)
    for number in range(1, 251):
        host.attempts.assign(assignment(key(number)))
    await host.settle(turns=1500)
    transport = MemoryTransport(WELCOME)
    running = asyncio.create_task(session(host, transport).run())
    pages = await transport.wait_for(JournalPage, 3)
    assert [page.complete for page in pages if isinstance(page, JournalPage)] == [False, False, True]
    assert sum(len(page.entries) for page in pages if isinstance(page, JournalPage)) == 250
    running.cancel()


@pytest.mark.parametrize(("retry"), [True, False])
async def test_a_refusal_says_whether_to_come_back(retry: bool) -> None:
    host = await Host(World()).recover()
    transport = MemoryTransport(Refusal(RefusalReason.QUARANTINED, "two of you", retry))
    with pytest.raises(LinkRefused, match="two of you") as refused:
        await session(host, transport).run()
    assert refused.value.retry is retry


async def test_an_older_epoch_is_refused_and_a_newer_one_kept() -> None:
    host = await Host(World()).recover()
    host.journal.see_epoch(3)
    with pytest.raises(LinkRefused, match="epoch 1"):
        await session(host, MemoryTransport(WELCOME)).run()
    newer = Welcome(protocol=1, epoch=4, clock=0, heartbeat_seconds=60, log_window=1)
    assert await session(host, MemoryTransport(newer, Goodbye(1))).run() == Goodbye(1)
    assert host.journal.highest_epoch == 4


@pytest.mark.parametrize("protocol", [0, 2])
async def test_a_protocol_that_was_not_offered_is_refused(protocol: int) -> None:
    host = await Host(World()).recover()
    welcome = Welcome(protocol=protocol, epoch=1, clock=0, heartbeat_seconds=60, log_window=1)
    with pytest.raises(LinkRefused, match=f"chose protocol {protocol}, which we did not offer") as refused:
        await session(host, MemoryTransport(welcome)).run()
    assert not refused.value.retry


async def test_a_session_is_counted_before_hello() -> None:
    host = await Host(World()).recover()
    for number in (1, 2):
        transport = MemoryTransport(WELCOME, Goodbye(1))
        await session(host, transport).run()
        hello = transport.sent[0]
        assert isinstance(hello, Hello)
        assert hello.session_counter == number
        assert host.world.store.load().head.session_counter == number


class TextLog:
    """A LogSource over lines in memory."""

    def __init__(self, of: AttemptKey, data: bytes, *, ended: bool = True) -> None:
        self._key = of
        self.data = data
        self.ended = ended

    @property
    def key(self) -> AttemptKey:
        return self._key

    def size(self) -> int:
        return len(self.data)

    async def read(self, offset: int, limit: int) -> LogPiece:
        cut = self.data[offset : offset + limit]
        cut = cut[: cut.rfind(b"\n") + 1]
        return LogPiece(offset, cut, 0, self.ended and offset + len(cut) == len(self.data))

    def progress(self) -> tuple[float | None, str] | None:
        return None


async def drain(feed: LogFeed) -> list[LogChunk]:
    chunks = []
    while (chunk := await feed.next_chunk()) is not None:
        chunks.append(chunk)
    return chunks


async def test_logs_keep_to_the_window_and_go_on_with_acks() -> None:
    done: list[AttemptKey] = []
    feed = LogFeed(done.append)
    feed.begin_session(25)
    feed.add(TextLog(key(), b"123456789\n" * 5))
    assert [chunk.offset for chunk in await drain(feed)] == [0]
    feed.acknowledge(LogAck(key(), 20))
    assert [(chunk.offset, len(chunk.data)) for chunk in await drain(feed)] == [(20, 20)]
    feed.acknowledge(LogAck(key(), 40))
    [last] = await drain(feed)
    assert last.last
    assert done == []
    feed.acknowledge(LogAck(key(), 50))
    assert done == [key()]


async def test_a_line_longer_than_the_window_passes_alone() -> None:
    feed = LogFeed(lambda key: None)
    feed.begin_session(5)
    feed.add(TextLog(key(), b"123456789\n" * 3))
    assert [len(chunk.data) for chunk in await drain(feed)] == [10]
    feed.acknowledge(LogAck(key(), 10))
    assert [len(chunk.data) for chunk in await drain(feed)] == [10]


async def test_logs_resume_from_the_last_ack_in_a_new_session() -> None:
    feed = LogFeed(lambda key: None)
    feed.begin_session(1000)
    feed.add(TextLog(key(), b"123456789\n" * 5))
    await drain(feed)
    feed.acknowledge(LogAck(key(), 20))
    feed.begin_session(1000)
    assert [chunk.offset for chunk in await drain(feed)] == [20]


async def test_a_coordinator_that_has_more_moves_the_log_on() -> None:
    done: list[AttemptKey] = []
    feed = LogFeed(done.append)
    feed.begin_session(10)
    feed.add(TextLog(key(), b"123456789\n" * 5))
    await drain(feed)
    feed.acknowledge(LogAck(key(), 40))
    [rest] = await drain(feed)
    assert rest.offset == 40
    feed.acknowledge(LogAck(key(), 50))
    assert done == [key()]


async def test_a_coordinator_that_lost_a_part_gets_it_again_once() -> None:
    feed = LogFeed(lambda key: None)
    feed.begin_session(1000)
    feed.add(TextLog(key(), b"123456789\n" * 5, ended=False))
    await drain(feed)
    feed.acknowledge(LogAck(key(), 50))
    feed.acknowledge(LogAck(key(), 10))
    assert [chunk.offset for chunk in await drain(feed)] == [10]
    feed.acknowledge(LogAck(key(), 0))
    assert await drain(feed) == []


async def test_a_log_without_lines_is_done_at_once() -> None:
    done: list[AttemptKey] = []
    feed = LogFeed(done.append)
    feed.add(TextLog(key(), b""))
    assert done == [key()]
    assert await drain(feed) == []


async def test_the_outbox_bounds_a_message() -> None:
    outbox = Outbox(lambda: 0.0)
    for number in range(100):
        outbox.result(make_result(key(number), 1, Outcome.SUCCEEDED, outputs={"x": "y" * 60_000}))
    sizes = []
    while items := outbox.take():
        sizes.append(sum(len(item.outputs) for item in items if isinstance(item, Result)))
    assert max(sizes) < 2 << 20
    assert sum(sizes) > 100 * 60_000


def test_no_message_of_the_outbox_is_larger_than_the_protocol_lets_it() -> None:
    outbox = Outbox(lambda: 0.0)
    for number in range(200):
        error, evidence = "\u20ac" * 10_000, {"log": ["\u20ac" * 8_000]}
        outbox.result(make_result(key(number), 1, Outcome.FAILED, error=error, evidence=evidence))
        outbox.answer(fitting(QueryAnswer(str(number), True, b" " * LARGEST_JSON)))
    for number in range(2_000):
        outbox.progress(Progress(key(number), 0.5, "\u20ac" * 500))
    whole = b" " * LARGEST_JSON
    outbox.inventory(Inventory(whole, whole, whole))
    outbox.heartbeat(Heartbeat(1, "", 1, 1))
    seen = 0
    while items := outbox.take():
        message = to_request(items)
        assert message.ByteSize() < LARGEST_MESSAGE
        assert len(message.items) <= MOST_ITEMS
        seen += len(items)
        if all(isinstance(item, Progress) for item in items) and seen >= 2_402:
            break
    assert seen == 200 + 200 + 2_000 + 2


def test_an_answer_that_is_too_large_says_so() -> None:
    answer = fitting(QueryAnswer("q", True, b" " * (LARGEST_JSON + 1)))
    assert (answer.ok, answer.answer) == (False, b"")
    assert "1048577 bytes" in answer.error
    assert len(fitting(QueryAnswer("q", False, b"", FailureKind.STEP, "x" * 100_000)).error) < LONGEST_TEXT


def test_step_types_beyond_one_message_are_left_out_by_name() -> None:
    described = [{"name": f"big.n{n}", "effect": "once", "docs": "x" * 200_000} for n in range(8)]
    catalogue = HostCatalogue.parse(json.dumps({"step_types": described, "quarantined": []}).encode())
    told = [one["name"] for one in json.loads(catalogue.step_types)]
    untold = [one["entry_point"] for one in json.loads(catalogue.quarantined)]
    assert told + untold == [one["name"] for one in described]
    assert set(catalogue.by_name) == set(told)
    assert len(catalogue.step_types) <= LARGEST_JSON


HEAD = AuditHead("coo_1", 5, "sha256:5", b"k", b"s")


async def seen(host: Host, welcome: Welcome, *more: CoordinatorItem) -> MemoryTransport:
    """Hold a session with a coordinator that shows a head; return its transport after its goodbye."""
    transport = MemoryTransport(welcome)
    for item in (*more, Goodbye(1)):
        transport.inbox.put_nowait(item)
    assert await session(host, transport).run() == Goodbye(1)
    return transport


async def test_the_newest_head_of_the_audit_log_is_kept_and_told_again() -> None:
    host = await Host(World()).recover()
    first = await seen(host, replace(WELCOME, audit_head=HEAD), replace(HEAD, sequence=8, hash="sha256:8"))
    assert isinstance(first.sent[0], Hello)
    assert first.sent[0].witness is None
    await host.journal.flush()
    assert host.world.store.content.head.witness == Witness("", replace(HEAD, sequence=8, hash="sha256:8"))
    second = await seen(host, replace(WELCOME, audit_head=replace(HEAD, sequence=9)))
    assert isinstance(second.sent[0], Hello)
    assert second.sent[0].witness == replace(HEAD, sequence=8, hash="sha256:8")


async def test_a_coordinator_that_goes_back_gets_no_session_and_one_that_tells_of_its_restore_does() -> None:
    host = await Host(World()).recover()
    await seen(host, replace(WELCOME, audit_head=HEAD))
    for shown in (None, replace(HEAD, sequence=4), replace(HEAD, hash="sha256:other")):
        with pytest.raises(LinkRefused) as refused:
            await session(host, MemoryTransport(replace(WELCOME, audit_head=shown, epoch=7))).run()
        assert refused.value.retry
    assert (host.journal.highest_epoch, host.journal.witness) == (1, Witness("", HEAD))
    with pytest.raises(LinkRefused, match="within a session"):
        await seen(host, replace(WELCOME, audit_head=HEAD), replace(HEAD, sequence=4))
    hashes = ["sha256:" + digit * 64 for digit in "25"]
    record = records.Recovery("coo_1", 2, hashes[0], 6, hashes[1], 0)
    back = replace(HEAD, sequence=3)
    await seen(host, replace(WELCOME, audit_head=back, recoveries=(Recovery(record.statement, ""),)))
    content = host.world.store.content
    assert content.head.witness == Witness("", back)
    assert len(content.consumed_approvals) == 1


async def test_nothing_is_taken_back_while_the_owners_keys_cannot_be_read() -> None:
    host = await Host(World()).recover()
    transport = MemoryTransport(WELCOME)
    made = session(host, transport)

    def unreadable() -> tuple[str, ...]:
        raise OSError("input/output error")

    made._parts = replace(made._parts, owners=unreadable)
    with pytest.raises(LinkRefused, match="owners' keys"):
        await made.run()


async def test_who_joins_anew_begins_anew() -> None:
    host = await Host(World()).recover()
    await seen(host, replace(WELCOME, audit_head=HEAD))
    other = session(
        host,
        MemoryTransport(
            replace(WELCOME, audit_head=replace(HEAD, log="coo_2")),
        ),
    )
    other._parts = replace(other._parts, host_id="hst_new")
    transport = other._transport
    assert isinstance(transport, MemoryTransport)
    transport.inbox.put_nowait(Goodbye(1))
    await other.run()
    assert host.journal.witness == Witness("hst_new", replace(HEAD, log="coo_2"))
