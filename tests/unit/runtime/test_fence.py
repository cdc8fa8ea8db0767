"""Results are compared with the epoch on their attempt's row; only what is sent again gets another."""

import pytest
from pilotage_coordinator.domain.execution.inputs import CancelRequested
from pilotage_coordinator.domain.fleet import AttemptReport, JournalEntry, JournalState, Outcome
from pilotage_coordinator.runtime.executor import Fenced
from pilotage_coordinator.runtime.projection import CANCELLING, RUNNING, _merged
from pilotage_coordinator.runtime.reconciliation import reconcile
from pilotage_coordinator.store.errors import Conflict
from pilotage_coordinator.store.records import AttemptUpdate
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.engine.build import leaf, plan
from tests.unit.runtime.test_executor import Desk, _desk

A = AttemptKey("exe_1", "a", "h1", "", AttemptKind.RUN, 1)
B = AttemptKey("exe_1", "b", "h1", "", AttemptKind.RUN, 1)


@pytest.fixture
async def disk() -> SimulatedDisk:
    """Hold an execution with two open attempts on one host, assigned under epoch 1 by a process that is gone."""
    disk = SimulatedDisk()
    first = await _desk(disk)
    await first.start("exe_1", plan(leaf("a", "h1"), leaf("b", "h1")))
    assert {each.key for each in first.port.sent} == {A, B}
    await _end(first)
    return disk


async def _restarted(disk: SimulatedDisk) -> Desk:
    desk = await _desk(disk, epoch=2)
    await desk.executor.recover()
    await desk.executor.close()
    return desk


async def _end(desk: Desk) -> None:
    await desk.executor.close()
    await desk.store.close()


async def test_nothing_is_fenced_or_sent_before_the_host_has_a_session(disk: SimulatedDisk) -> None:
    desk = await _restarted(disk)
    assert desk.port.sent == []
    assert await desk.store.executions.open_attempts("exe_1") == {A: 1, B: 1}
    await _end(desk)


async def test_only_what_is_sent_again_is_fenced(disk: SimulatedDisk) -> None:
    desk = await _restarted(disk)
    await desk.executor.resume_on("h1", held=frozenset({A}))
    await desk.executor.close()
    assert [(each.key, each.epoch) for each in desk.port.sent] == [(B, 2)]
    assert await desk.store.executions.open_attempts("exe_1") == {A: 1, B: 2}
    # What runs on was assigned under epoch 1 and says so; what was sent again must not answer for the first sending.
    await desk.executor.report(AttemptReport(A, 1, Outcome.SUCCEEDED))
    with pytest.raises(Fenced, match="epoch 1, but it is assigned under epoch 2"):
        await desk.executor.report(AttemptReport(B, 1, Outcome.FAILED, error="of the earlier sending"))
    assert await desk.store.executions.open_attempts("exe_1") == {B: 2}
    await desk.executor.report(AttemptReport(B, 2, Outcome.SUCCEEDED))
    await desk.executor.close()
    assert (await desk.executor.state("exe_1")).status == "completed"
    await _end(desk)


async def test_the_store_compares_where_the_memory_is_mistaken(disk: SimulatedDisk) -> None:
    desk = await _restarted(disk)
    await desk.executor.resume_on("h1")
    desk.executor.dispatcher.opened(A, 1)
    with pytest.raises(Conflict, match="is of epoch 2, the update is for epoch 1"):
        await desk.executor.report(AttemptReport(A, 1, Outcome.FAILED, error="late"))
    await desk.executor.report(AttemptReport(B, 2, Outcome.SUCCEEDED))
    assert desk.executor.dispatcher.epoch_of(A) == 2, "what the store has is read again"
    await desk.executor.report(AttemptReport(A, 2, Outcome.SUCCEEDED))
    await desk.executor.close()
    assert (await desk.executor.state("exe_1")).status == "completed"
    await _end(desk)


async def test_a_cancel_that_is_sent_again_has_the_present_epoch(disk: SimulatedDisk) -> None:
    first = await _desk(disk)
    await first.executor.submit("exe_1", CancelRequested("anna"))
    await _end(first)
    desk = await _restarted(disk)
    desk.port.cancelled.clear()
    await desk.executor.resume_on("h1", held=frozenset({A, B}))
    assert sorted(desk.port.cancelled) == [(A, 2), (B, 2)]
    assert await desk.store.executions.open_attempts("exe_1") == {A: 2, B: 2}
    assert (await desk.store.executions.attempt(A)).status == CANCELLING
    await _end(desk)


async def test_a_fence_that_the_disk_refuses_is_made_later_and_nothing_is_sent_before(
    disk: SimulatedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilotage_coordinator.runtime.executor.RETRY_PAUSE", 0.0)
    desk = await _restarted(disk)
    disk.full = True
    await desk.executor.resume_on("h1")
    assert desk.port.sent == []
    disk.full = False
    await desk.port.until_sent(2)
    assert {(each.key, each.epoch) for each in desk.port.sent} == {(A, 2), (B, 2)}
    await _end(desk)


@pytest.mark.parametrize("state", JournalState)
@pytest.mark.parametrize("epoch", [1, 2])
def test_held_is_what_began_under_the_newest_assignment(state: JournalState, epoch: int) -> None:
    found = reconcile({A: 2}, [JournalEntry(A, state, epoch)], journal_replaced=False, now=5)
    assert found.held == ({A} if state is not JournalState.ACCEPTED and epoch == 2 else set())


def test_a_fence_goes_along_with_the_news_of_the_start_but_not_with_the_end() -> None:
    fence = AttemptUpdate(A, "assigned", epoch=2)
    begun, ended = AttemptUpdate(A, RUNNING, started_at=3), AttemptUpdate(A, "ended", expected_epoch=1, ended_at=4)
    assert _merged((begun,), (fence,)) == (AttemptUpdate(A, RUNNING, epoch=2, started_at=3),)
    assert _merged((ended,), (fence,)) == (ended,)
    assert _merged((), (fence,)) == (fence,)
