"""Sessions and the roster over a transport in memory."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from pilotage_coordinator.domain.fleet import JournalState, Outcome, Query, QueryPurpose
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.fleet import admission
from pilotage_coordinator.fleet.admission import Marks
from pilotage_coordinator.fleet.peer import Peer
from pilotage_coordinator.fleet.registry import Certificate, Host
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.runtime.fleet_port import HostUnreachable
from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_proto.canonical import digest
from pilotage_proto.limits import LARGEST_ITEM
from pilotage_proto.v1 import fleet_pb2 as pb
from structlog.testing import capture_logs

from tests.unit.fleet.agent_items import (
    accepted,
    assignment,
    heartbeat,
    hello,
    journal,
    key,
    log,
    result,
    started,
    wire_key,
    wire_result,
)
from tests.unit.fleet.memory_registry import MemoryRegistry
from tests.unit.fleet.memory_transport import MemoryTransport
from tests.unit.fleet.recording_listener import RecordingListener

QUICK = SessionSettings(
    heartbeat_seconds=1,
    silence_seconds=0.3,
    challenge_seconds=0.1,
    handshake_seconds=0.2,
    farewell_seconds=0.1,
    retry_seconds=0.01,
    query_seconds=0.1,
    most_unsent=20,
)
PATIENT = replace(QUICK, silence_seconds=30.0, handshake_seconds=30.0)


@dataclass
class Fleet:
    settings: SessionSettings = PATIENT
    epoch: int = 7
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    listener: RecordingListener = field(default_factory=RecordingListener)
    now: int = 1_000
    streams: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.roster = Roster(
            self.registry, self.settings, self.epoch, lambda: self.now, lambda: f"token{next(numbers)}"
        )
        self.roster.listen(self.listener)
        self.add("db1")

    def add(self, name: str) -> None:
        host = Host(f"host_{name}", name, "", bytes(32), 0)
        self.registry.hosts[host.id] = host
        self.registry.certificates[f"serial_{name}"] = Certificate(f"serial_{name}", host.id, 0, 10_000)

    def connect(self, *items: pb.AgentItem, name: str = "db1") -> MemoryTransport:
        transport = MemoryTransport()
        peer = Peer(f"host_{name}", name, f"serial_{name}", 10_000)
        if items:
            transport.say(*items)
        self.streams.append(asyncio.create_task(self.roster.serve(peer, transport)))
        return transport

    async def ready(self, *more: pb.AgentItem) -> MemoryTransport:
        transport = self.connect(hello(), journal(), *more)
        await self.listener.until("ready", len(self.listener.named("ready")) + 1)
        return transport

    async def end(self) -> None:
        self.listener.gate.set()
        await self.roster.shut_down(0)
        for stream in self.streams:
            stream.cancel()
        await asyncio.gather(*self.streams, return_exceptions=True)

    async def ended(self, number: int = -1) -> None:
        async with asyncio.timeout(5):
            await self.streams[number]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    fleet = Fleet()
    yield fleet
    await fleet.end()


# The handshake


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([heartbeat()], pb.REFUSAL_REASON_BAD_MESSAGE),
        ([hello(protocol=(2, 9)), journal()], pb.REFUSAL_REASON_PROTOCOL),
        ([hello(protocol=(0, 0)), journal()], pb.REFUSAL_REASON_PROTOCOL),
        ([hello(highest_epoch=8), journal()], pb.REFUSAL_REASON_OLD_COORDINATOR),
        ([hello(), result(key())], pb.REFUSAL_REASON_BAD_MESSAGE),
        ([hello(), hello()], pb.REFUSAL_REASON_BAD_MESSAGE),
        ([hello(), journal(), journal()], pb.REFUSAL_REASON_BAD_MESSAGE),
        (
            [hello(), journal(pb.JournalEntry(key=wire_key(key(host="db2")), state=pb.JOURNAL_STATE_STARTED))],
            pb.REFUSAL_REASON_BAD_MESSAGE,
        ),
    ],
)
async def test_a_wrong_handshake_is_refused(fleet: Fleet, items: list[pb.AgentItem], reason: int) -> None:
    transport = fleet.connect(*items)
    (refusal,) = await transport.until("refusal")
    assert refusal.reason == reason
    await fleet.ended()
    assert not fleet.roster.online("db1")


@pytest.mark.parametrize(
    ("agent", "coordinator", "chosen"), [((0, 1), (1, 1), 1), ((1, 1), (1, 3), 1), ((1, 4), (1, 3), 3)]
)
async def test_an_older_side_is_met_in_the_newest_protocol_of_both(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, agent: tuple[int, int], coordinator: tuple[int, int], chosen: int
) -> None:
    monkeypatch.setattr(admission, "PROTOCOL_MIN", coordinator[0])
    monkeypatch.setattr(admission, "PROTOCOL_MAX", coordinator[1])
    transport = fleet.connect(hello(protocol=agent), journal())
    (welcome,) = await transport.until("welcome")
    assert welcome.protocol == chosen
    await fleet.listener.until("ready")


async def test_an_agent_that_is_too_old_is_told_which_side_to_upgrade(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "PROTOCOL_MIN", 3)
    monkeypatch.setattr(admission, "PROTOCOL_MAX", 4)
    transport = fleet.connect(hello(protocol=(1, 2)), journal())
    (refusal,) = await transport.until("refusal")
    assert (refusal.reason, refusal.retry) == (pb.REFUSAL_REASON_PROTOCOL, False)
    assert "the agent speaks protocol 1 to 2" in refusal.message
    assert "upgrade the older of the two" in refusal.message


async def test_an_agent_that_lacks_what_newer_ones_say_has_a_session_all_the_same(fleet: Fleet) -> None:
    """Fields are only added: an old agent's greeting has their zero values."""
    bare = hello()
    for name in ("agent_version", "boot_id", "clock", "inventory", "slots"):
        bare.hello.ClearField(name)
    fleet.connect(bare, journal())
    await fleet.listener.until("ready")
    assert fleet.roster.online("db1")


