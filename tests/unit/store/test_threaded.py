"""The database in a file: settings, bounds of readers, checkpoints, and an orderly end."""

import asyncio
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from pilotage_coordinator.store.errors import Conflict, ReadTooLong, StoreLocked, StoreUnavailable
from pilotage_coordinator.store.records import ExecutionFilter
from pilotage_coordinator.store.sqlite import SqliteStore, linked_sqlite, open_store
from pilotage_coordinator.store.sqlite.connection import settle_writer
from pilotage_coordinator.store.sqlite.threaded import READERS, ThreadedDatabase

from tests.contract.store.records import NOW, audit, change, creation

COUNT_FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
async def database(path: Path) -> ThreadedDatabase:
    return await ThreadedDatabase.open(path, settle_writer, read_seconds=0.05)


def still_running(before: set[threading.Thread]) -> list[str]:
    """Return the names of database threads that were started since and do not end."""
    started = [thread for thread in threading.enumerate() if thread not in before and "worker" in thread.name]
    for thread in started:
        thread.join(5)
    return [thread.name for thread in started if thread.is_alive()]


def pragma(name: str) -> object:
    def work(connection: sqlite3.Connection) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    return work


async def test_the_settings_are_those_that_keep_data_safe(database: ThreadedDatabase) -> None:
    try:
        names = ["journal_mode", "synchronous", "wal_autocheckpoint", "auto_vacuum", "foreign_keys", "query_only"]
        written = dict(zip(names, await database.write([pragma(name) for name in names]), strict=True))  # type: ignore[misc]
        assert written == {
            "journal_mode": "wal",
            "synchronous": 2,
            "wal_autocheckpoint": 0,
            "auto_vacuum": 2,
            "foreign_keys": 1,
            "query_only": 0,
        }
        for _ in range(READERS):
            assert await database.read(pragma("query_only")) == 1  # type: ignore[arg-type]
            assert await database.read(pragma("wal_autocheckpoint")) == 0  # type: ignore[arg-type]
    finally:
        await database.close()


async def test_readers_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(StoreUnavailable, match=r"readonly|read-only"):
        await store._access.database.read(lambda connection: connection.execute("DELETE FROM secrets"))


async def test_a_query_that_takes_too_long_is_stopped_and_others_go_on(database: ThreadedDatabase) -> None:
    try:
        for _ in range(READERS + 1):
            with pytest.raises(ReadTooLong, match=r"0\.05 s"):
                await database.read(lambda connection: connection.execute(COUNT_FOR_EVER).fetchall())
        assert await database.read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    finally:
        await database.close()


async def test_a_cancelled_reader_is_of_use_again(database: ThreadedDatabase) -> None:
    try:
        for _ in range(READERS):
            task = asyncio.create_task(database.read(lambda connection: connection.execute(COUNT_FOR_EVER).fetchall()))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(READERS):
            assert await database.read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    finally:
        await database.close()


async def test_a_read_sees_one_moment(store: SqliteStore) -> None:
    """Two statements of one read see the same state, whatever is committed between them."""
    await store.executions.create(creation())
    between = threading.Event()
    go_on = threading.Event()

    def work(connection: sqlite3.Connection) -> tuple[int, int]:
        first = connection.execute("SELECT version FROM workflow_executions").fetchone()[0]
        between.set()
        assert go_on.wait(10)
        return first, connection.execute("SELECT version FROM workflow_executions").fetchone()[0]

    reading = asyncio.create_task(store._access.database.read(work))
    assert await asyncio.to_thread(between.wait, 10)
    await store.executions.commit(change())
    go_on.set()
    assert await reading == (0, 0)


ADD_PLANS = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)
    INSERT INTO plans SELECT ? || i, '{}', hex(zeroblob(50)), 0 FROM n
