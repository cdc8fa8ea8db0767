"""What is backed up comes back exactly, and a drill that says so is right."""

import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.invocation import outputs_of_failure
from pilotage_plugin_api.testing import Harness, tree_of
from pilotage_plugins.backup import drill, restore
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.drill import RestoreDrill
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.progress import BackupListener
from pilotage_plugins.backup.prune import BackupPrune
from pilotage_plugins.backup.restore import BackupRestore
from pilotage_plugins.backup.verify import BackupVerify

from tests.integration.restic.cheap_key import PASSWORD
from tests.integration.restic.conftest import dead_lock, restic_version

pytestmark = pytest.mark.integration


@pytest.fixture
def backup(host: Harness, vault: dict[str, Any], data: Path) -> dict[str, Any]:
    return host.run(BackupCreate(), {**vault, "paths": [str(data)]}, key="exe_1/backup/host1//run/1")


def test_a_drill_proves_every_entry(host: Harness, vault: dict[str, Any], data: Path, backup: dict[str, Any]) -> None:
    entries = sum(len(folders) + len(files) for _, folders, files in os.walk(data)) + 1
    drilled = host.run(RestoreDrill(), vault)
    assert drilled["identical"]
    assert drilled["volatile"] == 0
    [snapshot] = drilled["snapshots"]
    assert snapshot["id"] == backup["snapshot_id"]
    assert snapshot["entries_identical"] == entries
    assert drilled["files_identical"] == sum(path.is_file() and not path.is_symlink() for path in data.rglob("*"))
    assert 0 < drilled["rto_s"] < 60
    assert 0 < drilled["rpo_s"] < 60
    assert not list(host.scratch_root.iterdir())