async def test_an_old_coordinator_names_what_happened(fleet: Fleet) -> None:
    transport = fleet.connect(hello(highest_epoch=9))
    (refusal,) = await transport.until("refusal")
    assert "older than one this host has seen" in refusal.message
    assert "restored from a backup?" in refusal.message
    assert refusal.retry, "the coordinator that follows with --after-restore would not hear it in time"
    assert fleet.roster.highest_epoch_seen == 9


async def test_a_session_that_comes_before_the_runtime_waits_for_it(fleet: Fleet) -> None:
    fleet.roster = Roster(fleet.registry, fleet.settings, fleet.epoch, lambda: fleet.now, lambda: "token")
    transport = fleet.connect(hello(), journal())
    async with asyncio.timeout(5):
        await fleet.registry.remembered.wait()
    assert not transport.of("welcome")
    assert not fleet.roster.online("db1")
    fleet.roster.listen(fleet.listener)
    await fleet.listener.until("ready")
    assert fleet.roster.online("db1")


async def test_nothing_is_online_or_assigned_until_the_runtime_has_reconciled(fleet: Fleet) -> None:
    fleet.listener.gate.clear()
    transport = fleet.connect(hello(), journal())
    await fleet.listener.until("opened")
    fleet.roster.assign(assignment(key()))
    await transport.until("welcome")
    assert not fleet.roster.online("db1")
    assert not transport.of("assignment")
    fleet.listener.gate.set()
    await transport.until("assignment")


async def test_the_journal_is_told_and_its_ended_attempts_are_taken_and_acknowledged(fleet: Fleet) -> None:
    pages = [
        journal(
            pb.JournalEntry(key=wire_key(key(1)), state=pb.JOURNAL_STATE_STARTED, epoch=6, started_at=9), complete=False
        ),
        journal(
            pb.JournalEntry(key=wire_key(key(2)), state=pb.JOURNAL_STATE_EXITED, epoch=6, result=wire_result(key(2))),
            pb.JournalEntry(key=wire_key(key(3)), state=pb.JOURNAL_STATE_ACCEPTED, epoch=6),
        ),
    ]
    transport = fleet.connect(hello(slots=2), *pages)
    await fleet.listener.until("ready")
    (opened,) = fleet.listener.named("opened")
    assert [entry.state for entry in opened[4]] == [JournalState.STARTED, JournalState.EXITED, JournalState.ACCEPTED]
    assert [call[0] for call in fleet.listener.calls] == ["opened", "result", "ready"]
    (ack,) = await transport.until("result_ack")
    assert ack.key.execution == "exe_2"
    for number in (3, 4):
        fleet.roster.assign(assignment(key(number)))
    (sent,) = await transport.until("assignment")
    assert sent.key.execution == "exe_3"
    transport.say(result(key(1)))
    assert (await transport.until("assignment", 2))[1].key.execution == "exe_4"


