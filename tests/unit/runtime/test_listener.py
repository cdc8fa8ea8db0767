"""What agents say while the disk is full: withheld, kept as the newest, and stored by itself once there is space."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.fleet import AttemptReport, HostInventory, LogPiece, Outcome
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.listener import AgentListener
from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.contract.store.records import certificate, host, token
from tests.unit.engine.build import leaf, plan
from tests.unit.runtime.test_executor import Desk, StoppedClock, _desk


@dataclass
class FickleLogs:
    """A log folder that refuses at will."""

    full: bool = False
    kept: bytes = b""

    async def append(self, piece: LogPiece) -> int:
        if self.full:
            raise StoreUnavailable("the log folder refused: no space")
        self.kept += piece.data
        return piece.offset + len(piece.data)


@dataclass
class Ear:
    desk: Desk
    listener: AgentListener
    logs: FickleLogs

    async def facts(self) -> Any:
        return (await self.desk.store.hosts.named("h1")).facts


@pytest.fixture
async def ear(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ear]:
    monkeypatch.setattr("pilotage_coordinator.runtime.executor.RETRY_PAUSE", 0.0)
    desk = await _desk(SimulatedDisk())
    await desk.store.enrolments.create(token())
    await desk.store.enrolments.consume("sha256:token", host("h1"), certificate("hst_h1"), 0)
    inventory = LiveInventory(desk.store.hosts, StoppedClock())
    await inventory.load()
    logs: Any = FickleLogs()
    yield Ear(desk, AgentListener(desk.executor, desk.store.hosts, logs, inventory, StoppedClock()), logs)
    await desk.executor.close()
    await desk.store.close()


async def test_the_newest_inventory_is_stored_once_there_is_space(ear: Ear) -> None:
    ear.desk.disk.full = True
    for number in (1, 2, 3):
        await ear.listener.inventory("h1", HostInventory({"number": number}, ()))
    known = ear.listener.fleet.get("h1")
    assert known is not None
    assert known.facts == {"number": 3}
    assert await ear.facts() == {}
    ear.desk.disk.full = False
    async with asyncio.timeout(5):
        while ear.listener.unrecorded:  # noqa: ASYNC110 - nothing tells when a row is stored
            await asyncio.sleep(0)
    assert await ear.facts() == {"number": 3}


async def test_a_log_that_the_disk_refuses_is_not_acknowledged(ear: Ear) -> None:
    await ear.desk.start("exe_1", plan(leaf("a", "h1")))
    key = ear.desk.port.sent[0].key
    ear.logs.full = True
    assert await ear.listener.log("h1", LogPiece(key, 0, b"a\n")) is None
    ear.logs.full = False
    assert await ear.listener.log("h1", LogPiece(key, 0, b"a\n")) == 2
    assert ear.logs.kept == b"a\n"


async def test_a_log_that_nobody_asked_for_is_acknowledged_and_dropped(ear: Ear) -> None:
    from_nowhere = AttemptKey("exe_9", "a", "h1", "", AttemptKind.RUN, 1)
    assert await ear.listener.log("h1", LogPiece(from_nowhere, 0, b"a\n")) == 2
    assert ear.logs.kept == b""


async def test_a_result_that_the_disk_refuses_is_not_acknowledged_and_taken_when_it_comes_again(ear: Ear) -> None:
    await ear.desk.start("exe_1", plan(leaf("a", "h1")))
    report = AttemptReport(ear.desk.port.sent[0].key, 1, Outcome.SUCCEEDED)
    ear.desk.disk.full = True
    assert not await ear.listener.result("h1", report)
    ear.desk.disk.full = False
    assert await ear.listener.result("h1", report)
    await ear.desk.executor.close()
    assert (await ear.desk.executor.state("exe_1")).status == "completed"


async def test_a_result_of_another_sending_is_not_acknowledged(ear: Ear) -> None:
    await ear.desk.start("exe_1", plan(leaf("a", "h1")))
    key = ear.desk.port.sent[0].key
    for epoch in (0, 2, 2**40):
        assert not await ear.listener.result("h1", AttemptReport(key, epoch, Outcome.SUCCEEDED))
    assert await ear.listener.result("h1", AttemptReport(key, 1, Outcome.SUCCEEDED))


async def test_a_host_that_comes_back_while_the_disk_is_full_gets_its_work_once_there_is_space(ear: Ear) -> None:
    world: Any = ear.desk.executor.world
    world.offline.add("h1")
    await ear.desk.start("exe_1", plan(leaf("a", "h1")))
    assert ear.desk.port.sent == []
    world.offline.clear()
    ear.desk.disk.full = True
    await ear.desk.executor.resume_on("h1")
    live = await ear.desk.executor.find("exe_1")
    assert live is not None
    async with asyncio.timeout(5):
        while not live.doubtful:  # noqa: ASYNC110 - nothing tells when the store refuses
            await asyncio.sleep(0)
    ear.desk.disk.full = False
    await ear.desk.port.until_sent(1)


async def test_an_attempt_that_is_accepted_has_not_begun(ear: Ear) -> None:
    """What a host only has in its journal may be lost with it, and is then sent again; what runs is not."""
    await ear.desk.start("exe_1", plan(leaf("a", "h1")))
    key = ear.desk.port.sent[0].key
    await ear.listener.accepted("h1", key, 1)
    await ear.desk.executor.close()
    assert (await ear.desk.executor.state("exe_1")).run(RunKey("a", "h1")).status == "assigned"
    await ear.listener.started("h1", key, 1, 5)
    await ear.desk.executor.close()
    assert (await ear.desk.executor.state("exe_1")).run(RunKey("a", "h1")).status == "running"
