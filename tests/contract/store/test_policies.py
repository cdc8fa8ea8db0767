import asyncio

import pytest
from pilotage_coordinator.store.errors import Conflict, NotFound
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import ClosingRecord, PolicyRecord

from tests.contract.store.conftest import Reopen
from tests.contract.store.records import NOW, audit


def version(number: int, restores: int | None = None) -> PolicyRecord:
    return PolicyRecord(number, f"policy: {number}\n", {"rules": [number]}, NOW, "ann", "why", restores)


async def test_versions_follow_each_other_and_the_newest_counts(store: Store, reopen: Reopen) -> None:
    assert await store.policies.newest() is None
    await store.policies.add(version(1), (audit("policy.set"),))
    await store.policies.add(version(2))
    await store.policies.add(version(3, restores=1))
    store = await reopen()
    assert await store.policies.newest() == version(3, restores=1)
    assert await store.policies.get(1) == version(1)
    assert [each.entry.operation for each in await store.audit.read()] == ["policy.set"]
    with pytest.raises(NotFound, match="no version 4"):
        await store.policies.get(4)


async def test_of_two_that_follow_the_same_version_one_is_refused_with_its_audit(store: Store) -> None:
    results = await asyncio.gather(
        *(store.policies.add(version(1), (audit(f"policy.set {each}"),)) for each in range(2)), return_exceptions=True
    )
    (refused,) = [each for each in results if each is not None]
    assert isinstance(refused, Conflict)
    assert len(await store.audit.read()) == 1
    with pytest.raises(Conflict, match="at version 1"):
        await store.policies.add(version(3))


async def test_the_history_is_read_page_by_page(store: Store) -> None:
    for number in range(1, 6):
        await store.policies.add(version(number))
    first = await store.policies.history(limit=2)
    second = await store.policies.history(first.cursor, limit=2)
    third = await store.policies.history(second.cursor, limit=2)
    pages = (first, second, third)
    assert [[each.version for each in page.rows] for page in pages] == [[5, 4], [3, 2], [1]]
    assert third.cursor == ""


async def test_a_change_is_closed_once(store: Store) -> None:
    closing = ClosingRecord("exe_1", "successful", "all is well", NOW, "ann")
    assert await store.policies.closing("exe_1") is None
    await store.policies.close_change(closing, (audit("run.close"),))
    assert await store.policies.closing("exe_1") == closing
    with pytest.raises(Conflict, match="closed already"):
        await store.policies.close_change(closing, (audit("run.close"),))
    assert len(await store.audit.read()) == 1
