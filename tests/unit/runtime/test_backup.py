"""A backup of the coordinator is one whole moment, and is restored whole or not at all."""

import base64
import hashlib
import io
import json
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from pilotage_coordinator.restoring import CannotRestore, restore
from pilotage_coordinator.runtime.audit_log import AuditLog
from pilotage_coordinator.runtime.backup import Backup, Backups
from pilotage_coordinator.security.audit_key import open_audit_key
from pilotage_coordinator.security.authority import open_authority
from pilotage_coordinator.security.errors import AgeError
from pilotage_coordinator.security.secrets import StoreCipher, load_store_key
from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_coordinator.store.records import SecretRecord
from pilotage_coordinator.store.sqlite import SqliteStore, open_store

from tests.contract.store.records import NOW, audit
from tests.unit.audit.logs import ENTRIES

IDENTITY = "# of this test alone\nAGE-SECRET-KEY-13DLF72UU6L2SKPWXNZFMQDGM5M457SY6HRZS4MQZUDA2WSV4SVEST7CWC2\n"
RECIPIENT = "age1w9a9e6uma3zp3jh6mrvygyqd8ejs49k8ccq4h2gmurhkfx9ccyeslglmhr"


class Clock:
    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0


async def opened(folder: Path) -> tuple[SqliteStore, Backups]:
    """Open a state folder as the bootstrap does."""
    folder.mkdir(exist_ok=True)
    key = open_audit_key(folder)
    store = await open_store(folder / "pilotage.db", now=NOW, new_id=lambda prefix: f"{prefix}_1", signer=key)
    key.settle()
    cipher = StoreCipher(load_store_key(folder, {}, may_create=True))
    authority = open_authority(folder / "authority.pem", NOW)
    return store, Backups(store, Clock(), folder, cipher.fingerprint, key.fingerprint, authority.pin)


@pytest.fixture
async def made(tmp_path: Path) -> Backup:
    """A plain backup with a log in it, of a coordinator that has gone on since."""
    store, backups = await opened(tmp_path / "state")
    await store.audit.append(*ENTRIES)
    log = tmp_path / "state/logs/ab/exe_1/host-db1/a.ndjson"
    log.parent.mkdir(parents=True)
    log.write_text("a line\n")
    (log.parent / "link").symlink_to("/etc/passwd")
    backup = await backups.create([], logs=True)
    await store.audit.append(audit())
    await store.close()
    return backup


async def test_a_backup_is_restored_whole_and_marked(made: Backup, tmp_path: Path) -> None:
    assert made.file.stat().st_mode & 0o777 == 0o600
    assert made.file.parent == tmp_path / "state/backups"
    assert [each.name for each in made.file.parent.iterdir()] == [made.file.name]
    target = tmp_path / "new"
    done = restore(made.file, target, None)
    assert (done.warnings, done.manifest.audit_sequence) == ((), 4)
    assert (target / "restored").exists()
    assert sorted(each.name for each in target.iterdir()) == [
        "audit.key", "authority.pem", "logs", "pilotage.db", "restored", "store.key",
    ]  # fmt: skip
    assert (target / "logs/ab/exe_1/host-db1/a.ndjson").read_text() == "a line\n"
    assert not (target / "logs/ab/exe_1/host-db1/link").exists()
    for key in ("audit.key", "store.key", "authority.pem"):
        assert (target / key).read_bytes() == (tmp_path / "state" / key).read_bytes()
        assert (target / key).stat().st_mode & 0o077 == 0
    store, _ = await opened(target)
    assert (await store.audit.head()).sequence == 4
    assert (await AuditLog(store.audit, open_audit_key(target), "").verify()).fault == ""
    await store.close()
    assert not (tmp_path / ".new.restoring").exists()


async def test_an_encrypted_backup_hides_everything_and_opens_with_its_identity(tmp_path: Path) -> None:
    store, backups = await opened(tmp_path / "state")
    key_file = tmp_path / "key.txt"
    key_file.write_text(IDENTITY)
    backup = await backups.create([RECIPIENT], logs=False)
    data = backup.file.read_bytes()
    for name in ("audit.key", "store.key", "authority.pem"):
        assert (tmp_path / "state" / name).read_bytes()[30:60] not in data
    assert b"pilotage.db" not in data
    with pytest.raises(CannotRestore, match="--identity"):
        restore(backup.file, tmp_path / "new", None)
    assert restore(backup.file, tmp_path / "new", key_file).manifest.coordinator_id == "coo_1"
    with pytest.raises(AgeError):
        await backups.create(["age1nonsense"], logs=False)
    await store.close()


