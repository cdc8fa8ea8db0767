"""What goes wrong around a repository is told apart and said with its cure, and the next run works."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness, tree_of
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.database import BackupDatabase
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.prune import BackupPrune
from pilotage_plugins.backup.restore import BackupRestore
from pilotage_plugins.backup.verify import BackupVerify

from tests.integration.restic.conftest import make_database, restic_version
from tests.integration.restic.rest_server import running_rest_server

pytestmark = pytest.mark.integration

MEBIBYTE = 1024 * 1024


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own in memory."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def backup(host: Harness, vault: dict[str, Any], *paths: Path, **more: Any) -> dict[str, Any]:
    return host.run(BackupCreate(), {**vault, "paths": [str(path) for path in paths], **more})


def test_a_full_disk_is_foreseen_met_and_overcome(host: Harness, tmp_path: Path) -> None:
    source = host.sandbox / "data"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(12 * MEBIBYTE))
    with small_disk(tmp_path / "disk", 8) as disk:
        vault = {"repository": str(disk / "vault"), "password": "secret://restic", "lock_wait": "0s"}
        host.run(BackupInit(), vault)
        with pytest.raises(TargetFailed, match=r"bytes free, and 12582912 bytes are new.*space_check: false"):
            backup(host, vault, source)
        with pytest.raises(InfrastructureFailed, match="a disk is full"):
            backup(host, vault, source, space_check=False)
        assert host.run(BackupList(), vault)["total"] == 0
        (source / "large").write_bytes(os.urandom(2 * MEBIBYTE))
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        backup(host, vault, source)
        assert host.run(BackupVerify(), {**vault, "read_data": "full"})["snapshots"] == 2


def test_only_what_is_new_must_fit(host: Harness, tmp_path: Path) -> None:
    source = host.sandbox / "data"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(10 * MEBIBYTE))
    with small_disk(tmp_path / "disk", 16) as disk:
        vault = {"repository": str(disk / "vault"), "password": "secret://restic"}
        host.run(BackupInit(), vault)
        backup(host, vault, source)
        (source / "small").write_text("new")
        backup(host, vault, source)


def test_the_first_backup_of_a_database_must_fit(host: Harness, tmp_path: Path) -> None:
    source = host.sandbox / "shop.db"
    make_database(source, 60_000)
    database = {"engine": "sqlite", "name": "shop", "path": str(source)}
    with small_disk(tmp_path / "disk", 4) as disk:
        vault = {"repository": str(disk / "vault"), "password": "secret://restic"}
        host.run(BackupInit(), vault)
        with pytest.raises(TargetFailed, match=r"bytes free, and \d+ bytes are new"):
            host.run(BackupDatabase(), {**vault, "database": database})
        for check in (False, True):
            assert host.run(BackupDatabase(), {**vault, "database": database, "space_check": check})["snapshot_id"]


def test_a_restore_onto_a_full_disk_says_so(host: Harness, vault: dict[str, Any], data: Path, tmp_path: Path) -> None:
    backup(host, vault, data)
    with small_disk(tmp_path / "disk", 1) as disk, pytest.raises(InfrastructureFailed, match="a disk is full"):
        host.run(BackupRestore(), {**vault, "target": str(disk)})


def test_odd_names_and_loops_are_backed_up_as_they_are(host: Harness, vault: dict[str, Any], tmp_path: Path) -> None:
    odd = host.sandbox / " odd\nfolder ü $(touch x) 'q\" *?[a]\\ --help"
    odd.mkdir()
    (odd / "-rf").write_text("dash")
    (odd / "loop").symlink_to(odd)
    (odd / "self").symlink_to("self")
    (odd / "tab\tand\rreturn").write_text("x")
    made = backup(host, vault, odd)
    assert made["files_volatile"] == 0
    host.run(BackupRestore(), {**vault, "target": str(tmp_path / "out")})
    assert tree_of(tmp_path / "out" / odd.relative_to("/"), times=True) == tree_of(odd, times=True)


def test_exclude_files_are_read_on_the_host_and_nothing_in_them_is_expanded(
    host: Harness, vault: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    patterns = tmp_path / "exclude"
    patterns.write_text("# what restic would expand\n\n$HOME\n*line\n/**/deep\r\n")
    (data / "$HOME").write_text("left out by its name")
    made = backup(host, vault, data, exclude_files=[str(patterns)])
    host.run(BackupRestore(), {**vault, "target": str(tmp_path / "out"), "snapshot": made["snapshot_id"]})
    restored = tmp_path / "out" / data.relative_to("/")
    assert (restored / "text").exists()
    assert not any((restored / name).exists() for name in ("$HOME", "new\nline", "deep"))
    with pytest.raises(TargetFailed, match=r"exclude file .* cannot be read"):
        backup(host, vault, data, exclude_files=[str(tmp_path / "gone")])


def test_a_damaged_repository_is_known_and_named(host: Harness, vault: dict[str, Any], data: Path) -> None:
    made = backup(host, vault, data)
    repository = Path(vault["repository"])
    pack = max(repository.joinpath("data").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    for thorough in ("full", "1/1"):
        with pytest.raises(StepFailed) as found:
            host.run(BackupVerify(), {**vault, "read_data": thorough})
        assert pack.name[:16] in str(found.value)
        assert made["snapshot_id"][:8] in str(found.value)
        assert f"for {str(data)!r}"[:-1] in str(found.value)
    for index in repository.joinpath("index").iterdir():
        index.chmod(0o600)
        index.write_bytes(index.read_bytes()[:-7])
    with pytest.raises(StepFailed, match="damaged"):
        host.run(BackupRestore(), {**vault, "target": str(host.sandbox / "out")})


def test_a_partial_backup_fails_and_never_counts_as_whole(
    host: Harness, vault: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    whole = backup(host, vault, data)
    params = {"paths": [str(data), f"/proc/{os.getpid()}/mem"], "manifest": False}
    with pytest.raises(StepFailed, match=r"lacks 1 files that could not be read: /proc/\d+/mem.*marked partial"):
        host.run(BackupCreate(), {**vault, **params}, key="exe_1/save/host1//run/1")
    assert host.probe(BackupCreate(), {**vault, **params}, "exe_1/save/host1//run/1")["answer"] == "not_done"
    listed = host.run(BackupList(), {**vault, "newest_only": False})["snapshots"]
    assert [one["whole"] for one in listed] == [False, True]
    restored = host.run(BackupRestore(), {**vault, "target": str(tmp_path / "out")})
    assert restored["snapshot_id"] == whole["snapshot_id"]


def test_progress_never_claims_more_than_is_read(host: Harness, vault: dict[str, Any], data: Path) -> None:
    (data / "larger").write_bytes(os.urandom(40 * MEBIBYTE))
    backup(host, vault, data)
    fractions = [fraction for fraction, text in host.recorder.reports if text.endswith(" files")]
    assert fractions
    assert all(fraction is not None and fraction < 1 for fraction in fractions)
    assert fractions == sorted(fractions, key=lambda fraction: fraction or 0)
    assert not [text for _, text in host.recorder.reports if text.endswith("of 0 files")]


@pytest.fixture
def append_only(host: Harness, tmp_path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A rest-server that only lets hosts add, and the same repository for somebody who may delete."""
    with running_rest_server(tmp_path / "vaults", "--append-only") as port:
        params = {"password": "secret://restic", "lock_wait": "0s", "cache": str(tmp_path / "cache")}
        address = f"rest:http://127.0.0.1:{port}/host1"
        host.secrets.contents["address"] = address.encode()
        host.run(BackupInit(), {**params, "repository": address})
        yield {**params, "repository": address}, {**params, "repository": str(tmp_path / "vaults" / "host1")}