def test_a_restored_tree_is_the_same_by_other_eyes(
    host: Harness, vault: dict[str, Any], data: Path, backup: dict[str, Any], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    host.run(BackupRestore(), {**vault, "target": str(target)})
    restored = target / data.relative_to("/")
    assert tree_of(restored, times=True) == tree_of(data, times=True)
    assert (restored / "hard one").samefile(restored / "deep" / "hard two")


def test_live_data_is_told_apart_from_damage(host: Harness, vault: dict[str, Any], data: Path) -> None:
    """Files that change all the time never fail a drill; everything that kept still is proved all the same."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            (data / "changing").write_text(str(number))
            (data / "deep" / f"comes and goes {number % 3}").write_text("x")
            (data / "deep" / f"comes and goes {(number + 1) % 3}").unlink(missing_ok=True)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        created = host.run(BackupCreate(), {**vault, "paths": [str(data)]})
    finally:
        stop.set()
        writer.join()
    assert created["files_volatile"] >= 2
    drilled = host.run(RestoreDrill(), vault)
    assert drilled["identical"]
    assert drilled["volatile"] >= 2
    assert drilled["files_identical"] >= 10


def test_a_drill_finds_a_tree_that_is_not_what_was_described(
    host: Harness, vault: dict[str, Any], data: Path, backup: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Change one byte of what restic restored, times kept, before it is compared (other damage: test_tree)."""
    genuine = restore.restore_snapshot

    async def restore_badly(
        restic: Any, snapshot: Any, target: str, include: Any, listener: Any, *, verify: bool
    ) -> None:
        await genuine(restic, snapshot, target, include, listener, verify=verify)
        text = Path(target) / data.relative_to("/") / "text"
        status = text.stat()
        text.write_text("hellO\n")
        os.utime(text, ns=(status.st_atime_ns, status.st_mtime_ns))

    monkeypatch.setattr(drill, "restore_snapshot", restore_badly)
    with pytest.raises(StepFailed, match=r"1 differences: .*text.*sha256") as failed:
        host.run(RestoreDrill(), vault)
    found = outputs_of_failure(RestoreDrill(), failed.value)
    assert not found["identical"]
    assert found["complete"]
    assert found["rto_s"] > 0
    assert found["rpo_s"] > 0
    assert found["files_identical"] >= 10
    [snapshot] = found["snapshots"]
    assert snapshot["different"] == 1
    assert "text" in snapshot["differences"][0]


def test_a_drill_goes_on_after_a_bad_snapshot_and_keeps_what_it_measured(
    host: Harness, vault: dict[str, Any], data: Path, backup: dict[str, Any]
) -> None:
    other = host.sandbox / "other"
    other.mkdir()
    (other / "file").write_text("whole")
    host.run(BackupCreate(), {**vault, "paths": [str(other)]})
    bare = host.sandbox / "bare"
    bare.mkdir()
    host.run(BackupCreate(), {**vault, "paths": [str(bare)], "manifest": False})
    with pytest.raises(StepFailed, match=r"1 of 3 snapshots do not restore: .*has no manifest") as failed:
        host.run(RestoreDrill(), vault)
    found = outputs_of_failure(RestoreDrill(), failed.value)
    assert sorted((each["identical"], each["paths"]) for each in found["snapshots"]) == [
        (False, [str(bare)]),
        (True, [str(data)]),
        (True, [str(other)]),
    ]
    assert not list(host.scratch_root.iterdir())


def test_a_drill_that_ends_early_keeps_what_it_measured(
    host: Harness, vault: dict[str, Any], backup: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_room(restic: Any, snapshot: Any, area: Path, advice: str) -> None:
        raise TargetFailed("no room")

    monkeypatch.setattr(drill, "check_restore_room", no_room)
    with pytest.raises(TargetFailed, match="no room") as failed:
        host.run(RestoreDrill(), vault)
    found = outputs_of_failure(RestoreDrill(), failed.value)
    assert (found["complete"], found["identical"], found["snapshots"]) == (False, False, [])
    assert found["rpo_s"] > 0


def test_a_flipped_bit_in_the_repository_is_found(host: Harness, vault: dict[str, Any], backup: dict[str, Any]) -> None:
    pack = max(Path(vault["repository"], "data").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    assert host.run(BackupVerify(), vault)["snapshots"] == 2
    with pytest.raises(StepFailed, match="verifying"):
        host.run(BackupVerify(), {**vault, "read_data": "full"})
    with pytest.raises(StepFailed):
        host.run(RestoreDrill(), vault)


def test_excluded_paths_stay_out_and_the_drill_agrees(host: Harness, vault: dict[str, Any], data: Path) -> None:
    exclude = ["*line", "/**/deep/er", f"{data}/ [[]x]*"]
    host.run(BackupCreate(), {**vault, "paths": [str(data)], "exclude": exclude})
    drilled = host.run(RestoreDrill(), vault)
    assert drilled["identical"]
    entries = sum(len(folders) + len(files) for _, folders, files in os.walk(data)) + 1
    assert drilled["snapshots"][0]["entries_identical"] == entries - 4


def test_without_a_manifest_a_full_drill_refuses(host: Harness, vault: dict[str, Any], data: Path) -> None:
    host.run(BackupCreate(), {**vault, "paths": [str(data)], "manifest": False})
    with pytest.raises(StepFailed, match="no manifest"):
        host.run(RestoreDrill(), vault)
    assert host.run(RestoreDrill(), {**vault, "compare": "restic"})["identical"]


def test_a_restore_never_overwrites_unasked(
    host: Harness, vault: dict[str, Any], data: Path, backup: dict[str, Any]
) -> None:
    (data / "text").write_text("newer")
    with pytest.raises(TargetFailed, match="overwrite: true"):
        host.run(BackupRestore(), {**vault, "target": "/"})
    assert (data / "text").read_text() == "newer"
    victim = host.sandbox / "victim"
    victim.write_text("must stay")
    (data / "large").unlink()
    (data / "large").symlink_to(victim)
    (data / "new\nline").unlink()
    host.run(BackupRestore(), {**vault, "target": "/", "include": [str(data / "new\nline")]})
    assert (data / "new\nline").read_text() == "odd"
    host.run(BackupRestore(), {**vault, "target": "/", "overwrite": True})
    assert (data / "text").read_text() == "hello\n"
    assert victim.read_text() == "must stay"
    assert (data / "large").stat().st_size == 3_000_000
    assert not (data / "large").is_symlink()


def test_pruning_before_the_first_backup_would_let_nothing_go(host: Harness, vault: dict[str, Any]) -> None:
    elsewhere = {**vault, "repository": f"{vault['repository']}-not-yet"}
    preview = host.preview(BackupPrune(), {**elsewhere, "keep": {"last": 1}})
    assert (preview.changes, preview.complete) == ((), True)
    assert "no repository yet" in preview.note


def test_prune_keeps_what_it_should_and_drops_manifests_of_the_rest(
    host: Harness, vault: dict[str, Any], data: Path, backup: dict[str, Any]
) -> None:
    (data / "text").write_text("second")
    newest = host.run(BackupCreate(), {**vault, "paths": [str(data)]})
    other = Harness.in_folder(host.sandbox)
    other.host, other.secrets = "host2", host.secrets
    other.run(BackupCreate(), {**vault, "paths": [str(data / "deep")]})
    preview = host.preview(BackupPrune(), {**vault, "keep": {"last": 1}})
    assert [change.subject for change in preview.changes] == [backup["snapshot_id"][:8]]
    assert host.run(BackupPrune(), {**vault, "keep": {"last": 1}})["removed"] == 1
    listed = host.run(BackupList(), {**vault, "host": "*", "newest_only": False})
    assert listed["total"] == 2
    assert newest["snapshot_id"] in [snapshot["id"] for snapshot in listed["snapshots"]]
    assert all(snapshot["files"] is not None for snapshot in listed["snapshots"])
    assert host.run(BackupVerify(), {**vault, "read_data": "full"})["snapshots"] == 4
    assert host.run(RestoreDrill(), vault)["identical"]


def test_what_is_wrong_with_a_repository_is_said(host: Harness, vault: dict[str, Any], data: Path) -> None:
    with pytest.raises(TargetFailed, match=r"backup\.init"):
        host.run(BackupList(), {**vault, "repository": str(host.sandbox / "none")})
    host.secrets.contents["wrong"] = b"nope"
    with pytest.raises(StepFailed, match="password does not open"):
        host.run(BackupList(), {**vault, "password": "secret://wrong"})
    with pytest.raises(TargetFailed, match="No such file"):
        host.run(BackupCreate(), {**vault, "paths": [str(data / "gone")]})
    with pytest.raises(TargetFailed, match="symbolic link"):
        host.run(BackupCreate(), {**vault, "paths": [str(data / "link")]})


def test_a_lock_that_is_held_is_infrastructure_and_a_stale_one_is_removed(
    host: Harness, vault: dict[str, Any], data: Path
) -> None:
    host.run(BackupCreate(), {**vault, "paths": [str(data)]})
    environment = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": "correct horse battery staple 7261"}
    holder = subprocess.Popen(
        ["restic", "-r", vault["repository"], "--no-cache", "backup", "--stdin", "--json"],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    locks = Path(vault["repository"], "locks")
    try:
        while not any(locks.iterdir()):
            assert holder.poll() is None
        with pytest.raises(InfrastructureFailed, match="locked"):
            host.run(BackupVerify(), vault)
    finally:
        holder.kill()
        holder.communicate()
    assert any(locks.iterdir())
    assert host.run(BackupVerify(), vault)["snapshots"] == 2


def test_what_only_looks_leaves_a_dead_lock_and_the_whole_repository_alone(
    host: Harness, vault: dict[str, Any], backup: dict[str, Any], tmp_path: Path
) -> None:
    """A prune was killed: its lock shuts everybody out. Previews, lists and probes neither mind nor mend it."""
    dead_lock(vault, "prune")
    before = tree_of(Path(vault["repository"]), times=True)
    host.preview(BackupInit(), vault)
    assert host.preview(BackupPrune(), {**vault, "keep": {"last": 1}}).changes == ()
    assert host.preview(BackupRestore(), {**vault, "target": str(tmp_path / "out")}).changes
    assert host.run(BackupList(), vault)["total"] == 1
    probed = host.probe(BackupCreate(), {**vault, "paths": [str(host.sandbox / "data")]}, "exe_1/backup/host1//run/1")
    assert probed["answer"] == "done"
    assert probed["outputs"]["restore_with"] == backup["restore_with"]
    assert tree_of(Path(vault["repository"]), times=True) == before
    assert host.run(BackupPrune(), {**vault, "keep": {"last": 1}})["kept"] == 1


def test_the_outputs_say_how_to_restore_with_plain_restic(
    host: Harness, vault: dict[str, Any], data: Path, backup: dict[str, Any], tmp_path: Path
) -> None:
    command = backup["restore_with"]
    assert PASSWORD.decode() not in command
    password = tmp_path / "password file"
    password.write_bytes(PASSWORD)
    target = tmp_path / "by hand"
    typed = command.replace("PASSWORD ", f"'{password}' ", 1).replace("FOLDER", f"'{target}'", 1)
    subprocess.run(["/bin/sh", "-c", typed], check=True, capture_output=True)
    assert tree_of(Path(f"{target}{data}"), times=True) == tree_of(data, times=True)


def test_a_restore_says_how_far_it_is_or_that_it_cannot(
    host: Harness, vault: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    (data / "larger").write_bytes(os.urandom(60_000_000))
    host.run(BackupCreate(), {**vault, "paths": [str(data)], "manifest": False})
    host.recorder.reports.clear()
    host.run(BackupRestore(), {**vault, "target": str(tmp_path / "out")})
    told = [text for _, text in host.recorder.reports if text.startswith("rest")]
    assert told[0].startswith("restoring snapshot ")
    if restic_version() < (0, 16):
        assert "does not say how far" in told[0]
        return
    fractions = [fraction for fraction, text in host.recorder.reports if text.startswith("restored ")]
    assert fractions
    assert all(fraction is not None and 0 <= fraction < 1 for fraction in fractions)
    assert fractions == sorted(fractions, key=lambda fraction: fraction or 0)


def test_a_file_that_cannot_be_read_fails_the_step_by_name(host: Harness, vault: dict[str, Any], data: Path) -> None:
    with pytest.raises(StepFailed, match="mem"):
        host.run(BackupCreate(), {**vault, "paths": [f"/proc/{os.getpid()}/mem"], "manifest": False})


def test_a_vanished_file_does_not_fail_a_backup(host: Harness, vault: dict[str, Any]) -> None:
    for line in (
        b'{"message_type":"error","error":{"Op":"lstat","Path":"/a","Err":2},"during":"archival","item":"/a"}',
        b'{"message_type":"error","error":{"message":"lstat /a: no such file or directory"},"item":"/a"}',
    ):
        listener = BackupListener(host.context("k", host.scratch_root), 0.0)
        listener.stderr(line)
        assert (listener.vanished, listener.failed) == (1, 0)
    listener.stderr(b'{"message_type":"error","error":{"message":"read /a: input/output error"},"item":"/a"}')
    assert (listener.vanished, listener.failed) == (1, 1)
    assert "input/output" in listener.errors[0]


@pytest.mark.parametrize(("began_after", "vanished"), [(-60.0, 1), (60.0, 0)])
def test_an_error_without_words_is_excused_only_for_a_file_that_changed_meanwhile(
    host: Harness, data: Path, began_after: float, vanished: int
) -> None:
    (data / "swapped").write_text("x")
    began = (data / "swapped").stat().st_ctime + began_after
    listener = BackupListener(host.context("k", host.scratch_root), began)
    listener.stderr(f'{{"message_type":"error","error":{{}},"item":"{data}/swapped"}}'.encode())
    assert (listener.vanished, listener.failed) == (vanished, 1 - vanished)


def test_an_undone_restore_takes_away_what_it_brought_and_nothing_else(
    host: Harness, vault: dict[str, Any], data: Path, backup: dict[str, Any], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    params = {**vault, "target": str(target)}
    outputs = host.run(BackupRestore(), params)
    restored = target / data.relative_to("/")
    (restored / "text").write_text("changed since")
    (restored / "deep" / "mine").write_text("added since")
    elsewhere = tmp_path / "elsewhere"
    (restored / "deep" / "er").rename(elsewhere)
    (restored / "deep" / "er").symlink_to(elsewhere)
    for _ in range(2):
        host.undo(BackupRestore(), params, outputs)
        left = {path.name for path in restored.rglob("*") if not path.is_dir() and not path.is_symlink()}
        assert {name for name in left if "undecodable" not in name} == {"text", "mine"}
    assert (elsewhere / "secret").read_text() == "private"
    with pytest.raises(Refused, match="held other things"):
        host.undo(BackupRestore(), params, {**outputs, "target_was": "occupied"})
