"""What is not over and cannot be read at the start: its results are kept by their agents until it can be."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pilotage_coordinator.domain.execution.inputs import CancelRequested
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.fleet import (
    AttemptReport,
    Greeting,
    HostInventory,
    JournalEntry,
    JournalState,
    Outcome,
)
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.listener import AgentListener
from pilotage_coordinator.runtime.unread import Unreadable
from pilotage_coordinator.store.errors import ReadTooLong, StoreUnavailable
from pilotage_coordinator.store.records import SessionMarks
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.contract.store.records import certificate, host, token
from tests.unit.engine.build import leaf, plan
from tests.unit.runtime.test_executor import Desk, StoppedClock, _desk

KEY = AttemptKey("exe_1", "a", "h1", "", AttemptKind.RUN, 1)
GREETING = Greeting("0.1", "ins_1", "jrn_1", 1, 1, 1, "boot", 0, 1)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("unread", "executor"):
        monkeypatch.setattr(f"pilotage_coordinator.runtime.{module}.RETRY_PAUSE", 0.001)


async def _restarted(effect: str = "once") -> Desk:
    """Return a second process over an execution that the first one has begun on h1."""
    disk = SimulatedDisk()
    first = await _desk(disk)
    await first.store.enrolments.create(token())
    await first.store.enrolments.consume("sha256:token", host("h1"), certificate("hst_h1"), 0)
    await first.start("exe_1", plan(leaf("a", "h1", effect=effect)))
    await first.executor.close()
    await first.store.close()
    desk = await _desk(disk, epoch=2)
    await desk.executor.dispatcher.inventory.load()
    return desk


def _too_long() -> Callable[[], Awaitable[None]]:
    async def look() -> None:
        raise ReadTooLong("a query took longer than 1 s")

    return look


def _break_events(desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def events(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(desk.store.executions, "events", events)


async def _until_read(desk: Desk) -> None:
    async with asyncio.timeout(5):
        await desk.executor.unread.until_read("exe_1")


def _listener(desk: Desk) -> AgentListener:
    logs: Any = None
    inventory: LiveInventory = desk.executor.dispatcher.inventory
    return AgentListener(desk.executor, desk.store.hosts, logs, inventory, StoppedClock())


@pytest.mark.parametrize("error", [ReadTooLong("a query took longer than 1 s"), KeyError("an event of another form")])
async def test_a_result_is_not_acknowledged_before_its_execution_is_read(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    desk = await _restarted()
    with monkeypatch.context() as broken:
        _break_events(desk, broken, error)
        await desk.executor.recover()
        assert desk.executor.recovered.is_set()
        report = AttemptReport(KEY, 1, Outcome.SUCCEEDED)
        assert not await _listener(desk).result("h1", report), "acknowledged, and lost"
        with pytest.raises(Unreadable, match="exe_1 cannot be read now"):
            await desk.executor.submit("exe_1", CancelRequested("anna"))
    await _until_read(desk)
    assert await _listener(desk).result("h1", report)
    await desk.executor.close()
    assert (await desk.executor.state("exe_1")).status == "completed"
    await desk.store.close()


async def test_hosts_with_open_attempts_begin_their_sessions_anew_once_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await _restarted()
    with monkeypatch.context() as broken:
        _break_events(desk, broken, ReadTooLong("a query took longer than 1 s"))
        await desk.executor.recover()
        await desk.executor.begun(KEY, 5)
        await desk.executor.resume_on("h1")
        assert (desk.port.sent, desk.port.reconnected) == ([], [])
    await _until_read(desk)
    assert desk.port.reconnected == ["h1"]
    listener = _listener(desk)
    await listener.session_opened(
        "h1", GREETING, HostInventory({}, ()), [JournalEntry(KEY, JournalState.STARTED, 1, started_at=5)]
    )
    await listener.session_ready("h1")
    await desk.executor.close()
    assert desk.port.sent == [], "what runs was sent once more"
    assert (await desk.executor.state("exe_1")).open[RunKey("a", "h1")].started
    await desk.store.close()


async def test_a_journal_that_was_replaced_keeps_its_session_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is remembered once `session_opened` has returned: what it has lost must be recorded before."""
    desk = await _restarted()
    marks = SessionMarks("jrn_0", 1, 1, 1)
    await desk.store.hosts.open_session("hst_h1", marks, agent_version="0.1", boot_id="boot", at=0)
    with monkeypatch.context() as broken:
        _break_events(desk, broken, ReadTooLong("a query took longer than 1 s"))
        await desk.executor.recover()
        with pytest.raises(Unreadable):
            await _listener(desk).session_opened("h1", GREETING, HostInventory({}, ()), [])
    await _until_read(desk)
    await _listener(desk).session_opened("h1", GREETING, HostInventory({}, ()), [])
    await desk.executor.close()
    assert (await desk.executor.state("exe_1")).run(RunKey("a", "h1")).status is StepRunStatus.UNKNOWN
    await desk.store.close()


