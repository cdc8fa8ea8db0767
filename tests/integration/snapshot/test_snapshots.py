"""Snapshots on real file systems: what comes back is what was there, and no crash leaves anything in between."""

import os
import shutil
import signal
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.snapshot import copy, kept, swap
from pilotage_plugins.snapshot.create import SnapshotCreate
from pilotage_plugins.snapshot.listing import SnapshotList
from pilotage_plugins.snapshot.remove import SnapshotRemove
from pilotage_plugins.snapshot.restore import SnapshotRestore
from pilotage_plugins.snapshot.store import STORE_NAME, Store
from pilotage_plugins.tree import copying

from tests.forked import fork
from tests.integration.everything import make_everything, picture
from tests.integration.snapshot.conftest import MEBIBYTE, mounted

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]

CREATE, RESTORE = "exe_1/keep/host1//run/1", "exe_1/back/host1//run/1"


def spoil(path: Path) -> None:
    (path / "text").write_text("overwritten\n")
    (path / "large").unlink()
    (path / "more").mkdir()
    (path / "link").unlink()


def fill(path: Path) -> None:
    """Everything, and what a subvolume's folder is there for already."""
    if path.exists():
        make_everything(path.parent / "filled")
        for entry in (path.parent / "filled").iterdir():
            subprocess.run(["mv", "--", entry, path], check=True)
        (path.parent / "filled").rmdir()
    else:
        make_everything(path)
    entries = [(0x01, 7, -1), (0x02, 6, 1234), (0x04, 5, -1), (0x10, 7, -1), (0x20, 5, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path / "deep", "system.posix_acl_default", acl)
    os.setxattr(path / "text", "system.posix_acl_access", acl)
    os.setxattr(path / "empty", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    path.chmod(0o2750)
    os.utime(path, ns=(5, 1_234_567_890_000_000_001))


def test_what_comes_back_is_what_was_there(host: Harness, path: Path, kind: str) -> None:
    fill(path)
    before = picture(path)
    made = host.run(SnapshotCreate(), {"path": str(path)}, key=CREATE)
    assert picture(path) == before
    assert made["method"] == ("btrfs" if kind == "subvolume" else "copy")
    expected = {"here": 0, "subvolume": None}
    if kind in expected:
        assert made["cloned"] == expected[kind] or kind == "here"
    else:
        assert made["cloned"] == made["files"] - 2, "all but the two empty files share their blocks"
    spoil(path)
    spoilt = picture(path)
    restored = host.run(SnapshotRestore(), {"path": str(path)}, key=RESTORE)
    assert picture(path) == before
    assert restored["snapshot"] == made["snapshot"]
    listed = host.run(SnapshotList(), {"path": str(path)})
    assert [(one["kind"], one["whole"]) for one in listed["snapshots"]] == [("kept", True), ("snapshot", True)]
    assert picture(Path(listed["snapshots"][0]["where"])) == spoilt
    for _ in range(2):
        host.undo(SnapshotRestore(), {"path": str(path)}, restored)
        assert picture(path) == spoilt
    for _ in range(2):
        host.undo(SnapshotCreate(), {"path": str(path)}, made)
        assert [entry.name for entry in path.parent.iterdir()] == [path.name], "nothing is left beside it"


def test_what_was_put_aside_can_be_restored_and_removed(host: Harness, path: Path) -> None:
    fill(path)
    host.run(SnapshotCreate(), {"path": str(path)}, key=CREATE)
    spoil(path)
    spoilt = picture(path)
    kept_as = host.run(SnapshotRestore(), {"path": str(path)}, key=RESTORE)["kept"]
    again = host.run(SnapshotRestore(), {"path": str(path), "snapshot": kept_as, "keep_current": False})
    assert picture(path) == spoilt
    assert again["kept"] is None
    with pytest.raises(TargetFailed, match="removed since"):
        host.undo(SnapshotRestore(), {"path": str(path)}, {**again, "kept": "0" * 16})
    with pytest.raises(Refused, match="not kept"):
        host.undo(SnapshotRestore(), {"path": str(path)}, again)
    preview = host.preview(SnapshotRemove(), {"path": str(path), "keep_last": 1})
    assert [change.action for change in preview.changes] == ["delete"]
    assert host.run(SnapshotRemove(), {"path": str(path), "keep_last": 0})["left"] == 0
    assert host.run(SnapshotList(), {"path": str(path)})["total"] == 0


def test_what_was_deleted_comes_back_and_goes_again(host: Harness, path: Path) -> None:
    fill(path)
    before = picture(path)
    host.run(SnapshotCreate(), {"path": str(path)}, key=CREATE)
    path.rename(path.with_name("gone"))
    restored = host.run(SnapshotRestore(), {"path": str(path)}, key=RESTORE)
    assert picture(path) == before
    assert not restored["was_there"]
    for _ in range(2):
        host.undo(SnapshotRestore(), {"path": str(path)}, restored)
        assert not path.exists()
    host.run(SnapshotRemove(), {"path": str(path), "keep_last": 0})


def test_what_somebody_put_there_since_is_not_taken_away(host: Harness, path: Path) -> None:
    fill(path)
    host.run(SnapshotCreate(), {"path": str(path)}, key=CREATE)
    restored = host.run(SnapshotRestore(), {"path": str(path)}, key=RESTORE)
    path.rename(path.with_name("theirs"))
    path.mkdir()
    with pytest.raises(TargetFailed, match="not what the step put there"):
        host.undo(SnapshotRestore(), {"path": str(path)}, restored)
    assert path.exists()
    host.run(SnapshotRemove(), {"path": str(path), "keep_last": 0})


def test_another_execution_needs_to_say_which(host: Harness, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    params = {"path": str(tmp_path / "file")}
    made = host.run(SnapshotCreate(), params, key=CREATE)
    (tmp_path / "file").write_text("after")
    with pytest.raises(StepFailed, match="no snapshot that this execution made"):
        host.run(SnapshotRestore(), params, key="exe_2/back/host1//run/1")
    assert host.run(SnapshotRemove(), params, key="exe_2/tidy/host1//run/1")["removed"] == []
    host.run(SnapshotRestore(), {**params, "snapshot": "latest"}, key="exe_2/back/host1//run/1")
    assert (tmp_path / "file").read_text() == "before"
    assert host.run(SnapshotRemove(), params, key="exe_1/tidy/host1//run/1")["removed"] == [made["snapshot"]]


def test_a_new_attempt_makes_a_new_snapshot_and_removes_the_old_one(host: Harness, path: Path) -> None:
    fill(path)
    first = host.run(SnapshotCreate(), {"path": str(path)}, key="exe_1/keep/host1//run/1")
    same = host.run(SnapshotCreate(), {"path": str(path)}, key="exe_1/keep/host1//run/1")
    second = host.run(SnapshotCreate(), {"path": str(path)}, key="exe_1/keep/host1//run/2")
    assert same == first
    listed = host.run(SnapshotList(), {"path": str(path)})["snapshots"]
    assert [one["id"] for one in listed] == [second["snapshot"]] != [first["snapshot"]]
    host.run(SnapshotRemove(), {"path": str(path), "keep_last": 0})


def test_other_file_systems_inside_are_told(host: Harness, tmp_path: Path) -> None:
    data = make_everything(tmp_path / "data")
    with mounted(data / "disk", "-t", "tmpfs", "tmpfs"):
        (data / "disk" / "theirs").touch()
        with pytest.raises(TargetFailed, match=r"other file systems.*/data/disk.*leave_out_nested: true"):
            host.preview(SnapshotCreate(), {"path": str(data)})
        params = {"path": str(data), "leave_out_nested": True}
        assert "left out" in host.preview(SnapshotCreate(), params).changes[0].note
        made = host.run(SnapshotCreate(), params, key=CREATE)
        assert made["left_out"] == [str(data / "disk")]
        assert list(Path(made["where"], "disk").iterdir()) == []
        with pytest.raises(TargetFailed, match="would be carried away"):
            host.run(SnapshotRestore(), {"path": str(data)}, key=RESTORE)
        with pytest.raises(TargetFailed, match="it is a mount point"):
            host.run(SnapshotCreate(), {"path": str(data / "disk")})


def test_subvolumes_inside_are_told(host: Harness, btrfs: Path) -> None:
    data = btrfs / "outer"
    for name in (data, data / "in ü"):
        subprocess.run(["btrfs", "subvolume", "create", name], check=True, capture_output=True)
    try:
        for method in ("btrfs", "copy"):
            params = {"path": str(data), "method": method}
            with pytest.raises(TargetFailed, match="outer/in ü"):
                host.run(SnapshotCreate(), params)
            made = host.run(SnapshotCreate(), {**params, "leave_out_nested": True}, key=f"{CREATE}{method}")
            assert made["left_out"] == [str(data / "in ü")]
            with pytest.raises(TargetFailed, match="would be carried away"):
                host.run(SnapshotRestore(), {"path": str(data)}, key=RESTORE)
            host.run(SnapshotRemove(), {"path": str(data), "keep_last": 0})
    finally:
        for name in (data / "in ü", data):
            subprocess.run(["btrfs", "subvolume", "delete", name], check=True, capture_output=True)


def test_methods_that_do_not_fit_say_why(host: Harness, tmp_path: Path, btrfs: Path) -> None:
    (tmp_path / "data").mkdir()
    for method in ("btrfs", "zfs", "lvm"):
        with pytest.raises(TargetFailed, match=f"{method}: "):
            host.run(SnapshotCreate(), {"path": str(tmp_path / "data"), "method": method})
    details = host.available(SnapshotCreate()).details
    assert details["copy"] == "available"
    assert details["btrfs"] == "available"
    assert details["zfs"] == "available" or "zfs" in details["zfs"]
    (tmp_path / "link").symlink_to("data")
    with pytest.raises(TargetFailed, match="symbolic link"):
        host.run(SnapshotCreate(), {"path": str(tmp_path / "link")})
    with pytest.raises(TargetFailed, match="there is nothing at"):
        host.run(SnapshotCreate(), {"path": str(tmp_path / "nothing")})
    with pytest.raises(TargetFailed, match="the whole host"):
        host.run(SnapshotCreate(), {"path": "/"})


def test_a_copy_that_does_not_fit_is_refused_before_and_leaves_nothing(
    host: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m", "tmpfs") as disk:
        (disk / "data").mkdir()
        for number in range(5):
            (disk / "data" / str(number)).write_bytes(os.urandom(MEBIBYTE))
        for ask in (host.preview, host.run):
            with pytest.raises(TargetFailed, match=r"takes \d+ bytes, and .* has \d+ free"):
                ask(SnapshotCreate(), {"path": str(disk / "data")})
        monkeypatch.setattr(copy, "check_room", lambda *_: None)
        with pytest.raises(InfrastructureFailed, match="the disk is full"):
            host.run(SnapshotCreate(), {"path": str(disk / "data")})
        assert [entry.name for entry in disk.iterdir()] == ["data"]
        (disk / "data" / "4").unlink()
        (disk / "data" / "3").unlink()
        host.run(SnapshotCreate(), {"path": str(disk / "data")}, key=CREATE)
        with pytest.raises(InfrastructureFailed, match="the disk is full"):
            host.run(SnapshotRestore(), {"path": str(disk / "data")}, key=RESTORE)
        assert host.run(SnapshotList(), {"path": str(disk / "data")})["total"] == 1


def test_a_copy_of_what_changed_meanwhile_is_no_snapshot(
    host: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "data" / name).write_text(name)
    genuine = copying.TreeCopy._content

    def while_written(self: Any, source: int, target: int) -> None:
        genuine(self, source, target)
        if Path(f"/proc/self/fd/{source}").readlink().name == "b":
            (tmp_path / "data" / "b").write_text("changed")

    monkeypatch.setattr(copying.TreeCopy, "_content", while_written)
    with pytest.raises(StepFailed, match=r"1 entries of .*/data/b.*accept_changes"):
        host.run(SnapshotCreate(), {"path": str(tmp_path / "data")})
    assert not (tmp_path / STORE_NAME).exists()
    made = host.run(SnapshotCreate(), {"path": str(tmp_path / "data"), "accept_changes": True})
    assert made["files"] == 3


def test_a_store_that_others_could_write_to_is_not_trusted(host: Harness, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "theirs").mkdir(mode=0o777)
    (tmp_path / STORE_NAME).symlink_to("theirs")
    for step_type in (SnapshotCreate(), SnapshotList(), SnapshotRestore()):
        with pytest.raises(TargetFailed, match="nothing in it is trusted"):
            host.run(step_type, {"path": str(tmp_path / "data")})
    (tmp_path / STORE_NAME).unlink()
    (tmp_path / STORE_NAME).mkdir(mode=0o700)
    os.chown(tmp_path / STORE_NAME, 1234, 1234)
    with pytest.raises(TargetFailed, match="nothing in it is trusted"):
        host.run(SnapshotCreate(), {"path": str(tmp_path / "data")})


def test_a_snapshot_that_is_being_made_is_not_taken_for_one_that_was_cut_off(
    host: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("content")
    (tmp_path / "second").mkdir()
    other, genuine, said = Harness.in_folder(tmp_path / "second"), copying.TreeCopy._content, []

    def while_copied(self: Any, source: int, target: int) -> None:
        def tidy() -> None:
            with pytest.raises(InfrastructureFailed, match="is being made by another step") as refused:
                other.run(SnapshotRemove(), {"path": str(tmp_path / "data"), "keep_last": 0})
            said.append(refused)

        thread = threading.Thread(target=tidy)
        thread.start()
        thread.join()
        genuine(self, source, target)

    monkeypatch.setattr(copying.TreeCopy, "_content", while_copied)
    made = host.run(SnapshotCreate(), {"path": str(tmp_path / "data")})
    assert len(said) == 1
    assert Path(made["where"], "file").read_text() == "content"


def test_two_restores_at_once_wait_for_each_other(host: Harness, tmp_path: Path) -> None:
    make_everything(tmp_path / "data")
    before = picture(tmp_path / "data")
    host.run(SnapshotCreate(), {"path": str(tmp_path / "data")}, key=CREATE)
    ended: list[str] = []

    def restore(number: int) -> None:
        (folder := tmp_path / f"host{number}").mkdir()
        other = Harness.in_folder(folder)
        params = {"path": str(tmp_path / "data")}
        ended.append(other.run(SnapshotRestore(), params, key=f"exe_1/back{number}/host1//run/1")["kept"])

    threads = [threading.Thread(target=restore, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ended)) == 4
    assert picture(tmp_path / "data") == before
    assert host.run(SnapshotList(), {"path": str(tmp_path / "data")})["total"] == 5


STAGES: list[tuple[Any, str]] = [
    (Store, "begin"),
    (Store, "note"),
    (Store, "drop"),
    (swap, "exchange"),
    (swap, "sync_folder"),
    (swap, "sync_file_system"),
    (kept, "sync_file_system"),
    (copying.TreeCopy, "_entry"),
    (copy, "delete_tree"),
]


def killed_at(stage: int, host: Harness, call: Callable[[], object]) -> bool:
    """Do it in a child that SIGKILL ends at the n-th of the moments that matter; False when it came to its end."""
    pid = fork()
    if pid:
        host.attempts += 1  # the child has used this number for its scratch folder
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
        return os.WIFSIGNALED(status)
    left = [stage]
    for owner, name in STAGES:
        genuine = getattr(owner, name)

        def counted(*arguments: Any, genuine: Any = genuine, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = genuine(*arguments, **more)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        setattr(owner, name, counted)
    try:
        call()
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.fixture
def small(path: Path) -> Path:
    """Few entries, so that few moments are all of them."""
    path.mkdir(exist_ok=True)
    (path / "folder").mkdir()
    (path / "folder" / "file").write_text("before")
    (path / "link").symlink_to("folder")
    return path


@pytest.mark.parametrize("kind", ["memory", "subvolume"], indirect=True)
def test_a_create_that_is_killed_anywhere_leaves_what_is_known_for_what_it_is(host: Harness, small: Path) -> None:
    params = {"path": str(small)}
    before = picture(small)
    for stage in range(1, 200):
        first, second = f"exe_{stage}/keep/host1//run/1", f"exe_{stage}/keep/host1//run/2"
        killed = killed_at(stage, host, lambda key=first: host.run(SnapshotCreate(), params, key=key))  # type: ignore[misc]
        answer = host.probe(SnapshotCreate(), params, first)
        assert answer["answer"] == "done" if not killed else answer["answer"] in ("done", "not_done")
        if answer["answer"] == "done":
            assert picture(Path(answer["outputs"]["where"])) == before
        else:
            made = host.run(SnapshotCreate(), params, key=second)
            assert picture(Path(made["where"])) == before
        listed = host.run(SnapshotList(), params)["snapshots"]
        assert [one["whole"] for one in listed] == [True], "one step run has one snapshot, and nothing half done"
        host.run(SnapshotRemove(), {**params, "keep_last": 0})
        assert [entry.name for entry in small.parent.iterdir()] == [small.name]
        if not killed:
            break
    assert 8 < stage < 199


@pytest.mark.parametrize("keep_current", [True, False])
@pytest.mark.parametrize("kind", ["memory", "subvolume"], indirect=True)
def test_a_restore_that_is_killed_anywhere_is_whole_or_has_not_begun(
    host: Harness, small: Path, keep_current: bool
) -> None:
    params = {"path": str(small)}
    before = picture(small)
    made = host.run(SnapshotCreate(), params, key=CREATE)
    restore = {**params, "snapshot": made["snapshot"], "keep_current": keep_current}
    for stage in range(1, 200):
        (small / "folder" / "file").write_text(f"spoilt {stage}")
        spoilt = picture(small)
        first, second = f"exe_{stage}/back/host1//run/1", f"exe_{stage}/back/host1//run/2"
        killed = killed_at(stage, host, lambda key=first: host.run(SnapshotRestore(), restore, key=key))  # type: ignore[misc]
        answer = host.probe(SnapshotRestore(), restore, first)
        if answer["answer"] == "done":
            assert picture(small) == before
            restored = answer["outputs"]
        else:
            assert picture(small) == spoilt
            restored = host.run(SnapshotRestore(), restore, key=second)
            assert picture(small) == before
        if keep_current:
            killed_at(stage, host, lambda it=restored: host.undo(SnapshotRestore(), restore, it))  # type: ignore[misc]
            host.undo(SnapshotRestore(), restore, restored)
            assert picture(small) == spoilt
        listed = host.run(SnapshotList(), params)["snapshots"]
        assert all(one["whole"] for one in listed) or (killed and not keep_current)
        if not killed:
            break
    assert 8 < stage < 199
    host.run(SnapshotRemove(), {**params, "keep_last": 0})
    assert not list(small.parent.glob(f"{STORE_NAME}/*/data"))
    assert [entry.name for entry in small.parent.iterdir()] == [small.name] or not keep_current


def test_a_tree_that_never_ends_and_links_that_lead_in_circles(host: Harness, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "loop").symlink_to(".")
    (data / "self").symlink_to("self")
    deep = data
    for _ in range(180):
        deep = deep / "dddd"
        deep.mkdir()
    before = picture(data)
    made = host.run(SnapshotCreate(), {"path": str(data)})
    assert picture(Path(made["where"])) == before
    for _ in range(21):
        deep = deep / "d"
        deep.mkdir()
    with pytest.raises(TargetFailed, match="nests deeper than 200 folders"):
        host.run(SnapshotCreate(), {"path": str(data)})
    shutil.rmtree(data)
