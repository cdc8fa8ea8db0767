"""The agent's doctor says how its own link is: a port that answers does not mean that this host is let in."""

import json
from pathlib import Path

import pytest
from pilotage_agent.cli import _check_link
from pilotage_agent.config import AgentConfig
from pilotage_agent.errors import ConfigRefused
from pilotage_agent.state_dir import StateDir, StateLock


@pytest.mark.parametrize(
    ("connected", "text", "refusal"),
    [
        (True, "connected", ""),
        (False, "refused (revoked): the host was revoked", "join --again"),
        (False, "lost", "lost"),
    ],
)
def test_a_running_agent_that_is_not_connected_is_no_good(
    tmp_path: Path, connected: bool, text: str, refusal: str
) -> None:
    state = StateDir(tmp_path)
    state.make()
    lock = StateLock.take(state)
    state.status.write_text(json.dumps({"connected": connected, "text": text}))
    try:
        if refusal:
            with pytest.raises(ConfigRefused, match=refusal):
                _check_link(AgentConfig(tmp_path))
        else:
            assert _check_link(AgentConfig(tmp_path)) == text
    finally:
        lock.release()
    assert "does not run" in _check_link(AgentConfig(tmp_path))
