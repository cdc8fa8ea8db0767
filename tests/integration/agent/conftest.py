"""Fixtures: a small coordinator, and an agent that has joined it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pilotage_agent.state_dir import StateDir

from tests.integration.agent.agent_process import enrolled
from tests.integration.agent.coordinator import SmallCoordinator


@pytest.fixture
async def coordinator() -> AsyncIterator[SmallCoordinator]:
    small = SmallCoordinator()
    await small.start()
    yield small
    await small.stop()


@pytest.fixture
async def state(coordinator: SmallCoordinator, tmp_path: Path) -> StateDir:
    return await enrolled(coordinator, tmp_path / "agent")
