"""The built-in step types keep what they have published, and a change of it is never made unseen."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.contract import builtin_schemas
from tests.contract.builtin_schemas import COMMAND, changes, current, recorded


def test_the_schemas_are_those_that_were_recorded() -> None:
    found = list(changes(recorded(), current()))
    told = "\n".join(map(str, found))
    if any(change.broken for change in found):
        pytest.fail(f"{told}\nKeep the old form beside the new one, or decide to break it: {COMMAND} --breaking")
    assert not found, f"{told}\nRecord it: {COMMAND}"


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A record of its own, with what was published before: the test changes it and writes it."""
    monkeypatch.setattr(builtin_schemas, "RECORDED", tmp_path / "recorded.jsonl")
    return copy.deepcopy(current())


def record(schemas: dict[str, Any]) -> None:
    builtin_schemas.RECORDED.write_text(builtin_schemas.as_text(schemas))


def test_what_breaks_nobody_is_recorded_at_once(before: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    del before["file.write"]["params"]["properties"]["mode"]
    del before["wait.until"]
    record(before)
    assert builtin_schemas.main([]) == 0
    said = capsys.readouterr().out
    assert "file.write changed, and every blueprint goes on working" in said
    assert "wait.until changed, and every blueprint goes on working" in said
    assert recorded() == current()


def test_what_breaks_blueprints_needs_a_decision(before: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    before["file.write"]["params"]["properties"]["colour"] = {"type": "string"}
    before["file.paint"] = before["file.write"]
    record(before)
    assert builtin_schemas.main([]) == 1
    said = capsys.readouterr().out
    assert "file.write BREAKS blueprints: parameter colour is gone" in said
    assert "file.paint BREAKS blueprints: it is gone" in said
    assert recorded() == before
    assert builtin_schemas.main(["--breaking"]) == 0
    assert recorded() == current()
