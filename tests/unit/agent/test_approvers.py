"""Pinning approvers on a host, and settings that nobody could ever fulfil."""

import base64
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pilotage_agent import cli
from pilotage_agent.approval.pins import pin_approvers, read_approvers
from pilotage_agent.approval.settings import demands_of, in_words
from pilotage_agent.config import AgentConfig, load_config
from pilotage_agent.errors import ConfigRefused, EnrolmentFailed

from tests.unit.agent.signing_site import ANNA, BORIS, line


@pytest.fixture
def config(tmp_path: Path) -> AgentConfig:
    return AgentConfig(tmp_path)


def pin(config: AgentConfig, *lines: str) -> None:
    file = config.state_dir / "given.pub"
    file.write_text("\n".join(lines))
    pin_approvers(config.state_dir / "approvers", file)


def test_a_host_without_approvers_asks_for_nothing(config: AgentConfig) -> None:
    demands = demands_of(config)
    assert demands.fact() is None
    assert not demands.concern("file.remove", {"destructive": True})
    assert "approver add" in in_words(demands)


def test_pinned_keys_add_up_and_are_private(config: AgentConfig) -> None:
    pin(config, ANNA.line, "# a comment", "")
    pin(config, BORIS.line, ANNA.line)
    pinned = config.state_dir / "approvers"
    assert read_approvers(pinned, required=True) == {line(ANNA), line(BORIS)}
    assert pinned.stat().st_mode & 0o077 == 0
    demands = demands_of(replace(config, approver_quorum=2))
    assert demands.fact() == {"steps": "destructive", "quorum": 2, "approvers": 2, "unsigned": []}
    assert in_words(demands) == "destructive steps need the signatures of 2 of 2 pinned approvers"


def test_a_key_that_is_taken_away_counts_from_then_on_no_more(config: AgentConfig) -> None:
    pin(config, ANNA.line)
    demands = demands_of(config)
    (config.state_dir / "approvers").unlink()
    with pytest.raises(FileNotFoundError):
        demands.concern("file.remove", {"destructive": True})
    assert demands.fact() is None


@pytest.mark.parametrize("given", ["", "# nothing", "no key at all", "ssh-ed25519 AAAA", ANNA.line + "\nrubbish"])
def test_what_is_no_key_is_not_pinned(config: AgentConfig, given: str) -> None:
    with pytest.raises(ConfigRefused):
        pin(config, given)
    assert not (config.state_dir / "approvers").exists()


def test_settings_that_nobody_can_fulfil_are_refused(config: AgentConfig) -> None:
    with pytest.raises(ConfigRefused, match="no approver's key is pinned"):
        demands_of(replace(config, require_signed_plans=True))
    pin(config, ANNA.line)
    with pytest.raises(ConfigRefused, match="approver_quorum is 2, but 1"):
        demands_of(replace(config, approver_quorum=2))
    with pytest.raises(ConfigRefused, match="cannot be read"):
        demands_of(replace(config, approvers=config.state_dir / "none"))
    (config.state_dir / "approvers").write_text("rubbish")
    with pytest.raises(ConfigRefused, match="cannot be read"):
        demands_of(config)


def test_a_local_file_takes_the_place_of_what_was_pinned(config: AgentConfig) -> None:
    pin(config, ANNA.line)
    file = config.state_dir / "local"
    file.write_text(BORIS.line)
    assert demands_of(replace(config, approvers=file)).keys() == {line(BORIS)}


def test_the_settings_are_read_from_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        'require_signed_plans = true\napprovers = "keys"\nunsigned = ["discovery.*"]\nallow_paths = ["/srv"]\n'
    )
    environment = {"PILOTAGE_AGENT_APPROVER_QUORUM": "3", "PILOTAGE_AGENT_ALLOW_IMAGES": "a/*, b", "HOME": "/"}
    read = load_config(file, tmp_path, environment)
    assert (read.require_signed_plans, read.approver_quorum, read.unsigned) == (True, 3, ("discovery.*",))
    assert read.approvers == Path.cwd() / "keys"
    assert (read.allow_paths, read.allow_images) == (("/srv",), ("a/*", "b"))
    for wrong in ("require_signed_plans = 1", 'unsigned = "x"', "approvers = 3", "approver_quorum = 0"):
        file.write_text(wrong)
        with pytest.raises(ConfigRefused):
            load_config(file, tmp_path, {"HOME": "/"})
    with pytest.raises(ConfigRefused, match="true or false"):
        load_config(None, tmp_path, {"PILOTAGE_AGENT_REQUIRE_SIGNED_PLANS": "yes", "HOME": "/nowhere"})


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pilotage-agent", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_commands_pin_list_and_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PILOTAGE_AGENT_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "keys.pub").write_text(f"{ANNA.line}\n{BORIS.line}\n")
    assert command(monkeypatch, "approver", "list") == 0
    assert "not asked for" in capsys.readouterr().err
    assert command(monkeypatch, "approver", "add", str(tmp_path / "keys.pub")) == 0
    assert "restart the agent" in capsys.readouterr().err
    assert command(monkeypatch, "approver", "list") == 0
    *fingerprints, words = capsys.readouterr().out.splitlines()
    assert len(fingerprints) == 2
    assert words == "destructive steps need the signatures of 1 of 2 pinned approvers"
    assert command(monkeypatch, "approver", "remove", fingerprints[0]) == 0
    assert command(monkeypatch, "approver", "remove", fingerprints[0]) == 2
    capsys.readouterr()
    assert command(monkeypatch, "approver", "list") == 0
    assert capsys.readouterr().out.splitlines()[0] == fingerprints[1]


def test_a_private_key_is_refused_unquoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PILOTAGE_AGENT_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----\n")
    assert command(monkeypatch, "approver", "add", str(tmp_path / "key")) == 2
    assert "secret" not in capsys.readouterr().err


def test_a_host_that_joins_believes_its_approvers_before_it_speaks_to_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTAGE_AGENT_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "keys.pub").write_text(ANNA.line)
    asked: list[frozenset[str]] = []

    async def nobody_answers(*given: object, **more: object) -> None:
        asked.append(read_approvers(tmp_path / "state" / "approvers", required=True))
        raise EnrolmentFailed("nobody answers")

    monkeypatch.setattr(cli, "join", nobody_answers)
    body = json.dumps({"a": "127.0.0.1:1", "p": "0" * 64, "t": "secret"}).encode()
    token = "plg1." + base64.urlsafe_b64encode(body).decode().rstrip("=")
    assert command(monkeypatch, "join", token, "--approvers", str(tmp_path / "keys.pub")) == 1
    assert asked == [{line(ANNA)}]
    assert command(monkeypatch, "join", token, "--approvers", str(tmp_path / "missing")) == 2
    assert len(asked) == 1