async def test_a_slow_handshake_ends() -> None:
    fleet = Fleet(QUICK)
    silent = fleet.connect()
    await silent.until("refusal")
    half = fleet.connect(hello())
    for _ in range(3):
        half.say(heartbeat())
    await half.until("goodbye")
    await fleet.ended()
    assert not fleet.listener.calls
    await fleet.end()


async def test_streams_in_their_handshake_are_bounded_per_host(fleet: Fleet) -> None:
    for _ in range(fleet.settings.most_handshakes):
        fleet.connect()
    await asyncio.sleep(0)
    more = fleet.connect(hello())
    (refusal,) = await more.until("refusal")
    assert refusal.retry
    fleet.add("db2")
    other = fleet.connect(hello(), journal(), name="db2")
    await other.until("welcome")


@pytest.mark.parametrize("trouble", ["revoked", "unknown", "denied", "renamed", "quarantined"])
async def test_hosts_without_standing_are_refused(fleet: Fleet, trouble: str) -> None:
    match trouble:
        case "revoked":
            fleet.registry.revoke("host_db1")
        case "unknown":
            del fleet.registry.hosts["host_db1"]
        case "denied":
            fleet.registry.deny("serial_db1")
        case "renamed":
            fleet.registry.hosts["host_db1"] = replace(fleet.registry.hosts["host_db1"], name="other")
        case _:
            await fleet.registry.quarantine("host_db1", "copied", 0)
    transport = fleet.connect(hello(), journal())
    (refusal,) = await transport.until("refusal")
    quarantined = trouble == "quarantined"
    assert refusal.reason == (pb.REFUSAL_REASON_QUARANTINED if quarantined else pb.REFUSAL_REASON_REVOKED)
    assert not refusal.retry
    assert not fleet.listener.calls


async def test_a_journal_is_bounded_in_entries_and_bytes() -> None:
    entry = pb.JournalEntry(key=wire_key(key()), state=pb.JOURNAL_STATE_STARTED)
    for settings in (replace(PATIENT, most_entries=3), replace(PATIENT, largest_journal=200)):
        fleet = Fleet(settings)
        transport = fleet.connect(hello())
        for _ in range(6):
            transport.say(journal(entry, entry, complete=False))
        (refusal,) = await transport.until("refusal")
        assert refusal.reason == pb.REFUSAL_REASON_BAD_MESSAGE
        await fleet.end()


# Supersession and copies


async def test_a_late_greeting_of_the_same_instance_is_stale(fleet: Fleet) -> None:
    fleet.connect(hello(counter=5), journal())
    await fleet.listener.until("ready")
    late = fleet.connect(hello(counter=4), journal())
    (refusal,) = await late.until("refusal")
    assert refusal.reason == pb.REFUSAL_REASON_STALE_SESSION
    assert fleet.roster.online("db1")


async def test_another_instance_takes_over_from_one_that_does_not_answer(fleet: Fleet) -> None:
    old = await fleet.ready()
    fleet.connect(hello(instance="ins_2", counter=2), journal())
    await fleet.listener.until("ready", 2)
    assert old.of("ping")
    assert old.of("refusal")[0].reason == pb.REFUSAL_REASON_SUPERSEDED
    assert [call[0] for call in fleet.listener.calls] == ["opened", "ready", "closed", "opened", "ready"]


