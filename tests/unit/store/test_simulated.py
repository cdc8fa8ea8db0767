"""The simulated disk: crashes before and after a commit, and a disk that is full for a while."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pilotage_coordinator.store.errors import Conflict, StoreLocked, StoreUnavailable
from pilotage_coordinator.store.sqlite import SimulatedDisk, SqliteStore, open_simulated_store

from tests.contract.store.records import NOW, PLAN, change, creation


@pytest.fixture
async def disk() -> AsyncIterator[SimulatedDisk]:
    disk = SimulatedDisk()
    yield disk
    disk.close()


async def opened(disk: SimulatedDisk) -> SqliteStore:
    return await open_simulated_store(disk, now=NOW, new_id=lambda prefix: f"{prefix}_1")


async def with_execution(disk: SimulatedDisk) -> SqliteStore:
    store = await opened(disk)
    await store.plans.put(PLAN)
    await store.executions.create(creation())
    return store


async def crash_at(disk: SimulatedDisk, moment: str) -> SqliteStore:
    """Commit a change, crash at a moment of it, and return the store of the next process."""
    store = await with_execution(disk)

    async def stall(reached: str) -> None:
        if reached == moment:
            disk.crash()

    disk.stall = stall
    with pytest.raises(StoreUnavailable):
        await store.executions.commit(change())
    disk.stall = None
    with pytest.raises(StoreUnavailable):
        await store.executions.get("exe_1")
    return await opened(disk)


async def test_a_crash_before_the_commit_loses_the_change_whole(disk: SimulatedDisk) -> None:
    store = await crash_at(disk, "before commit")
    assert (await store.executions.get("exe_1")).version == 0
    assert len(await store.executions.events("exe_1")) == 1


async def test_a_crash_after_the_commit_keeps_the_change_that_nobody_heard_of(disk: SimulatedDisk) -> None:
    store = await crash_at(disk, "after commit")
    assert (await store.executions.get("exe_1")).version == 1
    with pytest.raises(Conflict):
        await store.executions.commit(change())


async def test_a_stall_that_ends_the_process_tells_every_caller(disk: SimulatedDisk) -> None:
    store = await with_execution(disk)

    async def stall(moment: str) -> None:
        raise RuntimeError("power cut")

    disk.stall = stall
    results = await asyncio.gather(
        store.executions.commit(change()), store.executions.commit(change()), return_exceptions=True
    )
    assert [type(result) for result in results] == [StoreUnavailable] * 2
    disk.stall = None
    assert (await store.executions.get("exe_1")).version == 0


async def test_a_full_disk_stores_nothing_and_works_again_later(disk: SimulatedDisk) -> None:
    store = await with_execution(disk)
    disk.full = True
    with pytest.raises(StoreUnavailable, match="free some space"):
        await store.executions.commit(change())
    assert (await store.executions.get("exe_1")).version == 0
    disk.full = False
    await store.executions.commit(change())
    assert (await store.executions.get("exe_1")).version == 1


async def test_one_process_at_a_time_has_the_disk(disk: SimulatedDisk) -> None:
    store = await opened(disk)
    with pytest.raises(StoreLocked):
        await opened(disk)
    await store.close()
    await (await opened(disk)).close()


async def test_commits_are_counted(disk: SimulatedDisk) -> None:
    store = await with_execution(disk)
    before = disk.commits
    for number in range(2, 12):
        await store.executions.create(creation(f"exe_{number}"))
    assert disk.commits == before + 10
    await asyncio.gather(*(store.executions.commit(change(f"exe_{number}")) for number in range(2, 12)))
    assert disk.commits == before + 11
