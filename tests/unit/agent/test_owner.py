"""`pilotage-agent owner`: whose signature a host wants."""

import base64
import sys
from pathlib import Path

import pytest
from pilotage_agent import cli
from pilotage_agent.witness import read_owners

BLOB = (11).to_bytes(4, "big") + b"ssh-ed25519" + (32).to_bytes(4, "big") + bytes(range(32))
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()} me@home\n"


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pilotage-agent", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_an_owner_is_added_once_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("PILOTAGE_AGENT_STATE_DIR", str(state))
    (tmp_path / "key.pub").write_text(KEY)
    assert run(monkeypatch, "owner", "list") == 0
    assert "none" in capsys.readouterr().err
    for _ in range(2):
        assert run(monkeypatch, "owner", "add", str(tmp_path / "key.pub")) == 0
    (line,) = read_owners(state / "owners")
    assert line == " ".join(KEY.split()[:2])
    assert (state / "owners").stat().st_mode & 0o777 == 0o600
    capsys.readouterr()
    assert run(monkeypatch, "owner", "list") == 0
    assert capsys.readouterr().out.startswith("SHA256:")


def test_what_is_no_public_key_is_refused_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PILOTAGE_AGENT_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
    assert run(monkeypatch, "owner", "add", str(tmp_path / "key")) == 2
    assert "secret" not in capsys.readouterr().err
    assert run(monkeypatch, "owner", "add", str(tmp_path / "missing")) == 2
    assert not (tmp_path / "state/owners").exists()
