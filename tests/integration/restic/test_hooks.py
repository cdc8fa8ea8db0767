"""Programs around a backup: what they stop is always started again, and none of them can hang for ever."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import DeadlineExceeded, Refused, StepCancelled, StepFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.listing import BackupList

pytestmark = pytest.mark.integration


def note(log: Path, word: str, then: str = "true") -> dict[str, Any]:
    """A hook that writes a word into a file, and then runs a line of shell."""
    return {"argv": ["sh", "-c", 'echo "$0" >> "$1"; eval "$2"', word, str(log), then], "timeout": "20s"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def with_hooks(vault: dict[str, Any], data: Path, before: list[Any], after: list[Any]) -> dict[str, Any]:
    return {**vault, "paths": [str(data)], "hooks": {"before": before, "after": after}}


def snapshots(host: Harness, vault: dict[str, Any]) -> int:
    return int(host.run(BackupList(), {**vault, "newest_only": False})["total"])


def test_hooks_run_around_the_reading(host: Harness, vault: dict[str, Any], data: Path, log: Path) -> None:
    marker = data / "at rest"
    before, after = note(log, "before", f"touch '{marker}'"), note(log, "after", f"rm '{marker}'")
    host.secrets.contents["token"] = b"canary-8823"
    before["secret_files"] = {"TOKEN": "secret://token"}
    before["argv"][2] += '; cat "$TOKEN" | wc -c >> "$1"'
    made = host.run(BackupCreate(), with_hooks(vault, data, [before], [after]))
    assert log.read_text().split() == ["before", "11", "after"]
    assert not marker.exists()
    assert made["files_volatile"] >= 1, "what the hooks change is not vouched for"
    assert "canary" not in host.seen(made)


def test_a_before_that_fails_stops_the_backup_and_wakes_all_the_same(
    host: Harness, vault: dict[str, Any], data: Path, log: Path
) -> None:
    params = with_hooks(vault, data, [note(log, "before", "echo no quorum >&2; exit 7")], [note(log, "after")])
    with pytest.raises(StepFailed, match=r"nothing was backed up.*exit code 7: no quorum"):
        host.run(BackupCreate(), params)
    assert log.read_text().split() == ["before", "after"]
    assert snapshots(host, vault) == 0


def test_an_after_that_fails_fails_the_step_and_the_others_run(
    host: Harness, vault: dict[str, Any], data: Path, log: Path
) -> None:
    params = with_hooks(vault, data, [], [note(log, "one", "exit 3"), note(log, "two")])
    with pytest.raises(StepFailed, match=r"snapshot \w+ was made, but .* may still stand.*exit code 3"):
        host.run(BackupCreate(), params)
    assert log.read_text().split() == ["one", "two"]
    assert snapshots(host, vault) == 1


def test_a_hook_that_hangs_is_killed_with_all_it_started(
    host: Harness, vault: dict[str, Any], data: Path, log: Path
) -> None:
    hanging = note(log, "before", "sleep 600 & trap '' TERM; sleep 600") | {"timeout": "500ms"}
    before = host.living_children()
    with pytest.raises(StepFailed, match=r"was killed after its timeout of 0\.5 s"):
        host.run(BackupCreate(), with_hooks(vault, data, [hanging], [note(log, "after")]))
    assert log.read_text().split() == ["before", "after"]
    assert not host.left_behind(before)


def test_the_data_is_woken_when_the_backup_fails(host: Harness, vault: dict[str, Any], data: Path, log: Path) -> None:
    host.secrets.contents["wrong"] = b"nope"
    params = with_hooks({**vault, "password": "secret://wrong"}, data, [note(log, "before")], [note(log, "after")])
    with pytest.raises(StepFailed, match="password does not open"):
        host.run(BackupCreate(), params)
    assert log.read_text().split() == ["before", "after"]


@pytest.mark.parametrize("how", [{"cancel_after": 0.5}, {"timeout": 0.5}])
def test_the_data_is_woken_when_the_attempt_must_stop(
    host: Harness, vault: dict[str, Any], data: Path, log: Path, how: dict[str, Any]
) -> None:
    before = [note(log, "before", "sleep 600")]
    after = [note(log, "after", "sleep 0.3; echo awake >> '" + str(log) + "'"), note(log, "never ends", "sleep 600")]
    started = time.monotonic()
    with pytest.raises((StepCancelled, DeadlineExceeded)):
        host.run(BackupCreate(), with_hooks(vault, data, before, after), **how)
    assert time.monotonic() - started < 9.5
    assert log.read_text().split("\n")[:4] == ["before", "after", "awake", "never ends"]
    assert "was killed" in host.recorder.text


def test_after_an_interruption_the_next_run_wakes_the_data(
    host: Harness, vault: dict[str, Any], data: Path, log: Path
) -> None:
    """Nothing can run a hook for a process that was killed; the probe sees to it that the step runs again."""
    params = with_hooks(vault, data, [note(log, "before")], [note(log, "after")])
    key = "exe_1/save/host1//run/1"
    assert host.probe(BackupCreate(), params, key)["answer"] == "not_done"
    host.run(BackupCreate(), {**params, "manifest": False}, key=key)
    assert host.probe(BackupCreate(), params, key)["answer"] == "not_done"
    assert host.probe(BackupCreate(), {**params, "manifest": False}, key)["answer"] == "not_done"
    host.run(BackupCreate(), params, key=key)
    assert host.probe(BackupCreate(), params, key)["answer"] == "done"


def test_hooks_are_shown_before_they_run(host: Harness, vault: dict[str, Any], data: Path, log: Path) -> None:
    params = with_hooks(vault, data, [note(log, "before")], [note(log, "after")])
    shown = [change.action.value for change in host.preview(BackupCreate(), params).changes]
    assert shown == ["run", "create", "run"]
    assert not log.exists()


@pytest.mark.parametrize("hook", [{"argv": []}, {"argv": ["x"], "timeout": "0s"}, {"argv": ["x"], "timeout": "25h"}])
def test_hooks_without_bounds_are_refused(host: Harness, vault: dict[str, Any], hook: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="hooks"):
        host.run(BackupCreate(), with_hooks(vault, Path(os.sep), [hook], []))