async def test_two_living_instances_are_both_quarantined_durably(fleet: Fleet) -> None:
    old = await fleet.ready()
    new = fleet.connect(hello(instance="ins_2", counter=2), journal())
    (ping,) = await old.until("ping")
    old.say(heartbeat(ping.nonce))
    for transport in (old, new):
        (refusal,) = await transport.until("refusal")
        assert refusal.reason == pb.REFUSAL_REASON_QUARANTINED
    assert "copied" in fleet.registry.hosts["host_db1"].quarantine


async def test_an_echo_of_another_nonce_is_no_answer(fleet: Fleet) -> None:
    old = await fleet.ready()
    fleet.connect(hello(instance="ins_2", counter=2), journal())
    await old.until("ping")
    old.say(heartbeat("forged"), heartbeat(""))
    await fleet.listener.until("ready", 2)
    assert not fleet.registry.hosts["host_db1"].quarantine


async def test_a_replaced_journal_is_remembered_only_after_its_attempts_are_settled(fleet: Fleet) -> None:
    fleet.registry.hosts["host_db1"] = replace(fleet.registry.hosts["host_db1"], marks=Marks("jrn_0", 5, 3, 0))
    fleet.listener.gate.clear()
    fleet.connect(hello(journal="jrn_1", counter=1), journal())
    await fleet.listener.until("opened")
    assert fleet.registry.hosts["host_db1"].marks.journal_id == "jrn_0"
    fleet.listener.gate.set()
    await fleet.listener.until("ready")
    assert fleet.registry.hosts["host_db1"].marks.journal_id == "jrn_1"


async def test_a_journal_that_went_back_quarantines_the_living_session_too(fleet: Fleet) -> None:
    fleet.registry.hosts["host_db1"] = replace(fleet.registry.hosts["host_db1"], marks=Marks("jrn_1", 5, 3, 0))
    back = fleet.connect(hello(instance="ins_9", counter=3, sequence=5))
    (refusal,) = await back.until("refusal")
    assert refusal.reason == pb.REFUSAL_REASON_QUARANTINED
    assert "session counter of journal jrn_1 went from 3 to 3" in refusal.message


async def test_the_closing_of_the_old_session_is_told_before_the_new_one_opens(fleet: Fleet) -> None:
    old = await fleet.ready()
    fleet.listener.gate.clear()
    old.say(result(key()))
    await fleet.listener.begun.wait()
    fleet.connect(hello(counter=2), journal())
    await old.until("refusal")
    assert not fleet.listener.named("closed")
    fleet.listener.gate.set()
    await fleet.listener.until("ready", 2)
    assert [call[0] for call in fleet.listener.calls] == ["opened", "ready", "result", "closed", "opened", "ready"]


# Reports


async def test_reports_reach_the_runtime_in_order_under_the_name_of_the_certificate(fleet: Fleet) -> None:
    transport = await fleet.ready()
    transport.say(accepted(key()), started(key()), log(key(), b"a\n"), result(key()))
    await transport.until("result_ack")
    assert [call[:2] for call in fleet.listener.calls[2:]] == [
        ("accepted", "db1"),
        ("started", "db1"),
        ("log", "db1"),
        ("result", "db1"),
    ]


async def test_a_result_sent_again_is_acknowledged_again(fleet: Fleet) -> None:
    transport = await fleet.ready()
    transport.say(result(key()))
    transport.say(result(key()), result(key()))
    assert len(await transport.until("result_ack", 3)) == 3


async def test_a_result_that_cannot_be_stored_is_offered_again_and_only_then_acknowledged(fleet: Fleet) -> None:
    transport = await fleet.ready()
    fleet.listener.keeps = False
    transport.say(result(key()))
    await fleet.listener.until("unstored", 2)
    assert not transport.of("result_ack")
    fleet.listener.keeps = True
    await transport.until("result_ack")


