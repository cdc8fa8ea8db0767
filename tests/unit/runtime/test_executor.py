"""The executor over the real store (simulated disk) and a fleet that only takes notes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pilotage_coordinator.domain.execution.inputs import CancelRequested, PauseRequested, ResumeRequested, RetryFailed
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.fleet import Assignment, AttemptReport, HostInventory, LogPiece, Outcome
from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.codec import digest, to_json
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.executor import Executor, Start
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.second_redaction import SecondRedaction, UnknownAttempt
from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_coordinator.store.records import PlanRecord
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.engine.build import FakeWorld, leaf, plan


class StoppedClock:
    def now(self) -> int:
        return 1_000_000

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Notes:
    """A FleetPort whose hosts are all there and never answer by themselves."""

    sent: list[Assignment] = field(default_factory=list)
    cancelled: list[tuple[AttemptKey, int]] = field(default_factory=list)
    reconnected: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def online(self, host: str) -> bool:
        return True

    def assign(self, assignment: Assignment) -> None:
        self.sent.append(assignment)
        self.changed.set()

    def cancel(self, key: AttemptKey, epoch: int, reason: str) -> None:
        self.cancelled.append((key, epoch))

    def reconnect(self, host: str, reason: str) -> None:
        self.reconnected.append(host)

    async def until_sent(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Desk:
    disk: SimulatedDisk
    store: SqliteStore
    port: Notes
    executor: Executor

    async def start(self, name: str, made: Plan) -> None:
        made = replace(made, digest=digest(made))
        await self.store.plans.put(PlanRecord(made.digest, to_json(made)))
        await self.executor.start(Start(name, made, "anna"))

    async def answer(self, outcome: Outcome = Outcome.SUCCEEDED) -> None:
        assignment = self.port.sent.pop(0)
        await self.executor.report(AttemptReport(assignment.key, assignment.epoch, outcome, error="no"))
        await self.executor.close()


async def _desk(disk: SimulatedDisk, epoch: int = 1) -> Desk:
    store = await open_simulated_store(disk, now=0, new_id=lambda prefix: f"{prefix}_1")
    clock, port = StoppedClock(), Notes()
    dispatcher = Dispatcher(port, None, LiveInventory(store.hosts, clock), None, epoch)  # type: ignore[arg-type]
    world: Any = FakeWorld(["h1", "h2"])
    return Desk(disk, store, port, Executor(store, dispatcher, world, clock, epoch, SecondRedaction(None)))  # type: ignore[arg-type]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    found = await _desk(SimulatedDisk())
    yield found
    await found.executor.close()
    await found.store.close()


async def test_an_execution_that_is_over_leaves_the_memory_and_can_be_taken_up_again(desk: Desk) -> None:
    await desk.start("exe_1", plan(leaf("a", "h1")))
    assert desk.executor.active == 1
    await desk.answer(Outcome.FAILED)
    assert desk.executor.active == 0
    assert (await desk.executor.state("exe_1")).status == "failed"
    assert desk.executor.active == 0
    await desk.executor.submit("exe_1", RetryFailed("anna"))
    assert desk.executor.active == 1
    assert [each.key.attempt for each in desk.port.sent] == [2]
    await desk.answer()
    assert desk.executor.active == 0
    assert (await desk.executor.state("exe_1")).status == "completed"


async def test_that_an_attempt_runs_is_news_once(desk: Desk) -> None:
    await desk.start("exe_1", plan(leaf("a", "h1")))
    key = desk.port.sent[0].key
    for _ in range(2):
        await desk.executor.begun(key, 1)
        await desk.executor.close()
    live = await desk.executor.find("exe_1")
    assert live is not None
    before = live.position
    await desk.executor.begun(key, 1)
    assert live.idle
    assert live.position is before
    assert (await desk.executor.state("exe_1")).open[RunKey("a", "h1")].started


async def test_what_is_refused_leaves_nothing_in_memory_either(desk: Desk) -> None:
    await desk.start("exe_1", plan(leaf("a", "h1")))
    await desk.answer()
    with pytest.raises(Exception, match="completed"):
        await desk.executor.submit("exe_1", CancelRequested("anna"))
    await desk.executor.close()
    assert desk.executor.active == 0


async def test_one_execution_that_cannot_be_read_does_not_keep_the_others_waiting() -> None:
    disk = SimulatedDisk()
    first = await _desk(disk)
    for name in ("exe_1", "exe_2"):
        await first.start(name, plan(leaf("a", "h1")))
    broken = next(row for row in await first.store.executions.active() if row.id == "exe_1")
    disk_connection: Any = first.store._access.database.connection  # type: ignore[attr-defined]
    disk_connection.execute("UPDATE workflow_events SET data = '{}' WHERE execution = ?", (broken.id,))
    disk_connection.commit()
    await first.executor.close()
    await first.store.close()
    second = await _desk(disk)
    await second.executor.recover()
    assert second.executor.recovered.is_set()
    assert second.executor.active == 1
    assert set(second.executor.unread.reasons) == {"exe_1"}
    await second.executor.close()
    await second.store.close()


async def test_a_result_that_the_disk_refuses_is_not_taken_and_is_taken_later(desk: Desk) -> None:
    await desk.start("exe_1", plan(leaf("a", "h1"), leaf("b", "h1", after=["a"])))
    report = AttemptReport(desk.port.sent.pop().key, 1, Outcome.SUCCEEDED)
    desk.disk.full = True
    with pytest.raises(StoreUnavailable):
        await desk.executor.report(report)
    assert (await desk.executor.state("exe_1")).run(("a", "h1", "")).status == "assigned"  # type: ignore[arg-type]
    desk.disk.full = False
    await desk.executor.report(report)
    await desk.executor.close()
    assert [each.key.path for each in desk.port.sent if each.key.path == "b"] == ["b"]


async def test_words_of_attempts_that_nobody_assigned_are_refused(desk: Desk) -> None:
    await desk.start("exe_1", plan(leaf("a", "h1")))
    assert (await desk.executor.redacted(LogPiece(desk.port.sent[0].key, 0, b"x\n"))).data == b"x\n"
    for key in (AttemptKey("exe_9", "a", "h1", "", AttemptKind.RUN, 1), desk.port.sent[0].key._replace(attempt=7)):
        with pytest.raises(UnknownAttempt):
            await desk.executor.redacted(LogPiece(key, 0, b"x\n"))


async def test_what_has_no_credit_waits_and_goes_when_there_is_some(desk: Desk) -> None:
    desk.executor.dispatcher.credit = 1
    await desk.start("exe_1", plan(leaf("a", "h1", "h2")))
    assert [each.key.host for each in desk.port.sent] == ["h1"]
    await desk.answer()
    assert [each.key.host for each in desk.port.sent] == ["h2"]


async def test_credit_of_a_host_that_left_goes_to_others(desk: Desk) -> None:
    desk.executor.dispatcher.credit = 1
    await desk.start("exe_1", plan(leaf("a", "h1", "h2")))
    desk.executor.dispatcher.host_left("h1")
    await desk.executor.sending.refill()
    assert [each.key.host for each in desk.port.sent] == ["h1", "h2"]


async def test_one_host_holds_no_more_than_its_own_credit_and_keeps_no_other_waiting(desk: Desk) -> None:
    def sent() -> list[tuple[str, str]]:
        return [(each.key.path, each.key.host) for each in desk.port.sent]

    desk.executor.dispatcher.host_credit = 1
    await desk.start("exe_1", plan(leaf("a", "h1"), leaf("b", "h1"), leaf("c", "h1", "h2")))
    assert sent() == [("a", "h1"), ("c", "h2")]
    await desk.answer()
    assert sent() == [("c", "h2"), ("b", "h1")]
    await desk.answer()
    await desk.answer()
    assert sent() == [("c", "h1")]


async def test_what_waits_for_credit_goes_in_its_order(desk: Desk) -> None:
    desk.executor.dispatcher.host_credit = 2
    steps = [leaf(id, "h1") for id in "abcdefgh"]
    await desk.start("exe_1", plan(*steps))
    order = []
    while desk.port.sent:
        order.append(desk.port.sent[0].key.path)
        await desk.answer()
    assert order == list("abcdefgh")


@pytest.mark.parametrize("facts", [{"addresses": 5}, {"addresses": {"a": 1}}, {"addresses": []}, {}])
async def test_hostile_facts_give_no_address_and_break_nothing(facts: dict[str, Any]) -> None:
    store = await open_simulated_store(SimulatedDisk(), now=0, new_id=lambda prefix: f"{prefix}_1")
    inventory = LiveInventory(store.hosts, StoppedClock())
    step_types: Any = ({"name": "good.one"}, {"name": "bad.schema", "params_schema": []}, {"effect": "no name"})
    inventory.set_reported("nobody", HostInventory(facts, step_types))
    assert inventory._step_types.read(step_types).keys() == {"good.one"}
    await store.close()


async def test_an_attempt_that_is_planned_and_stopped_at_once_still_waits_for_its_result(desk: Desk) -> None:
    """Its result was once taken for old news: acknowledged, and not stored."""
    await desk.start("exe_1", plan(leaf("a", "h1"), leaf("b", "h1", after=["a"])))
    await desk.executor.submit("exe_1", PauseRequested("anna"))
    await desk.answer(Outcome.SUCCEEDED)
    requests = (ResumeRequested("anna"), CancelRequested("anna"))
    await asyncio.gather(*(desk.executor.submit("exe_1", each) for each in requests))
    second = AttemptKey("exe_1", "b", "h1", "", AttemptKind.RUN, 1)
    assert desk.executor.is_open(second)
    assert desk.executor.dispatcher.epoch_of(second) == 1
    await desk.executor.report(AttemptReport(second, 1, Outcome.CANCELLED))
    await desk.executor.close()
    assert not desk.executor.is_open(second)
    assert (await desk.executor.state("exe_1")).status == "cancelled"


async def test_an_execution_is_taken_up_with_the_answers_that_it_was_started_with() -> None:
    """The digest does not cover answers, and the store keeps the first plan of a digest."""
    disk = SimulatedDisk()
    first = await _desk(disk)

    def seen(number: int) -> Plan:
        made = plan(
            leaf("find", "h1", at_plan=True, planned_outputs={"h1": {"n": number}}),
            leaf("first", "h1", after=["find"]),
            leaf("each", "h1", after=["first"], for_each="${{ ['other'] }}", planned_items={"h1": [f"item{number}"]}),
            leaf("last", "h1", after=["each"], parameters={"n": "${{ steps.find.outputs.n }}"}),
        )
        return replace(made, digest=digest(made))

    await first.store.plans.put(PlanRecord(seen(1).digest, to_json(seen(1))))
    await first.start("exe_1", seen(2))
    live = await first.executor.state("exe_1")
    replayed = await first.executor.replay("exe_1", 1000)
    found = RunKey("find", "h1")
    assert live.runs[found].outputs == replayed.runs[found].outputs == {"n": 2}
    disk.crash()

    second = await _desk(disk, 2)
    await second.executor.recover()
    await second.executor.resume_on("h1")
    await second.executor.close()
    await second.answer()
    assert [each.key.item for each in second.port.sent] == ["item2"]
    await second.answer()
    assert second.port.sent[0].parameters == {"n": 2}
    await second.executor.close()
    await second.store.close()
