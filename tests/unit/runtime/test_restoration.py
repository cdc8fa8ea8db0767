"""A coordinator restored from a backup sends nothing until somebody says so, and tells what it has forgotten."""

from typing import Any

import pytest
from pilotage_coordinator.domain.execution.inputs import PauseRequested, ResumeRequested
from pilotage_coordinator.domain.fleet import AttemptReport, JournalEntry, JournalState, Outcome
from pilotage_coordinator.runtime.restoration import RESTORED, Restoration
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.engine.build import leaf, plan
from tests.unit.runtime.test_executor import Desk, StoppedClock, _desk

A = AttemptKey("exe_1", "a", "h1", "", AttemptKind.RUN, 1)
B = AttemptKey("exe_1", "b", "h1", "", AttemptKind.RUN, 1)


async def _restored() -> Desk:
    """Return a coordinator at epoch 1007 over a backup made while two steps were open on h1 under epoch 1."""
    disk = SimulatedDisk()
    first = await _desk(disk)
    await first.start("exe_1", plan(leaf("a", "h1"), leaf("b", "h1"), leaf("c", "h1", after=["a"])))
    await first.executor.close()
    await first.store.close()
    desk = await _desk(disk, epoch=1007)
    desk.executor.restored = True
    await desk.executor.recover()
    await desk.executor.close()
    return desk


async def _end(desk: Desk) -> None:
    await desk.executor.close()
    await desk.store.close()


async def test_what_was_under_way_in_the_backup_is_held_until_somebody_resumes_it() -> None:
    desk = await _restored()
    await desk.executor.resume_on("h1")
    await desk.executor.close()
    assert desk.port.sent == []
    assert await desk.store.executions.open_attempts("exe_1") == {A: 1, B: 1}
    # What ran on meanwhile is heard, and leads to nothing new.
    await desk.executor.report(AttemptReport(A, 1, Outcome.SUCCEEDED))
    await desk.executor.close()
    state = await desk.executor.state("exe_1")
    assert (state.pause_reason, desk.port.sent) == (RESTORED, [])
    await desk.executor.submit("exe_1", ResumeRequested("anna"))
    await desk.executor.close()
    assert {(each.key.path, each.epoch) for each in desk.port.sent} == {("b", 1007), ("c", 1007)}
    for assignment in desk.port.sent:
        await desk.executor.report(AttemptReport(assignment.key, assignment.epoch, Outcome.SUCCEEDED))
    await desk.executor.close()
    assert (await desk.executor.state("exe_1")).status == "completed"
    await _end(desk)


@pytest.mark.parametrize("reason", ["", "drift: another plugin"])
async def test_what_was_paused_already_is_held_too(reason: str) -> None:
    disk = SimulatedDisk()
    first = await _desk(disk)
    await first.start("exe_1", plan(leaf("a", "h1"), leaf("b", "h1", after=["a"])))
    await first.executor.submit("exe_1", PauseRequested("anna", reason))
    await _end(first)
    desk = await _desk(disk, epoch=1007)
    desk.executor.restored = True
    await desk.executor.recover()
    # Not even before the store has the hold.
    await desk.executor.resume_on("h1")
    await desk.executor.close()
    assert (desk.port.sent, await desk.store.executions.open_attempts("exe_1")) == ([], {A: 1})
    told = (await desk.executor.state("exe_1")).pause_reason or ""
    assert RESTORED in told
    assert (reason or "asked by anna") in told
    await desk.executor.submit("exe_1", ResumeRequested("anna"))
    await desk.executor.close()
    assert [(each.key, each.epoch) for each in desk.port.sent] == [(A, 1007)]
    await _end(desk)


async def test_nothing_is_sent_while_the_store_refuses_the_hold() -> None:
    disk = SimulatedDisk()
    first = await _desk(disk)
    await first.start("exe_1", plan(leaf("a", "h1")))
    await _end(first)
    desk = await _desk(disk, epoch=1007)
    desk.executor.restored = True
    disk.full = True
    await desk.executor.recover()
    await desk.executor.close()
    await desk.executor.resume_on("h1")
    await desk.executor.close()
    disk.full = False
    await desk.executor.resume_on("h1")
    await desk.executor.close()
    assert desk.port.sent == []
    await _end(desk)


async def test_what_is_held_stays_held_over_another_start() -> None:
    desk = await _restored()
    await _end(desk)
    again = await _desk(desk.disk, epoch=1008)
    await again.executor.recover()
    await again.executor.resume_on("h1")
    await again.executor.close()
    assert again.port.sent == []
    await again.executor.submit("exe_1", ResumeRequested("anna"))
    await again.executor.close()
    assert {each.key for each in again.port.sent} == {A, B}
    await _end(again)


async def test_attempts_that_the_backup_does_not_know_are_recorded_once() -> None:
    desk = await _restored()
    restoration = Restoration(desk.store.executions, desk.store.audit, StoppedClock(), {"h1", "h2"})
    later = AttemptKey("exe_9", "a", "h1", "", AttemptKind.RUN, 1)
    second = AttemptKey("exe_1", "a", "h1", "", AttemptKind.RUN, 2)
    journal = (
        JournalEntry(A, JournalState.STARTED, 1),
        JournalEntry(later, JournalState.EXITED, 5, report=AttemptReport(later, 5, Outcome.FAILED, error="no")),
        JournalEntry(second, JournalState.STARTED, 5),
    )
    await restoration.told("h1", journal)
    await restoration.told("h1", journal)
    await restoration.told("h2", ())
    told = [each for each in await desk.store.audit.read() if each.entry.operation == "coordinator.restore.unknown"]
    (entry,) = told
    assert entry.entry.subject == "h1"
    assert entry.entry.detail["count"] == 2
    named: Any = entry.entry.detail["attempts"]
    assert [each["attempt"] for each in named] == [str(later), str(second)]
    assert (restoration.awaited, restoration.unknown) == (set(), {"h1": 2})
    await _end(desk)