async def test_no_session_is_compared_before_the_open_attempts_are_known() -> None:
    desk = await _restarted()
    desk.disk.look = _too_long()
    recovering = asyncio.create_task(desk.executor.recover())
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not desk.executor.recovered.is_set()
    desk.disk.look = None
    await recovering
    assert desk.executor.is_open(KEY)
    await desk.executor.close()
    await desk.store.close()


async def test_a_host_that_is_gone_ends_its_attempts_also_of_what_is_read_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await _restarted()
    with monkeypatch.context() as broken:
        _break_events(desk, broken, ReadTooLong("a query took longer than 1 s"))
        await desk.executor.recover()
        await desk.store.hosts.revoke("hst_h1", 5)
        await desk.executor.dispatcher.inventory.reload("h1")
        await desk.executor.forsake("h1")
    await _until_read(desk)
    await desk.executor.close()
    assert (await desk.executor.state("exe_1")).run(RunKey("a", "h1")).status is StepRunStatus.UNKNOWN
    assert desk.port.reconnected == []
    await desk.store.close()


async def test_who_watches_is_not_told_that_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = await _restarted()
    with monkeypatch.context() as broken:
        events = desk.store.executions.events
        _break_events(desk, broken, ReadTooLong("a query took longer than 1 s"))
        await desk.executor.recover()
        broken.setattr(desk.store.executions, "events", events)
        broken.setattr(desk.store.executions, "inputs", _too_long())
        seen = await events("exe_1")
        watching = asyncio.ensure_future(anext(desk.executor.watch("exe_1", seen[-1].sequence), None))
        await asyncio.sleep(0.01)
        assert not watching.done()
    await _until_read(desk)
    assert await desk.executor.find("exe_1") is not None
    await desk.executor.report(AttemptReport(KEY, 1, Outcome.SUCCEEDED))
    assert (await watching) is not None
    await desk.executor.close()
    await desk.store.close()


@pytest.mark.parametrize("repeated", [False, True])
async def test_an_execution_whose_beginning_is_refused_begins_by_itself(repeated: bool) -> None:
    desk = await _desk(SimulatedDisk())
    commits = 0

    async def stall(moment: str) -> None:
        nonlocal commits
        if moment == "before commit":
            commits += 1
            # The plan, the execution, its beginning.
            desk.disk.full = 3 <= commits <= (5 if repeated else 3)

    desk.disk.stall = stall
    with pytest.raises(StoreUnavailable, match="exe_1 is stored and begins by itself"):
        await desk.start("exe_1", plan(leaf("a", "h1")))
    await desk.port.until_sent(1)
    await desk.answer()
    assert (await desk.executor.state("exe_1")).status == "completed"
    assert len(desk.port.sent) == 0
    await desk.executor.close()
    await desk.store.close()


async def test_an_execution_whose_caller_has_gone_begins_all_the_same() -> None:
    desk = await _desk(SimulatedDisk())
    made = asyncio.Event()

    async def stall(moment: str) -> None:
        if moment == "after commit" and await desk.store.executions.active() and not made.is_set():
            made.set()
            await asyncio.sleep(0.01)

    desk.disk.stall = stall
    starting = asyncio.create_task(desk.start("exe_1", plan(leaf("a", "h1"))))
    await made.wait()
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await desk.port.until_sent(1)
    await desk.executor.close()
    await desk.store.close()
