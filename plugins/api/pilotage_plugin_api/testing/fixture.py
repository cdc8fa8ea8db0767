"""The pytest fixture."""

from pathlib import Path

import pytest

from pilotage_plugin_api.testing.harness import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """A harness in a temporary folder: `harness.sandbox` is the world that step types may change."""
    return Harness.in_folder(tmp_path)