"""


async def add_plans(store: SqliteStore, prefix: str) -> None:
    await store._access.writes.submit(lambda connection: connection.execute(ADD_PLANS, (prefix,)))


async def test_a_pause_is_used_for_a_checkpoint(store: SqliteStore) -> None:
    await add_plans(store, "a")
    assert store.figures().checkpoints == 0
    await add_plans(store, "b")
    await store.audit.head()
    await store.maintain(NOW)
    assert store.figures().checkpoints >= 2


async def test_without_a_pause_the_log_is_checkpointed_all_the_same(store: SqliteStore, path: Path) -> None:
    wal = path.with_name(path.name + "-wal")
    sizes: list[int] = []
    for round in range(3):
        for part in range(7):
            await add_plans(store, f"{round} {part} ")
        sizes.append(wal.stat().st_size)
    assert store.figures().checkpoints >= 2
    assert sizes[2] <= 1.5 * sizes[0]


async def test_free_pages_are_given_back(store: SqliteStore, path: Path) -> None:
    await store.executions.create(creation())
    for version in range(3):
        await store.executions.commit(change(version=version))
    blob = b"x" * 2_000_000
    await store._access.writes.submit(
        lambda connection: connection.execute("INSERT INTO secrets VALUES ('a', ?, 0, 'ann', '[]', 1)", (blob,))
    )
    await store.maintain(NOW)
    before = path.stat().st_size
    await store.secrets.remove("a", 1)
    await store.secrets.forget(2)
    await store.maintain(NOW)
    assert path.stat().st_size < before - 1_900_000


async def test_the_audit_log_refuses_to_be_changed(store: SqliteStore) -> None:
    await store.audit.append(audit("a"), audit("b"))
    for statement in (
        "UPDATE audit_log SET outcome = 'denied'",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE sequence = 2",
        "INSERT INTO audit_log SELECT 7, at, principal, operation, subject, outcome, '{}', '', '' FROM audit_log",
        "INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log WHERE sequence = 1",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            await store._access.writes.submit(lambda connection, sql=statement: connection.execute(sql))  # type: ignore[misc]
    assert (await store.audit.verify()).checked == 2


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE audit_log SET outcome = 'denied' WHERE sequence = 2", "entry 2 was changed"),
        ('UPDATE audit_log SET detail = \'{"from":"web"}\' WHERE sequence = 3', "entry 3 was changed"),
        ("UPDATE audit_log SET hash = 'sha256:0' WHERE sequence = 1", "entry 1 was changed"),
        ("UPDATE audit_log SET previous = 'sha256:0' WHERE sequence = 2", "entry 2 does not follow"),
        ("DELETE FROM audit_log WHERE sequence = 2", "entry 2 is missing"),
        ("DELETE FROM audit_log WHERE sequence = 1", "entry 1 is missing"),
    ],
)
async def test_verification_finds_what_was_tampered_with(store: SqliteStore, change: str, fault: str) -> None:
    await store.audit.append(audit("a"), audit("b"), audit("c"))

    def tamper(connection: sqlite3.Connection) -> None:
        for trigger in ("audit_kept", "audit_unchanged"):
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(change)

    await store._access.writes.submit(tamper)
    assert fault in (await store.audit.verify()).fault


async def test_a_closed_store_answers_nothing_and_ends_its_threads(path: Path) -> None:
    before = set(threading.enumerate())
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    assert len(set(threading.enumerate()) - before) == 1 + READERS
    await store.close()
    await store.close()
    assert still_running(before) == []
    for call in (store.begin_epoch(), store.executions.find(ExecutionFilter()), store.maintain(NOW)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call


async def test_closing_finishes_what_was_asked_for(path: Path) -> None:
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    writing = [asyncio.create_task(store.audit.append(audit(f"{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    heads = await asyncio.gather(*writing)
    assert sorted(head.sequence for head in heads) == list(range(1, 51))


async def test_a_failed_opening_leaves_nothing_open(path: Path) -> None:
    before = set(threading.enumerate())
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    with pytest.raises(StoreLocked):
        await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    await store.close()
    path.write_bytes(b"x" * 4096)
    with pytest.raises(Exception, match="no database"):
        await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    path.unlink()
    with pytest.raises(RuntimeError, match="no id"):
        await open_store(path, now=NOW, new_id=lambda prefix: (_ for _ in ()).throw(RuntimeError("no id")))
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    await store.close()
    assert still_running(before) == []


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await open_store(tmp_path / "nowhere" / "pilotage.db", now=NOW, new_id=lambda prefix: f"{prefix}_1")


async def test_a_mistake_in_one_work_leaves_the_others(store: SqliteStore) -> None:
    await store.executions.create(creation())

    def mistake(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM workflow_events")
        raise KeyError("a mistake")

    async def wrong_sql() -> None:
        await store._access.writes.submit(lambda connection: connection.execute("SELECT nothing"))

    results = await asyncio.gather(
        store._access.writes.submit(mistake),
        wrong_sql(),
        store.executions.commit(change()),
        store.executions.commit(change(version=9)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [KeyError, sqlite3.OperationalError, type(None), Conflict]
    assert len(await store.executions.events("exe_1")) == 2


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_an_opening_that_is_cancelled_leaves_nothing_open(path: Path, turns: int) -> None:
    before = set(threading.enumerate())
    opening = asyncio.create_task(open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1"))
    for _ in range(turns):
        await asyncio.sleep(0)
    opening.cancel()
    with suppress(asyncio.CancelledError):
        await (await opening).close()
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    await store.close()
    assert still_running(before) == []


async def test_a_close_that_is_cancelled_still_closes(path: Path) -> None:
    before = set(threading.enumerate())
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    with suppress(asyncio.CancelledError):
        await closing
    await store.close()
    assert still_running(before) == []


@pytest.mark.parametrize(
    ("version", "patched"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((4, 0, 0), True),
    ],
)
def test_the_linked_library_is_named(version: tuple[int, ...], patched: bool) -> None:
    found = linked_sqlite(version)
    assert (found.version, found.patched) == (".".join(map(str, version)), patched)
