"""The agent's settings: what may be said, and what is refused by name."""

from pathlib import Path

import pytest
from pilotage_agent.config import load_config
from pilotage_agent.errors import ConfigRefused


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", None), ('memory_limit_mb = "none"', 0), ("memory_limit_mb = 0", 0), ("memory_limit_mb = 512", 512)],
)
def test_the_settings_may_say_another_limit_or_none(tmp_path: Path, text: str, expected: int | None) -> None:
    (tmp_path / "agent.toml").write_text(text)
    assert load_config(tmp_path / "agent.toml", tmp_path, {}).memory_limit_mb == expected


def test_the_environment_may_say_none_too(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").touch()
    for said, expected in (("none", 0), ("7", 7)):
        config = load_config(tmp_path / "agent.toml", tmp_path, {"PILOTAGE_AGENT_MEMORY_LIMIT_MB": said})
        assert config.memory_limit_mb == expected


@pytest.mark.parametrize("said", ['"much"', "-1", "true", "1.5"])
def test_what_is_no_limit_is_refused(tmp_path: Path, said: str) -> None:
    (tmp_path / "agent.toml").write_text(f"memory_limit_mb = {said}")
    with pytest.raises(ConfigRefused, match='whole number from 0 up, or "none"'):
        load_config(tmp_path / "agent.toml", tmp_path, {})


def test_what_is_kept_of_a_log_has_a_least_and_a_most(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    for said in (2, 64):
        file.write_text(f"attempt_log_mb = {said}")
        assert load_config(file, tmp_path, {}).attempt_log_mb == said
    for said in (1, 65):
        file.write_text(f"attempt_log_mb = {said}")
        with pytest.raises(ConfigRefused, match="attempt_log_mb must be a whole number from 2 to 64"):
            load_config(file, tmp_path, {})
