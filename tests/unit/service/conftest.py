"""What the tests of the service share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.service.desk import Desk, open_desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Services over an empty store."""
    made, disk = await open_desk(tmp_path)
    yield made
    await made.store.close()
    disk.close()
