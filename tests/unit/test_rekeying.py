"""A new key for the store: everything is readable with it and nothing with the old one, whenever the change is cut."""

import asyncio
import base64
import os
import signal
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pilotage_coordinator.domain.secret_grant import ANYBODY
from pilotage_coordinator.rekeying import CannotChangeKey, change_store_key
from pilotage_coordinator.restoring import restore
from pilotage_coordinator.runtime.backup import Backups
from pilotage_coordinator.runtime.failpoint import VARIABLE
from pilotage_coordinator.security.audit_key import open_audit_key
from pilotage_coordinator.security.authority import open_authority
from pilotage_coordinator.security.errors import DecryptionError, StoreKeyError
from pilotage_coordinator.security.secrets import StoreCipher, fingerprint
from pilotage_coordinator.store.records import PlanRecord, SecretRecord
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_store
from pilotage_coordinator.store_keys import StoreKey, open_store_key

NOW = 1_790_000_000_000_000
VALUES = {f"name/{number}": f"value {number}".encode() for number in range(250)}
"""More than one page of them."""


class Clock:
    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0


async def opened(
    folder: Path, *, first: bool = False, environment: Mapping[str, str] | None = None
) -> tuple[SqliteStore, StoreKey]:
    """Open a state folder as a start does; close the store."""
    signer = open_audit_key(folder)
    store = await open_store(folder / "pilotage.db", now=NOW, new_id=lambda prefix: f"{prefix}_1", signer=signer)
    signer.settle()
    try:
        return store, await open_store_key(store, folder, environment or {}, now=NOW, first=first)
    except BaseException:
        await store.close()
        raise


async def filled(folder: Path) -> bytes:
    """Make a state with secrets and a plan; return its key."""
    folder.mkdir()
    store, key = await opened(folder, first=True)
    sealed = {name: key.cipher.encrypt(value, "secrets", name, "ciphertext") for name, value in VALUES.items()}
    records = [SecretRecord(name, ciphertext, NOW, "ann", (ANYBODY,)) for name, ciphertext in sealed.items()]
    await store.secrets.put(
        replace(records[0], ciphertext=key.cipher.encrypt(b"before", "secrets", "name/0", "ciphertext"))
    )
    await asyncio.gather(*(store.secrets.put(record) for record in records))
    view = {"request": _base64(key.cipher.encrypt(b"asked", "plans", "sha256:p", "request")), "notes": []}
    await store.plans.put(PlanRecord("sha256:p", {"plan": 1}, view, NOW))
    await store.plans.put(PlanRecord("sha256:q", {"plan": 1}, {"title": "of another form"}, NOW))
    await store.close()
    return bytes.fromhex((folder / "store.key").read_text().strip())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def readable(folder: Path, environment: Mapping[str, str] | None = None) -> tuple[str, bytes]:
    """Read everything as a coordinator does after a start; return which key did, and the root."""
    store, key = await opened(folder, environment=environment)
    try:
        for record in await store.secrets.list():
            assert key.cipher.decrypt(record.ciphertext, "secrets", record.name, "ciphertext") == VALUES[record.name]
        request = (await store.plans.get("sha256:p")).view["request"]
        assert isinstance(request, str)
        sealed = base64.b64decode(request)
        assert key.cipher.decrypt(sealed, "plans", "sha256:p", "request") == b"asked"
        assert (await store.plans.get("sha256:q")).view == {"title": "of another form"}
        assert len(await store.secrets.list()) == len(VALUES)
        (earlier,) = await store.secrets.earlier("name/0")
        assert key.cipher.decrypt(earlier, "secrets", "name/0", "ciphertext") == b"before"
        return key.cipher.fingerprint, key.root
    finally:
        await store.close()


async def test_everything_is_encrypted_anew_and_the_old_key_opens_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    old = await filled(state)
    before = await readable(state)
    done = await change_store_key(state, {}, "the yearly one")
    assert (done.before, done.done.secrets, done.done.plans) == (fingerprint(old), len(VALUES), 1)
    assert await readable(state) == (done.after, before[1])
    assert sorted(each.name for each in state.glob("store.key*")) == ["store.key"]
    assert (state / "store.key").stat().st_mode & 0o777 == 0o400
    store, _ = await opened(state)
    record = await store.secrets.get("name/0")
    with pytest.raises(DecryptionError):
        StoreCipher(old).decrypt(record.ciphertext, "secrets", "name/0", "ciphertext")
    (entry,) = [each.entry for each in await store.audit.read() if each.entry.operation == "secret.rekey"]
    assert (entry.detail["was"], entry.detail["is"], entry.detail["reason"]) == (
        done.before,
        done.after,
        "the yearly one",
    )
    await store.close()
    await change_store_key(state, {}, "")
    assert (await readable(state))[1] == before[1]


async def test_the_old_key_is_refused_afterwards_and_the_error_names_what_is_there(tmp_path: Path) -> None:
    state = tmp_path / "state"
    old = await filled(state)
    done = await change_store_key(state, {}, "")
    (state / "store.key").unlink()
    (state / "store.key").write_text(old.hex())
    (state / "store.key").chmod(0o400)
    with pytest.raises(StoreKeyError, match=f"encrypted with the key {done.after}.*store.key holds {done.before}"):
        await opened(state)
    (state / "store.key").unlink()
    with pytest.raises(StoreKeyError, match=r"store\.key is missing"):
        await opened(state)


