"""A database that is being written is backed up consistently, and comes back sound."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.database import BackupDatabase
from pilotage_plugins.backup.drill import RestoreDrill
from pilotage_plugins.backup.restore import BackupRestore

from tests.integration.restic.conftest import make_database, restic_version

pytestmark = [
    pytest.mark.integration,
    pytest.mark.version,
    pytest.mark.skipif(restic_version() == (0, 18, 0), reason="restic 0.18.0 stores no stream under a path"),
]


def params(vault: dict[str, Any], path: Path, **more: Any) -> dict[str, Any]:
    return {**vault, "database": {"engine": "sqlite", "name": "app", "path": str(path)}, **more}


class Writer(threading.Thread):
    """Moves rows about all the time; `twin` equals `id` in every committed state, and the count never changes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._stop_asked = threading.Event()
        self.commits = 0

    def run(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous=OFF")
            while not self._stop_asked.is_set():
                database.execute("BEGIN IMMEDIATE")
                database.execute("UPDATE entries SET id = id + 1000000 WHERE id < 100")
                database.execute("UPDATE entries SET twin = id, body = hex(randomblob(50))")
                database.execute("UPDATE entries SET id = id - 1000000, twin = twin - 1000000 WHERE id >= 1000000")
                database.execute("COMMIT")
                self.commits += 1

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()


@pytest.mark.parametrize("wal", [True, False])
def test_a_database_in_use_is_consistent(host: Harness, vault: dict[str, Any], tmp_path: Path, wal: bool) -> None:
    path = host.sandbox / "odd % ? # ü\n.db"
    make_database(path, 20_000, wal=wal)
    writer = Writer(path)
    writer.start()
    try:
        backup = host.run(BackupDatabase(), params(vault, path))
    finally:
        writer.stop()
    assert writer.commits > 0
    drill = host.run(RestoreDrill(), vault)
    assert drill["snapshots"][0]["integrity"] == "ok"
    assert drill["files_identical"] == 1
    host.run(BackupRestore(), {**vault, "snapshot": backup["snapshot_id"], "target": str(tmp_path / "out")})
    with closing(sqlite3.connect(tmp_path / "out" / path.relative_to("/"))) as restored:
        [[count, wrong]] = restored.execute("SELECT count(*), sum(id != twin) FROM entries").fetchall()
    assert (count, wrong) == (20_000, 0)


def test_a_database_at_rest_is_left_exactly_as_it_was(host: Harness, vault: dict[str, Any]) -> None:
    path = host.sandbox / "app.db"
    make_database(path, 10)
    before = {entry.name: entry.read_bytes() for entry in host.sandbox.iterdir()}
    host.run(BackupDatabase(), params(vault, path))
    assert {entry.name: entry.read_bytes() for entry in host.sandbox.iterdir()} == before


def test_a_damaged_database_is_not_backed_up_as_if_it_were_sound(host: Harness, vault: dict[str, Any]) -> None:
    path = host.sandbox / "app.db"
    make_database(path, 5000, wal=False)
    content = bytearray(path.read_bytes())
    content[8192 : 8192 + 600] = b"\xa5" * 600
    path.write_bytes(content)
    with pytest.raises(StepFailed, match="damaged"):
        host.run(BackupDatabase(), params(vault, path))


def test_other_engines_and_other_files_are_refused_by_name(host: Harness, vault: dict[str, Any]) -> None:
    plain = host.sandbox / "plain"
    plain.write_text("no database")
    with pytest.raises(TargetFailed, match="no SQLite database"):
        host.run(BackupDatabase(), params(vault, plain))
    other = {"engine": "oracle", "name": "app", "path": str(plain)}
    with pytest.raises(Refused, match="postgresql"):
        host.run(BackupDatabase(), {**vault, "database": other})


def test_a_database_is_never_put_beside_a_foreign_journal(host: Harness, vault: dict[str, Any]) -> None:
    path = host.sandbox / "app.db"
    make_database(path, 10)
    host.run(BackupDatabase(), params(vault, path))
    (host.sandbox / "app.db-wal").write_bytes(b"of the database that is there now")
    with pytest.raises(TargetFailed, match=r"app\.db-wal"):
        host.run(BackupRestore(), {**vault, "target": "/", "overwrite": True})
