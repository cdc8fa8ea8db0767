"""The agent's command line tells errors in the form that was asked for."""

import json
import sys
from pathlib import Path

import pytest
from pilotage_agent import cli


@pytest.mark.parametrize("words", [["status"], ["status", "--wrong"], ["stauts"], ["doctor", "--config", "/none.toml"]])
@pytest.mark.parametrize("as_json", [True, False])
def test_an_error_is_one_json_object_or_words(
    words: list[str],
    as_json: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PILOTAGE_AGENT_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pilotage-agent", *words, *(["--json"] if as_json else [])])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    if as_json:
        told = json.loads(said.err)
        assert (told["kind"], told["problems"]) == ("usage", [])
        assert told["error"]
    else:
        assert said.err.count("{") == 0
        assert said.err


@pytest.mark.parametrize("as_json", [True, False])
def test_a_check_that_fails_is_an_answer(
    as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PILOTAGE_AGENT_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pilotage-agent", "doctor", *(["--json"] if as_json else [])])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (1, "")
    assert not as_json or json.loads(said.out)["healthy"] is False
