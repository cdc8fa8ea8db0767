"""The delivery loop over the real executor and store (simulated disk): at least once, whatever dies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.codec import digest, to_json
from pilotage_coordinator.runtime import deliveries as loop
from pilotage_coordinator.runtime.deliveries import MOST_TRIES, Deliveries, NotDelivered, pause_after
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.executor import Executor, Start
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.second_redaction import SecondRedaction
from pilotage_coordinator.steps import coordinator_steps
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused, StoreUnavailable
from pilotage_coordinator.store.records import DeliveryRecord, PlanRecord
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store

from tests.contract.store.records import audit
from tests.unit.engine.build import FakeWorld, here, plan

CHANNELS = ("ops", "slow")


class Clock:
    """Goes on when a test says so."""

    def __init__(self) -> None:
        self.time = 1_000_000

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1e6


@dataclass
class Receiver:
    """A sender that takes notes."""

    taken: list[str] = field(default_factory=list)
    refuse: str = ""
    then: Callable[[], None] = lambda: None
    came: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    async def send(self, delivery: DeliveryRecord) -> str:
        if self.hold is not None:
            await self.hold.wait()
        self.came.set()
        if self.refuse:
            raise NotDelivered(self.refuse)
        self.taken.append(delivery.notification.id)
        self.then()
        return ""


@dataclass
class Site:
    """One life of a coordinator."""

    store: SqliteStore
    executor: Executor
    deliveries: Deliveries
    clock: Clock

    async def start(self, name: str, made: Plan) -> None:
        made = replace(made, digest=digest(made))
        await self.store.plans.put(PlanRecord(made.digest, to_json(made)))
        await self.executor.start(Start(name, made, "anna"))

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds, looking after each turn of the loop."""
        for _ in range(20_000):
            if await holds():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")

    async def until_state(self, notification: str, state: str, attempts: int | None = None) -> DeliveryRecord:
        async def holds() -> bool:
            row = await self.store.deliveries.get(notification)
            return row.status == state and attempts in (None, row.attempts)

        await self.until(holds)
        return await self.store.deliveries.get(notification)

    async def ids(self) -> list[str]:
        return [each.notification.id for each in (await self.store.deliveries.find()).rows][::-1]


@asynccontextmanager
async def alive(disk: SimulatedDisk, receivers: dict[str, Receiver], clock: Clock) -> AsyncIterator[Site]:
    store = await open_simulated_store(disk, now=0, new_id=lambda prefix: f"{prefix}_1")
    dispatcher = Dispatcher(None, None, LiveInventory(store.hosts, clock), None, 1)  # type: ignore[arg-type]
    world: Any = FakeWorld()
    world.coordinator_steps = coordinator_steps(CHANNELS)
    executor = Executor(store, dispatcher, world, clock, 1, SecondRedaction(None))  # type: ignore[arg-type]
    found = Deliveries(store.deliveries, receivers, executor.submit, clock, lambda: 0.5, executor.queued)
    await executor.recover()
    running = asyncio.create_task(found.run())
    try:
        yield Site(store, executor, found, clock)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await found.close()
        await executor.close()
        await store.close()


def told(id: str = "told", to: str = "ops", after: tuple[str, ...] = ()) -> Any:
    return here(id, "notify.send", after, parameters={"to": to, "text": f"this is {id}"})


@pytest.fixture
async def receivers() -> dict[str, Receiver]:
    return {name: Receiver() for name in CHANNELS}


@pytest.fixture
async def site(receivers: dict[str, Receiver]) -> AsyncIterator[Site]:
    async with alive(SimulatedDisk(), receivers, Clock()) as found:
        yield found


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "RETRY_PAUSE", 0.01)


async def test_what_a_step_records_is_sent_once_and_in_order(site: Site, receivers: dict[str, Receiver]) -> None:
    await site.start("exe_1", plan(told("a"), told("b", after=("a",)), told("c", "slow", ("b",))))
    first, second, third = await site.ids()
    await site.until_state(third, "delivered")
    row = await site.until_state(second, "delivered")
    assert row.attempts == 1
    assert (receivers["ops"].taken, receivers["slow"].taken) == ([first, second], [third])


async def test_a_channel_that_hangs_keeps_no_other_waiting(site: Site, receivers: dict[str, Receiver]) -> None:
    receivers["slow"].hold = asyncio.Event()
    await site.start("exe_1", plan(told("a", "slow"), told("b", "slow", ("a",)), told("c", "ops", ("b",))))
    slow, _, quick = await site.ids()
    await site.until_state(quick, "delivered")
    assert (await site.store.deliveries.get(slow)).status == "waiting"
    receivers["slow"].hold.set()
    await site.until_state(slow, "delivered")