def test_an_append_only_repository_takes_backups_and_refuses_to_forget_at_once(
    host: Harness, append_only: tuple[dict[str, Any], dict[str, Any]], data: Path
) -> None:
    hosts, keeper = append_only
    first = backup(host, hosts, data)
    assert "append-only" in first["warnings"][0]
    assert backup(host, {**hosts, "repository": "secret://address"}, data, protected=True)["warnings"] == []
    started = time.monotonic()
    with pytest.raises(StepFailed, match=r"refuses to delete.*a credential that may delete"):
        host.run(BackupPrune(), {**hosts, "keep": {"last": 1}})
    assert time.monotonic() - started < 30
    spared = host.run(BackupPrune(), {**hosts, "keep": {"last": 1}, "when_refused": "warn"})
    assert (spared["kept"], spared["removed"]) == (2, 0)
    assert "nothing was pruned: " in spared["warnings"][0]
    assert host.run(BackupList(), {**hosts, "newest_only": False})["total"] == 2
    assert host.run(BackupPrune(), {**keeper, "keep": {"last": 1}})["removed"] == 1
    assert host.run(BackupVerify(), {**hosts, "read_data": "full"})["snapshots"] == 2
    preview = host.preview(BackupCreate(), {**keeper, "paths": [str(data)], "protected": True})
    assert "can delete its backups" in preview.note


@pytest.mark.version
@pytest.mark.skipif(restic_version() >= (0, 17), reason="this restic tries for a quarter of an hour before it says so")
def test_a_repository_that_went_away_is_infrastructure(host: Harness, vault: dict[str, Any], data: Path) -> None:
    for address in ("rest:http://127.0.0.1:9/", "sftp:nobody@127.0.0.1:/vault"):
        with pytest.raises(InfrastructureFailed, match="cannot be reached"):
            host.run(BackupList(), {**vault, "repository": address}, timeout=60)