async def test_no_secret_stands_in_a_backup_not_even_in_a_plain_one(tmp_path: Path) -> None:
    store, backups = await opened(tmp_path / "state")
    cipher = StoreCipher(load_store_key(tmp_path / "state", {}, may_create=False))
    canary = b"canary-7f3a9c51e0-never-shown"
    await store.secrets.put(SecretRecord("db", cipher.encrypt(canary, "secrets", "db", "ciphertext"), NOW, "ann"))
    data = (await backups.create([], logs=True)).file.read_bytes()
    forms = (canary, canary.hex().encode(), base64.b64encode(canary)[:-4], quote(canary).encode(), canary[::-1])
    assert [form for form in forms if form in data] == []
    target = tmp_path / "new"
    restore(next((tmp_path / "state/backups").iterdir()), target, None)
    again, _ = await opened(target)
    kept = (await again.secrets.get("db")).ciphertext
    same = StoreCipher(load_store_key(target, {}, may_create=False))
    assert same.decrypt(kept, "secrets", "db", "ciphertext") == canary
    await again.close()
    await store.close()


async def test_a_folder_with_anything_in_it_is_left_alone(made: Backup, tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = sorted(state.rglob("*"))
    with pytest.raises(CannotRestore, match="not empty"):
        restore(made.file, state, None)
    assert sorted(state.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    restore(made.file, tmp_path / "empty", None)


def rewritten(file: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Return a backup in which somebody has changed something, its manifest made to fit."""
    with tarfile.open(file) as tar:
        found = {each.name: (tar.extractfile(each) or io.BytesIO()).read() for each in tar if each.isreg()}
    change(found)
    manifest = json.loads(found["manifest.json"])
    manifest["parts"] = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in found.items()
        if name != "manifest.json"
    }
    found["manifest.json"] = json.dumps(manifest).encode()
    wrong = file.with_name("wrong.tar")
    with tarfile.open(wrong, "w") as tar:
        for name, data in found.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return wrong


def edited(found: dict[str, bytes], statement: str, folder: Path) -> None:
    file = folder / "edit.db"
    file.write_bytes(found["pilotage.db"])
    with closing(sqlite3.connect(file)) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(statement)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    found["pilotage.db"] = file.read_bytes()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit_log SET principal = 'eve' WHERE sequence = 2", "audit entry 2 was changed"),
        ("DELETE FROM audit_log WHERE sequence = 4", "not the one that its manifest names"),
        ("UPDATE audit_signed_head SET signature = zeroblob(64)", "no signature of audit.key"),
        ("INSERT INTO schema_version VALUES (9999, 'later', 0)", "schema 9999, this program knows"),
    ],
)
async def test_a_database_that_was_edited_is_not_restored(
    made: Backup, tmp_path: Path, statement: str, said: str
) -> None:
    wrong = rewritten(made.file, lambda found: edited(found, statement, tmp_path))
    with pytest.raises(CannotRestore, match=said):
        restore(wrong, tmp_path / "new", None)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../outside", "no backup of this product"),
        ("/etc/passwd", "no backup of this product"),
        ("logs/../../x/y", "no backup of this product"),
        ("audit.key", "Ed25519"),
        ("store.key", "holds no key"),
        ("pilotage.db", "cannot be read|another program"),
    ],
)
async def test_hostile_content_is_refused(made: Backup, tmp_path: Path, name: str, said: str) -> None:
    wrong = rewritten(made.file, lambda found: found.__setitem__(name, b"x"))
    with pytest.raises(CannotRestore, match=said):
        restore(wrong, tmp_path / "new", None)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path.parent / "outside").exists()


async def test_a_damaged_or_cut_file_is_refused_and_a_foreign_one_too(made: Backup, tmp_path: Path) -> None:
    data = made.file.read_bytes()
    wrong = tmp_path / "wrong.tar"
    at = data.index(b"SQLite format 3")
    for bad in (b"", data[: len(data) // 2], data[:at] + b"X" + data[at + 1 :], b"x" * 5000):
        wrong.write_bytes(bad)
        with pytest.raises(CannotRestore):
            restore(wrong, tmp_path / "new", None)
    with pytest.raises(CannotRestore):
        restore(tmp_path / "missing", tmp_path / "new", None)
    assert not (tmp_path / "new").exists()


async def test_a_key_that_is_kept_elsewhere_is_said(made: Backup, tmp_path: Path) -> None:
    without = rewritten(made.file, lambda found: found.__delitem__("store.key"))
    (warning,) = restore(without, tmp_path / "new", None).warnings
    assert "systemd credential" in warning
    wrong = rewritten(made.file, lambda found: found.__delitem__("audit.key"))
    with pytest.raises(CannotRestore, match="holds no audit"):
        restore(wrong, tmp_path / "other", None)


async def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    store, backups = await opened(tmp_path / "state")
    (tmp_path / "state/backups").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await backups.create([], logs=False)
    await store.close()
