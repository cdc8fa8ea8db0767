"""Every test of this folder that takes `store` runs over every store there is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.sqlite import SimulatedDisk, open_simulated_store, open_store

from tests.contract.store.records import NOW, PLAN

Reopen = Callable[[], Awaitable[Store]]


@pytest.fixture(params=["file", "simulated"])
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reopen]:
    """Open a store; each call closes the one before and opens the same data again."""
    opened: list[Store] = []
    disk = SimulatedDisk()

    async def open_again() -> Store:
        if opened:
            await opened.pop().close()
        if request.param == "file":
            store: Store = await open_store(tmp_path / "pilotage.db", now=NOW, new_id=lambda prefix: f"{prefix}_1")
        else:
            store = await open_simulated_store(disk, now=NOW, new_id=lambda prefix: f"{prefix}_1")
        opened.append(store)
        return store

    yield open_again
    for store in opened:
        await store.close()
    disk.close()


@pytest.fixture
async def store(reopen: Reopen) -> Store:
    """An empty store with one plan in it."""
    store = await reopen()
    await store.plans.put(PLAN)
    return store
