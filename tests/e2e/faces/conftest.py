"""What the tests of the faces over a real socket share."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.service.desk import Desk, open_desk


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Services over an empty store."""
    made, disk = await open_desk()
    yield made
    await made.store.close()
    disk.close()