async def test_a_log_that_cannot_be_stored_is_not_acknowledged_and_not_lost_and_the_session_goes_on(
    fleet: Fleet,
) -> None:
    transport = await fleet.ready()
    fleet.listener.keeps = False
    transport.say(log(key(), b"a\n"), accepted(key(2)), log(key(), b"b\n", 2), log(key(2), b"c\n"))
    await fleet.listener.until("accepted")
    await fleet.listener.until("unkept", 3)
    assert not transport.of("log_ack")
    fleet.listener.keeps = True
    await fleet.listener.until("log", 3)
    assert [call[2].data for call in fleet.listener.named("log")] == [b"a\n", b"b\n", b"c\n"]
    transport.say(result(key(9)))
    await transport.until("result_ack")
    assert {(ack.key.execution, ack.offset) for ack in transport.of("log_ack")} >= {("exe_1", 4), ("exe_2", 2)}
    assert not fleet.listener.named("closed")
    transport.say(log(key(), b"d\n", 4))
    await fleet.listener.until("log", 4)


async def test_an_agent_with_more_log_than_may_be_held_is_not_read_and_can_still_be_sent_away(fleet: Fleet) -> None:
    fleet.roster._settings = replace(PATIENT, most_held_log=3)
    transport = await fleet.ready()
    fleet.listener.keeps = False
    for number in range(5):
        transport.say(log(key(), b"a\n", 2 * number))
    await fleet.listener.until("unkept", 3)
    assert transport.unread == 3
    fleet.listener.keeps = True
    await fleet.listener.until("log", 5)
    fleet.listener.keeps = False
    for number in range(5, 10):
        transport.say(log(key(), b"a\n", 2 * number))
    await fleet.listener.until("unkept", 6)
    await fleet.roster.shut_down(0)
    await fleet.ended()


async def test_a_runtime_that_raises_keeps_the_result_unacknowledged(fleet: Fleet) -> None:
    transport = await fleet.ready()
    fleet.listener.failure = RuntimeError("bug")
    transport.say(result(key(1)), result(key(2)))
    transport.say(accepted(key(3)))
    await fleet.listener.until("accepted")
    assert not transport.of("result_ack")
    fleet.listener.failure = None
    await transport.until("result_ack", 2)


@pytest.mark.parametrize("item", [result(key(host="db2")), accepted(key(host="")), log(key(host="db2"), b"x")])
async def test_a_word_about_another_host_ends_the_session_unheard(fleet: Fleet, item: pb.AgentItem) -> None:
    transport = await fleet.ready()
    transport.say(item)
    (refusal,) = await transport.until("refusal")
    assert refusal.reason == pb.REFUSAL_REASON_BAD_MESSAGE
    await fleet.ended()
    assert [call[0] for call in fleet.listener.calls] == ["opened", "ready", "closed"]


async def test_an_agent_that_does_not_read_is_not_read_either(fleet: Fleet) -> None:
    transport = await fleet.ready()
    transport.reading.clear()
    for number in range(200):
        transport.say(result(key(number)))
    before = -1
    while before != transport.unread:
        before = transport.unread
        for _ in range(20):
            await asyncio.sleep(0)
    assert transport.unread > 150
    transport.reading.set()
    await transport.until("result_ack", 200)


# Liveness and endings


async def test_a_silent_agent_is_pinged_and_then_given_up() -> None:
    fleet = Fleet(QUICK)
    transport = await fleet.ready()
    await transport.until("ping")
    await transport.until("goodbye")
    await fleet.ended()
    assert "nothing was heard" in fleet.listener.named("closed")[0][2]
    await fleet.end()


async def test_a_slow_runtime_is_not_blamed_on_the_agent() -> None:
    fleet = Fleet(QUICK)
    transport = await fleet.ready()
    fleet.listener.gate.clear()
    transport.say(result(key()))
    await asyncio.sleep(QUICK.silence_seconds * 2)
    assert fleet.roster.online("db1")
    fleet.listener.gate.set()
    await transport.until("result_ack")
    await fleet.end()


@pytest.mark.parametrize("how", ["hang_up", "lose"])
async def test_the_end_of_the_stream_is_told_once(fleet: Fleet, how: str) -> None:
    transport = await fleet.ready()
    getattr(transport, how)()
    await fleet.ended()
    assert len(fleet.listener.named("closed")) == 1
    assert not fleet.roster.online("db1")
    fleet.roster.assign(assignment(key()))
    with pytest.raises(HostUnreachable):
        fleet.roster.sealing_key("db1")


