"""Files: what must accept them first, what others did meanwhile, what is never removed."""

import base64
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import Action, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.file import copy as file_copy
from pilotage_plugins.file import remove as file_remove
from pilotage_plugins.file.copy import FileCopy
from pilotage_plugins.file.directory import FileDirectory
from pilotage_plugins.file.placement import draft
from pilotage_plugins.file.remove import FileRemove
from pilotage_plugins.file.template import FileTemplate
from pilotage_plugins.file.write import FileWrite

KEY = "exe_1/files/host1//run/1"
AGAIN = "exe_1/files/host1//run/2"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _undone_elsewhere(harness: Harness, step: Any, params: dict[str, Any], **forged: Any) -> str:
    """Run a step, forge its outputs, and return why they are not undone."""
    outputs = harness.run(step, params)
    with pytest.raises(Refused) as refused:
        harness.undo(step, params, {**outputs, **forged})
    return str(refused.value)


@pytest.mark.parametrize("name", ["remove", "write", "copy", "template", "directory"])
def test_an_undo_touches_no_other_path_than_the_step(harness: Harness, name: str) -> None:
    path, other, source = (harness.sandbox / each for each in ("own", "other", "source"))
    source.write_text("source")
    path.write_text("before") if name == "remove" else None
    steps: dict[str, tuple[Any, dict[str, Any]]] = {
        "remove": (FileRemove(), {}),
        "write": (FileWrite(), {"content": "x"}),
        "copy": (FileCopy(), {"source": str(source)}),
        "template": (FileTemplate(), {"template": "x"}),
        "directory": (FileDirectory(), {}),
    }
    step, more = steps[name]
    why = _undone_elsewhere(harness, step, {"path": str(path), **more}, path=str(other))
    assert f"its outputs are about '{other}'" in why
    assert (path.exists(), other.exists()) == (name != "remove", False)


def test_an_undo_of_a_folder_removes_no_folder_beside_it(harness: Harness) -> None:
    other = harness.sandbox / "other"
    other.mkdir()
    params = {"path": str(harness.sandbox / "own")}
    why = _undone_elsewhere(harness, FileDirectory(), params, before={"made": [str(other), params["path"]]})
    assert "nor a folder above it" in why
    assert other.is_dir()


def test_an_undo_reloads_no_other_unit_than_the_step(harness: Harness) -> None:
    path = harness.sandbox / "own"
    params = {"path": str(path), "content": "x"}
    assert "reloads no unit 'ssh.service'" in _undone_elsewhere(harness, FileWrite(), params, reloaded="ssh.service")
    assert path.read_text() == "x"


def test_a_file_that_is_not_accepted_replaces_nothing(harness: Harness) -> None:
    path = harness.sandbox / "app.conf"
    path.write_text("good=1\n")
    params = {"path": str(path), "content": "bad\n", "validate_with": ["grep", "-q", "=", "{}"]}
    with pytest.raises(StepFailed, match="grep does not accept the new"):
        harness.run(FileWrite(), params)
    assert (path.read_text(), names(harness.sandbox)) == ("good=1\n", ["app.conf"])
    assert harness.run(FileWrite(), {**params, "content": "good=2\n"})["changed"]
    assert path.read_text() == "good=2\n"


def test_what_the_validator_says_names_the_real_file(harness: Harness) -> None:
    path = harness.sandbox / "app.conf"
    says = ["sh", "-c", 'echo "$1: line 3" >&2; exit 1', "sh", "{}"]
    with pytest.raises(StepFailed, match=f"{path}: line 3$"):
        harness.run(FileWrite(), {"path": str(path), "content": "x", "validate_with": says})


def test_a_validator_must_be_told_the_file(harness: Harness) -> None:
    with pytest.raises(Refused, match=r"validate_with.*does not name the file"):
        harness.run(FileWrite(), {"path": "/x", "content": "", "validate_with": ["true"]})


def test_a_preview_never_runs_the_validator(harness: Harness) -> None:
    trace = harness.sandbox / "trace"
    params = {"path": str(harness.sandbox / "f"), "content": "", "validate_with": ["touch", str(trace), "{}"]}
    assert "touch must accept it first" in harness.preview(FileWrite(), params).changes[0].note
    assert not trace.exists()


def test_the_draft_of_a_killed_attempt_does_not_stay(harness: Harness) -> None:
    path = harness.sandbox / "f"
    left = draft(path, (b"half",), 0o644, -1, -1, KEY.rpartition("/")[0])
    assert left.name.endswith(".pilotage-new")
    harness.run(FileWrite(), {"path": str(path), "content": "x"}, key=AGAIN)
    assert not left.exists()
    assert path.read_text() == "x"


def test_a_copy_of_another_content_is_refused(harness: Harness) -> None:
    source = harness.sandbox / "from"
    source.write_text("x")
    params = {"source": str(source), "path": str(harness.sandbox / "to"), "sha256": "0" * 64}
    for call in (harness.run, harness.preview):
        with pytest.raises(TargetFailed, match="it was not copied"):
            call(FileCopy(), params)
    assert names(harness.sandbox) == ["from"]


