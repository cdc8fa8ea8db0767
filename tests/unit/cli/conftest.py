"""What the tests of the command line share."""

import pytest

from tests.unit.cli.terminal import Terminal


@pytest.fixture
def terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Terminal:
    """A terminal that is none: plain lines, nobody to ask."""
    monkeypatch.delenv("PILOTAGE_SOCKET", raising=False)
    return Terminal(monkeypatch, capsys)
