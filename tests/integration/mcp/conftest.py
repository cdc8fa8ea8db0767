"""What the tests of the face of assistants share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.mcp.site import Site
from tests.unit.service.desk import SOURCE, open_desk


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A served coordinator over an empty store with one blueprint."""
    desk, disk = await open_desk()
    made = Site(desk, tmp_path, await desk.add_principals())
    await desk.services.library.add(SOURCE, "check.yaml", added_by="ann", audit=())
    await made.server.start()
    yield made
    await made.server.stop()
    await desk.store.close()
    disk.close()
