"""The end of the audit log is signed with every transaction that moves it, and nobody can edit the file unseen."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pilotage_coordinator.runtime.audit_log import AuditLog
from pilotage_coordinator.security.audit_key import AuditKey, open_audit_key
from pilotage_coordinator.security.errors import AuditKeyError
from pilotage_coordinator.store.errors import AuditBroken, StoreUnavailable
from pilotage_coordinator.store.sqlite import SimulatedDisk, SqliteStore, open_simulated_store, open_store

from tests.contract.store.records import NOW, audit
from tests.unit.audit.logs import ENTRIES, audit_key

TEXTS = ("principal", "operation", "subject", "outcome", "detail", "previous", "hash")


async def opened(folder: Path, accepted: str = "") -> tuple[SqliteStore, AuditKey]:
    key = open_audit_key(folder)
    store = await open_store(
        folder / "p.db", now=NOW, new_id=lambda prefix: f"{prefix}_1", signer=key, accepted=accepted
    )
    key.settle()
    return store, key


async def written(folder: Path) -> None:
    store, _ = await opened(folder)
    await store.audit.append(*ENTRIES)
    await store.close()


def edit(folder: Path, *statements: str) -> None:
    """Do what somebody with the file can: the triggers are no obstacle."""
    with closing(sqlite3.connect(folder / "p.db")) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


async def test_each_commit_is_signed_once_and_what_is_signed_is_durable(tmp_path: Path) -> None:
    store, key = await opened(tmp_path)
    signed: list[bytes] = []

    class Counting(AuditKey):
        def sign(self, message: bytes) -> bytes:
            signed.append(message)
            return super().sign(message)

    store.audit._seal._signer = Counting(key.key, tmp_path, fresh=False)  # type: ignore[union-attr]
    before = store.figures().transactions
    await asyncio.gather(*(store.audit.append(audit(f"{number}")) for number in range(50)))
    await store.begin_epoch()
    assert len(signed) < store.figures().transactions - before + 1 <= 50
    newest, stored = store.audit.sealed, await store.audit.signed_head()
    assert newest is not None
    assert newest == stored
    assert (newest.head, key.verify(newest.statement, newest.signature)) == (await store.audit.head(), True)
    await store.close()


async def test_a_commit_that_fails_leaves_the_signed_head_of_the_one_before() -> None:
    disk = SimulatedDisk()
    store = await open_simulated_store(disk, now=NOW, new_id=lambda prefix: f"{prefix}_1", signer=audit_key())
    await store.audit.append(audit())
    before = store.audit.sealed
    disk.full = True
    with pytest.raises(StoreUnavailable):
        await store.audit.append(audit())
    assert store.audit.sealed == before == await store.audit.signed_head()
    disk.full = False
    await store.audit.append(audit())
    assert (await AuditLog(store.audit, audit_key(), "").verify()).fault == ""


async def test_the_key_is_made_once_read_again_and_private(tmp_path: Path) -> None:
    await written(tmp_path)
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o400
    assert not (tmp_path / "audit.key.new").exists()
    store, key = await opened(tmp_path)
    assert not key.fresh
    assert (await AuditLog(store.audit, key, "").verify()).fault == ""
    await store.close()
    (tmp_path / "audit.key").chmod(0o644)
    with pytest.raises(AuditKeyError, match="chmod"):
        open_audit_key(tmp_path)
    (tmp_path / "audit.key").chmod(0o600)
    (tmp_path / "audit.key").write_text("no key")
    with pytest.raises(AuditKeyError, match="Restore it from a backup"):
        open_audit_key(tmp_path)


async def test_a_first_start_that_was_cut_off_begins_again(tmp_path: Path) -> None:
    open_audit_key(tmp_path)
    store, key = await opened(tmp_path)
    assert key.fresh
    await store.close()
    # Signed and stored, and the key did not get its place any more.
    (tmp_path / "audit.key").rename(tmp_path / "audit.key.new")
    store, _ = await opened(tmp_path)
    assert (tmp_path / "audit.key").exists()
    await store.close()


async def test_an_older_log_is_signed_from_its_first_start_on(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "p.db", now=NOW, new_id=lambda prefix: f"{prefix}_1")
    await store.audit.append(*ENTRIES)
    await store.close()
    store, key = await opened(tmp_path)
    verdict = await AuditLog(store.audit, key, "").verify()
    assert (verdict.fault, verdict.signed and verdict.signed.sequence) == ("", 4)
    await store.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM audit_log WHERE sequence = 4", "ends at entry 3, but its signed head is entry 4"),
        ("DELETE FROM audit_signed_head", "no signed head"),
        ("UPDATE audit_signed_head SET sequence = 3", "no signature of audit.key"),
        ("UPDATE audit_signed_head SET signature = zeroblob(64)", "no signature of audit.key"),
        ("UPDATE audit_signed_head SET key = zeroblob(32)", "audit.key is another one"),
        (
            "INSERT INTO audit_log SELECT 5, at, 'eve', operation, subject, outcome, detail, hash, hash FROM audit_log"
            " WHERE sequence = 4",
            "entry 5 is not signed",
        ),
        ("UPDATE audit_log SET hash = previous WHERE sequence = 4", "history was rewritten"),
    ],
)
async def test_a_log_that_was_cut_or_extended_by_hand_is_not_signed_over(
    tmp_path: Path, statement: str, said: str
) -> None:
    await written(tmp_path)
    edit(tmp_path, statement)
    with pytest.raises(AuditBroken, match=said) as refused:
        await opened(tmp_path)
    assert "--accept-audit-fault" in str(refused.value)
    with pytest.raises(AuditBroken, match=said):
        await opened(tmp_path)
    store, _ = await opened(tmp_path, accepted="the disk lied")
    (newest,) = await store.audit.newest(limit=1)
    assert newest.entry.operation == "audit.accept_fault"
    assert (said in str(newest.entry.detail["fault"]), newest.entry.detail["reason"]) == (True, "the disk lied")
    await store.close()
    store, _ = await opened(tmp_path, accepted="not needed any more")
    assert (await store.audit.head()).sequence == newest.sequence
    await store.close()


async def test_a_lost_key_stops_the_start_and_can_be_accepted(tmp_path: Path) -> None:
    await written(tmp_path)
    (tmp_path / "audit.key").unlink()
    for _ in range(2):
        with pytest.raises(AuditBroken, match="made anew, as there was none"):
            await opened(tmp_path)
    store, key = await opened(tmp_path, accepted="lost with the disk")
    assert (await AuditLog(store.audit, key, "").verify()).fault == ""
    await store.close()
    store, _ = await opened(tmp_path)
    await store.close()


def _flip_text(column: str, at: int, bit: int) -> Callable[[sqlite3.Connection, int], None]:
    def work(connection: sqlite3.Connection, row: int) -> None:
        read = f"SELECT CAST({column} AS BLOB) FROM audit_log WHERE sequence = ?"
        data = bytearray(connection.execute(read, (row,)).fetchone()[0])
        data[at % len(data)] ^= 1 << bit
        connection.execute(f"UPDATE audit_log SET {column} = CAST(? AS TEXT) WHERE sequence = ?", (bytes(data), row))

    return work


def _flip_time(bit: int) -> Callable[[sqlite3.Connection, int], None]:
    def work(connection: sqlite3.Connection, row: int) -> None:
        (at,) = connection.execute("SELECT at FROM audit_log WHERE sequence = ?", (row,)).fetchone()
        flipped = (at ^ (1 << bit)) if bit < 63 else at - 2**63
        connection.execute("UPDATE audit_log SET at = ? WHERE sequence = ?", (flipped, row))

    return work


async def test_every_kind_of_flipped_bit_in_the_database_is_found_and_its_entry_named() -> None:
    disk = SimulatedDisk()
    store = await open_simulated_store(disk, now=NOW, new_id=lambda prefix: f"{prefix}_1", signer=audit_key())
    await store.audit.append(*ENTRIES)
    connection = disk.connection
    connection.execute("DROP TRIGGER audit_unchanged")
    columns = ", ".join(("sequence", "at", *TEXTS))
    good = connection.execute(f"SELECT {columns} FROM audit_log ORDER BY sequence").fetchall()
    lengths = {(row[0], name): len(row[2 + n].encode()) for row in good for n, name in enumerate(TEXTS)}
    draw = random.Random(4)
    flips: list[tuple[int, str, Any]] = [(row[0], "at", _flip_time(bit)) for row in good for bit in range(0, 64, 3)]
    for (row, column), length in lengths.items():
        chosen = [(at, bit) for at in range(length) for bit in range(8)]
        flips += [(row, column, _flip_text(column, *each)) for each in draw.sample(chosen, min(len(chosen), 48))]
    assert len(flips) > 1000
    for row, column, flip in flips:
        flip(connection, row)
        verdict = await store.audit.verify()
        assert verdict.fault.startswith(f"audit entry {row} "), (row, column, verdict.fault)
        assert verdict.checked == row - 1
        connection.execute(
            f"UPDATE audit_log SET ({columns}) = ({', '.join('?' * 9)}) WHERE sequence = ?", (*good[row - 1], row)
        )
    assert (await store.audit.verify()).fault == ""
    await store.close()