@pytest.mark.parametrize("point", ["rekey.key_made", "rekey.committed"])
async def test_killed_at_any_point_it_leaves_a_state_that_starts_and_the_change_can_be_made_again(
    tmp_path: Path, point: str
) -> None:
    state = tmp_path / "state"
    old = await filled(state)
    program = (
        "import asyncio, os, sys; from pathlib import Path; from pilotage_coordinator.rekeying import change_store_key;"
        "asyncio.run(change_store_key(Path(sys.argv[1]), os.environ, ''))"
    )
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(state), env={**os.environ, VARIABLE: point}
    )
    assert await killed.wait() == -signal.SIGKILL
    assert (state / "store.key.next").exists()
    found, _ = await readable(state)
    assert (found == fingerprint(old)) is (point == "rekey.key_made")
    assert (state / "store.key.next").exists() is (point == "rekey.key_made")
    done = await change_store_key(state, {}, "")
    assert (await readable(state))[0] == done.after


async def test_what_cannot_be_read_or_stored_changes_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    await filled(state)
    before = await readable(state)
    with closing(sqlite3.connect(state / "pilotage.db")) as connection, connection:
        (kept,) = connection.execute("SELECT ciphertext FROM secrets WHERE name = 'name/7'").fetchone()
        connection.execute("UPDATE secrets SET ciphertext = ? WHERE name = 'name/7'", (b"\x01" + bytes(40),))
    with pytest.raises(CannotChangeKey, match="secrets/name/7/ciphertext cannot be decrypted"):
        await change_store_key(state, {}, "")
    with closing(sqlite3.connect(state / "pilotage.db")) as connection, connection:
        connection.execute("UPDATE secrets SET ciphertext = ? WHERE name = 'name/7'", (kept,))
    assert await readable(state) == before
    store, _ = await opened(state)
    with pytest.raises(CannotChangeKey, match="one coordinator at a time"):
        await change_store_key(state, {}, "")
    await store.close()
    with pytest.raises(CannotChangeKey, match="no coordinator's database"):
        await change_store_key(tmp_path, {}, "")


async def test_a_credential_of_the_unit_that_is_old_by_now_does_not_matter_while_the_new_key_is_there(
    tmp_path: Path,
) -> None:
    state, credentials = tmp_path / "state", tmp_path / "credentials"
    old = await filled(state)
    credentials.mkdir()
    (credentials / "pilotage-key").write_bytes(old)
    (state / "store.key").unlink()
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert (await readable(state, environment))[0] == fingerprint(old)
    done = await change_store_key(state, environment, "")
    assert (await readable(state, environment))[0] == done.after
    (credentials / "pilotage-key").write_text((state / "store.key").read_text())
    (state / "store.key").unlink()
    assert (await readable(state, environment))[0] == done.after


async def test_a_database_that_did_not_say_which_key_it_has_takes_only_the_right_one(tmp_path: Path) -> None:
    state = tmp_path / "state"
    old = await filled(state)
    with closing(sqlite3.connect(state / "pilotage.db")) as connection, connection:
        connection.execute("DELETE FROM store_key")
    (state / "store.key").unlink()
    (state / "store.key").write_text("ab" * 32)
    (state / "store.key").chmod(0o400)
    with pytest.raises(StoreKeyError, match="is not the one that the secrets are encrypted with"):
        await opened(state)
    (state / "store.key").unlink()
    (state / "store.key").write_text(old.hex())
    (state / "store.key").chmod(0o400)
    assert await readable(state) == (fingerprint(old), old)


async def test_a_first_start_that_was_cut_off_before_there_was_a_key_can_be_made_again(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, first=True)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "pilotage.db")) as connection, connection:
        connection.execute("DELETE FROM store_key")
    (tmp_path / "store.key").unlink()
    store, key = await opened(tmp_path)
    assert (tmp_path / "store.key").exists()
    await store.secrets.put(SecretRecord("a", key.cipher.encrypt(b"a", "secrets", "a", "ciphertext"), NOW, "ann"))
    await store.close()
    with closing(sqlite3.connect(tmp_path / "pilotage.db")) as connection, connection:
        connection.execute("DELETE FROM store_key")
    (tmp_path / "store.key").unlink()
    with pytest.raises(StoreKeyError, match="is missing and there is data that needs it"):
        await opened(tmp_path)


async def test_backups_from_before_and_after_restore_each_with_its_own_key(tmp_path: Path) -> None:
    state = tmp_path / "state"
    old = await filled(state)
    first = await backed_up(state)
    done = await change_store_key(state, {}, "")
    second = await backed_up(state)
    for number, (file, key) in enumerate(((first, fingerprint(old)), (second, done.after))):
        target = tmp_path / f"restored{number}"
        assert restore(file, target, None).manifest.store_key == key
        assert (await readable(target))[0] == key


async def backed_up(state: Path) -> Path:
    store, key = await opened(state)
    audit_key, authority = open_audit_key(state), open_authority(state / "authority.pem", NOW)
    backups = Backups(store, Clock(), state, key.cipher.fingerprint, audit_key.fingerprint, authority.pin)
    made = await backups.create([], logs=False)
    kept = made.file.rename(state.parent / f"{key.cipher.fingerprint}.tar")
    await store.close()
    return kept


def test_the_old_ciphertext_is_nowhere_in_the_files(tmp_path: Path) -> None:
    state = tmp_path / "state"
    asyncio.run(filled(state))
    with closing(sqlite3.connect(state / "pilotage.db")) as connection:
        old = [row[0] for row in connection.execute("SELECT ciphertext FROM secrets")]
    asyncio.run(change_store_key(state, {}, ""))
    written = b"".join(file.read_bytes() for file in state.glob("pilotage.db*"))
    assert [each for each in old if each in written] == []