async def test_disconnect_works_from_inside_the_runtime(fleet: Fleet) -> None:
    async def refuse(*_: object) -> None:
        await fleet.roster.disconnect("db1", "no longer wanted")

    fleet.listener.session_opened = refuse  # type: ignore[method-assign,assignment]
    transport = fleet.connect(hello(), journal())
    (refusal,) = await transport.until("refusal")
    assert refusal.message == "no longer wanted"
    await fleet.ended()
    assert not fleet.listener.named("ready")


async def test_the_sweep_ends_denied_and_outlived_sessions(fleet: Fleet) -> None:
    transport = await fleet.ready()
    await fleet.roster.sweep()
    assert fleet.roster.online("db1")
    fleet.now = 10_000
    await fleet.roster.sweep()
    await transport.until("goodbye")
    await fleet.ended()
    fleet.now = 1_000
    again = fleet.connect(hello(counter=2), journal())
    await fleet.listener.until("ready", 2)
    fleet.registry.deny("serial_db1")
    await fleet.roster.sweep()
    assert (await again.until("refusal"))[0].reason == pb.REFUSAL_REASON_REVOKED


async def test_queries_are_bounded_in_time_and_number(fleet: Fleet) -> None:
    transport = await fleet.ready()
    query = Query(QueryPurpose.PREVIEW, "file.write", {}, 20_000)
    with pytest.raises(HostUnreachable, match=r"did not answer .* in 0\.02 s"):
        await fleet.roster.query("db1", query)
    slow = [asyncio.create_task(fleet.roster.query("db1", replace(query, timeout=0))) for _ in range(64)]
    await transport.until("query", 65)
    with pytest.raises(HostUnreachable, match="64 unanswered"):
        await fleet.roster.query("db1", query)
    transport.hang_up()
    answers = await asyncio.gather(*slow, return_exceptions=True)
    assert all(isinstance(answer, HostUnreachable) for answer in answers)


async def test_a_failing_registry_sends_agents_away_for_a_while(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(host_id: str) -> Host | None:
        raise OSError("the disk is full")

    monkeypatch.setattr(fleet.registry, "host", broken)
    transport = fleet.connect(hello(), journal())
    (goodbye,) = await transport.until("goodbye")
    assert goodbye.reconnect_ms > 0
    await fleet.ended()


async def test_what_is_too_large_to_send_is_declined_and_the_session_goes_on(fleet: Fleet) -> None:
    transport = await fleet.ready()
    fleet.roster.assign(assignment(key(), {"content": "x" * LARGEST_ITEM}))
    await fleet.listener.until("result")
    [report] = [call[2] for call in fleet.listener.calls if call[0] == "result"]
    assert (report.outcome, report.failure_kind) == (Outcome.DECLINED, FailureKind.PARAMETER)
    assert f"at most {LARGEST_ITEM}" in report.error
    assert report.digest == digest({"outcome": "declined", "outputs": {}, "error": report.error})
    answer = await fleet.roster.query("db1", Query(QueryPurpose.PREVIEW, "file.write", {"x": "x" * LARGEST_ITEM}, 0))
    assert (answer.ok, answer.failure_kind) == (False, FailureKind.PARAMETER)
    fleet.roster.assign(assignment(key(2)))
    assert len(await transport.until("assignment")) == 1


# A disk that is full


async def test_while_nothing_can_be_stored_a_session_is_put_off_without_a_defect_and_opens_once_there_is_space(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember = fleet.registry.remember

    async def full(*arguments: object) -> bool:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(fleet.registry, "remember", full)
    with capture_logs() as logged:
        transport = fleet.connect(hello(), journal())
        await fleet.ended()
    assert transport.sent[-1].WhichOneof("item") == "goodbye"
    assert transport.sent[-1].goodbye.reconnect_ms > 0
    assert [(each["event"], each["log_level"]) for each in logged] == [("session.not_stored", "warning")]
    assert not fleet.roster.online("db1")
    monkeypatch.setattr(fleet.registry, "remember", remember)
    await fleet.ready()
    assert fleet.roster.online("db1")