async def test_a_failure_is_tried_again_later_and_then_given_up_in_the_history(
    site: Site, receivers: dict[str, Receiver]
) -> None:
    ops = receivers["ops"]
    ops.refuse = "503 \x1b[31m"
    await site.start("exe_1", plan(told()))
    (id,) = await site.ids()
    pauses = []
    for tries in range(1, MOST_TRIES):
        row = await site.until_state(id, "waiting", tries)
        pauses.append((row.due_at - site.clock.time) // 1_000_000)
        site.clock.time = row.due_at - 1
        site.deliveries.queued.set()
        await asyncio.sleep(0)
        site.clock.time = row.due_at
        site.deliveries.queued.set()
    assert pauses[:4] == [5, 10, 20, 40]
    assert max(pauses) == 3600
    row = await site.until_state(id, "dead")
    assert (row.attempts, row.error) == (MOST_TRIES, "503 \ufffd[31m")
    events = await site.store.executions.events("exe_1")
    assert (events[-1].type, events[-1].data["notification"]) == ("notification_given_up", id)
    assert (await site.executor.state("exe_1")).status == "completed"
    await site.executor.close()
    assert site.executor.active == 0

    ops.refuse = ""
    await site.deliveries.retry(id, audit=(audit("notification.retry"),))
    await site.until_state(id, "delivered")
    assert ops.taken == [id]
    with pytest.raises(Refused, match="delivered"):
        await site.deliveries.retry(id, audit=())
    with pytest.raises(NotFound):
        await site.deliveries.retry("ntf_0", audit=())


@pytest.mark.parametrize("refusal", [Conflict("it is at version 7"), NotFound("no execution"), ZeroDivisionError()])
async def test_what_cannot_be_given_up_now_is_not_sent_again_at_once(
    site: Site, receivers: dict[str, Receiver], refusal: Exception
) -> None:
    told_of: list[str] = []

    async def give_up(execution: str, lost: Any) -> None:
        told_of.append(lost.notification)
        if len(told_of) > 1:
            await asyncio.Event().wait()
        raise refusal

    site.deliveries.give_up = give_up
    receivers["ops"].refuse = "503"
    await site.start("exe_1", plan(told()))
    (id,) = await site.ids()
    await site.until_state(id, "waiting", 1)
    await site.store.deliveries.put_off(id, MOST_TRIES - 1, site.clock.time, "503")
    site.deliveries.queued.set()
    row = await site.until_state(id, "waiting", MOST_TRIES)
    assert row.due_at > site.clock.time
    assert told_of == [id]


async def test_a_channel_that_is_configured_no_more_says_so(site: Site, receivers: dict[str, Receiver]) -> None:
    del receivers["slow"]
    await site.start("exe_1", plan(told(to="slow")))
    (id,) = await site.ids()
    row = await site.until_state(id, "waiting", 1)
    assert "no channel `slow`" in row.error


async def test_a_defect_of_a_sender_ends_nothing(site: Site, receivers: dict[str, Receiver]) -> None:
    def burst() -> None:
        raise ZeroDivisionError

    receivers["slow"].then = burst
    await site.start("exe_1", plan(told("a", "slow"), told("b", after=("a",))))
    broken, good = await site.ids()
    assert "ZeroDivisionError" in (await site.until_state(broken, "waiting", 1)).error
    await site.until_state(good, "delivered")


async def test_a_full_disk_floods_nobody(receivers: dict[str, Receiver]) -> None:
    disk = SimulatedDisk()
    ops = receivers["ops"]

    def fill() -> None:
        disk.full = True

    ops.then = fill
    async with alive(disk, receivers, Clock()) as site:
        await site.start("exe_1", plan(told()))
        (id,) = await site.ids()
        await site.until(lambda: _count(site.store.figures().refusal))
        await asyncio.sleep(0.1)
        assert ops.taken == [id]
        disk.full = False
        await site.until_state(id, "delivered")
        assert ops.taken == [id]


async def _count(refusal: str) -> bool:
    return bool(refusal)


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
@pytest.mark.parametrize("number", range(1, 8))
async def test_a_crash_at_any_commit_loses_no_message_and_makes_none_up(number: int, moment: str) -> None:
    disk, clock, ops = SimulatedDisk(), Clock(), Receiver()
    reached = 0
    crashed = asyncio.Event()

    async def stall(at: str) -> None:
        nonlocal reached
        reached += at == moment
        if reached == number and not crashed.is_set():
            crashed.set()
            disk.crash()

    async with alive(disk, {"ops": ops}, clock) as site:
        disk.stall = stall
        try:
            await site.start("exe_1", plan(told("a"), finally_=[told("b")]))
            await asyncio.wait_for(crashed.wait(), 0.2)
        except (StoreUnavailable, TimeoutError):
            pass
    disk.stall = None
    before = list(ops.taken)
    async with alive(disk, {"ops": ops}, clock) as site:
        try:
            await site.store.executions.get("exe_1")
        except NotFound:
            assert before == ops.taken == await site.ids() == []
            return

        async def over() -> bool:
            ended = (await site.store.executions.get("exe_1")).progress.ended_at is not None
            return ended and not await site.store.deliveries.channels()

        await site.until(over)
        recorded = await site.ids()
        events = await site.store.executions.events("exe_1")
        assert recorded == [each.data["notification"] for each in events if each.type == "notification_queued"]
        assert len(recorded) == 2
        assert set(ops.taken) == set(recorded)
        assert ops.taken[: len(before)] == before


def test_pauses_double_up_to_an_hour_and_are_spread() -> None:
    assert [pause_after(n, 0.5) // 1_000_000 for n in (1, 2, 10, 11, 14, 60)] == [5, 10, 2560, 3600, 3600, 3600]
    assert (pause_after(1, 0.0), pause_after(1, 1.0)) == (2_500_000, 7_500_000)