def test_a_source_that_changes_on_the_way_is_noticed(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = harness.sandbox / "from", harness.sandbox / "to"
    source.write_text("x")
    target.write_text("before")
    answers = iter(["1" * 64, "2" * 64])
    monkeypatch.setattr(file_copy, "sha256_of", lambda _: next(answers))
    with pytest.raises(StepFailed, match="changed while it was copied"):
        harness.run(FileCopy(), {"source": str(source), "path": str(target)})
    assert (target.read_text(), names(harness.sandbox)) == ("before", ["from", "to"])


def test_a_removal_that_is_retried_can_still_be_undone(harness: Harness) -> None:
    path = harness.sandbox / "f"
    path.write_text("before\n")
    path.chmod(0o640)
    harness.run(FileRemove(), {"path": str(path)}, key=KEY)
    outputs = harness.run(FileRemove(), {"path": str(path)}, key=AGAIN)
    assert base64.b64decode(outputs["previous"]["content"]) == b"before\n"
    harness.undo(FileRemove(), {"path": str(path)}, outputs)
    assert (path.read_text(), path.stat().st_mode & 0o777, names(harness.sandbox)) == ("before\n", 0o640, ["f"])


def test_a_folder_goes_only_when_that_was_said_and_never_through_a_link(harness: Harness) -> None:
    folder, other = harness.sandbox / "folder", harness.sandbox / "other"
    for each in (folder, other):
        (each / "sub").mkdir(parents=True)
        (each / "sub" / "f").write_text("x")
    (folder / "link").symlink_to(other)
    params = {"path": str(folder)}
    with pytest.raises(Refused, match="recursive: true"):
        harness.run(FileRemove(), params)
    with pytest.raises(Refused, match="keep_previous: false"):
        harness.preview(FileRemove(), {**params, "recursive": True})
    outputs = harness.run(FileRemove(), {**params, "recursive": True, "keep_previous": False})
    assert not folder.exists()
    assert (other / "sub" / "f").exists()
    with pytest.raises(Refused, match="removed for good"):
        harness.undo(FileRemove(), params, outputs)


@pytest.mark.parametrize("path", ["/etc", "/usr/../etc", "/var/lib"])
def test_folders_of_the_system_are_never_removed(harness: Harness, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here can delete anything, even if the rule were gone: this machine is somebody's."""
    monkeypatch.setattr(file_remove, "_delete_tree", lambda *_: None)
    monkeypatch.setattr(file_remove, "write_note", lambda *_: None)
    for call in (harness.preview, harness.run):
        with pytest.raises(Refused, match="never removed"):
            call(FileRemove(), {"path": path, "recursive": True, "keep_previous": False})


def test_a_folder_that_others_use_is_left_and_that_is_said(harness: Harness) -> None:
    params = {"path": str(harness.sandbox / "a" / "b"), "parents": True}
    outputs = harness.run(FileDirectory(), params)
    (harness.sandbox / "a" / "b" / "theirs").write_text("x")
    with pytest.raises(TargetFailed, match="Somebody has used it since"):
        harness.undo(FileDirectory(), params, outputs)
    assert (harness.sandbox / "a" / "b" / "theirs").exists()


def test_a_folder_made_by_a_killed_attempt_is_still_ours_to_remove(harness: Harness) -> None:
    params = {"path": str(harness.sandbox / "a" / "b"), "parents": True}
    harness.run(FileDirectory(), params, key=KEY)
    outputs = harness.run(FileDirectory(), params, key=AGAIN)
    assert outputs["changed"]
    harness.undo(FileDirectory(), params, outputs)
    assert names(harness.sandbox) == []


@pytest.mark.parametrize(
    ("step_type", "more"),
    [
        (FileWrite(), {"content": "x"}),
        (FileTemplate(), {"template": "x"}),
        (FileCopy(), {"source": "/etc/hostname"}),
        (FileDirectory(), {"parents": True}),
        (FileRemove(), {}),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
def test_a_path_through_links_that_lead_in_circles_is_the_hosts_fault(
    harness: Harness, step_type: Any, more: dict[str, Any]
) -> None:
    (harness.sandbox / "one").symlink_to("two")
    (harness.sandbox / "two").symlink_to("one")
    path = str(harness.sandbox / "one" / "below")
    for call in (harness.preview, harness.run):
        with pytest.raises(TargetFailed, match=f"{harness.sandbox}/one"):
            call(step_type, {"path": path, **more})
    assert names(harness.sandbox) == ["one", "two"]


def test_links_that_lead_in_circles_can_be_removed(harness: Harness) -> None:
    loop = harness.sandbox / "loop"
    loop.symlink_to("loop")
    outputs = harness.run(FileRemove(), {"path": str(loop)})
    assert not loop.is_symlink()
    harness.undo(FileRemove(), {"path": str(loop)}, outputs)
    assert str(loop.readlink()) == "loop"


def test_a_folder_is_not_made_below_one_that_is_not_there(harness: Harness) -> None:
    params = {"path": str(harness.sandbox / "a" / "b")}
    for call in (harness.preview, harness.run):
        with pytest.raises(TargetFailed, match="parents: true"):
            call(FileDirectory(), params)
    (harness.sandbox / "a").symlink_to("/tmp")
    with pytest.raises(TargetFailed, match="is no folder"):
        harness.run(FileDirectory(), {"path": str(harness.sandbox / "a")})
    made = harness.preview(FileDirectory(), {"path": str(harness.sandbox / "x" / "y"), "parents": True})
    assert [change.action for change in made.changes] == [Action.CREATE, Action.CREATE]


def test_a_text_may_stand_in_a_file_of_the_blueprint(harness: Harness) -> None:
    path = harness.sandbox / "motd"
    params = {"path": str(path), "file": {"name": "motd", "text": "welcome ü\n"}}
    change = harness.preview(FileWrite(), params).changes[0]
    assert (change.action, change.after) == (Action.CREATE, "welcome ü\n")
    outputs = harness.run(FileWrite(), params)
    assert path.read_text() == "welcome ü\n"
    harness.undo(FileWrite(), params, outputs)
    assert not path.exists()
