from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pilotage_coordinator.store.sqlite import SqliteStore, open_store

from tests.contract.store.records import NOW, PLAN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pilotage.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    await store.plans.put(PLAN)
    yield store
    await store.close()
