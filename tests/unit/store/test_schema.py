import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pilotage_coordinator.store.errors import SchemaRefused, StoreError, StoreUnavailable
from pilotage_coordinator.store.sqlite import open_store
from pilotage_coordinator.store.sqlite import store as store_module
from pilotage_coordinator.store.sqlite.connection import claim, open_memory
from pilotage_coordinator.store.sqlite.queries import Migration, Queries
from pilotage_coordinator.store.sqlite.schema import install, migrate

from tests.contract.store.records import NOW


def shape(connection: sqlite3.Connection) -> dict[str, object]:
    """Describe a schema by what it is, not by how its text was written: columns, keys, indexes, triggers."""
    found: dict[str, object] = {}
    objects = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
    for type, name, table, sql in connection.execute(objects).fetchall():
        if type == "table":
            details = [
                connection.execute(f"SELECT * FROM pragma_{pragma}(?)", (name,)).fetchall()
                for pragma in ("table_xinfo", "foreign_key_list", "index_list")
            ]
            options = connection.execute("SELECT wr, strict FROM pragma_table_list(?)", (name,)).fetchall()
            found[name] = (options, [[row[1:] for row in rows] for rows in details], "CHECK" in sql)
        elif type == "index":
            columns = connection.execute("SELECT * FROM pragma_index_xinfo(?)", (name,)).fetchall()
            found[name] = (table, columns, sql and sql.partition("WHERE")[2].split())
        else:
            found[name] = " ".join(sql.split())
    return found


@pytest.fixture
def empty() -> Iterator[sqlite3.Connection]:
    with closing(open_memory()) as connection:
        yield connection


@pytest.fixture
def other() -> Iterator[sqlite3.Connection]:
    with closing(open_memory()) as connection:
        yield connection


def test_a_fresh_schema_equals_the_migrated_one(empty: sqlite3.Connection, other: sqlite3.Connection) -> None:
    queries = Queries()
    install(empty, queries, "coo_1", NOW)
    first = queries.migrations[0]
    other.executescript(first.script)
    other.execute(queries["schema_version_insert"], (first.version, first.name, NOW))
    migrate(other, queries, NOW)
    assert shape(empty) == shape(other)
    versions = "SELECT version, name FROM schema_version"
    assert empty.execute(versions).fetchall() == other.execute(versions).fetchall()


def test_every_table_is_strict(empty: sqlite3.Connection) -> None:
    install(empty, Queries(), "coo_1", NOW)
    tables = empty.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    assert {name for name, strict in tables if not strict} == {"sqlite_schema"}


def test_a_migration_that_fails_leaves_what_was_there(empty: sqlite3.Connection) -> None:
    queries = Queries()
    install(empty, queries, "coo_1", NOW)
    before = shape(empty)
    bad = Migration(
        queries.migrations[-1].version + 1, "bad", "CREATE TABLE more (a TEXT) STRICT;\nCREATE TABLE hosts (a TEXT);\n"
    )
    queries.migrations = (*queries.migrations, bad)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(empty, queries, NOW)
    assert shape(empty) == before
    queries.migrations = (*queries.migrations[:-1], replace(bad, script="CREATE TABLE more (a TEXT) STRICT;"))
    migrate(empty, queries, NOW)
    assert "more" in shape(empty)


def test_a_script_that_ends_within_a_statement_is_refused(empty: sqlite3.Connection) -> None:
    queries = Queries()
    queries.schema += "CREATE TABLE unfinished ("
    with pytest.raises(ValueError, match="unfinished"):
        install(empty, queries, "coo_1", NOW)
    assert shape(empty) == {}


async def refused(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    assert isinstance(caught.value, SchemaRefused)
    return str(caught.value)


async def test_a_database_of_a_newer_version_is_refused_by_name(path: Path) -> None:
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    await store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 'telepathy', 0)")
    message = await refused(path)
    assert "99 `telepathy`" in message
    assert str(path) in message


async def test_a_database_of_a_different_line_is_refused(path: Path) -> None:
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    await store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE schema_version SET name = 'other'")
    assert "different line" in await refused(path)


async def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    assert "another program" in await refused(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be looked at " * 50)
    before = path.read_bytes()
    assert "is no database" in await refused(path)
    assert path.read_bytes() == before


def test_principals_stay_and_keep_their_kind(empty: sqlite3.Connection) -> None:
    install(empty, Queries(), "coo_1", NOW)
    empty.execute("INSERT INTO principals VALUES ('bot', 'assistant', '', '', '', '[]', 0, 'ann', NULL)")
    for change in (
        "DELETE FROM principals",
        "UPDATE principals SET kind = 'person'",
        "UPDATE principals SET name = 'ann'",
    ):
        with pytest.raises(sqlite3.IntegrityError, match=r"never deleted|keeps its name and kind"):
            empty.execute(change)


async def test_an_older_database_is_kept_beside_before_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    queries = Queries()
    older = queries.migrations[:-1]
    with closing(sqlite3.connect(path)) as connection:
        first = queries.migrations[0]
        connection.executescript(first.script)
        connection.execute(queries["schema_version_insert"], (first.version, first.name, NOW))
        connection.execute(queries["meta_insert"], ("coo_old", NOW))
        claim(connection)
        queries.migrations = older
        connection.commit()
        connection.isolation_level = None
        migrate(connection, queries, NOW)
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    assert store.coordinator_id == "coo_old"
    await store.close()
    (kept,) = tmp_path.glob("p.db.schema-*")
    assert (kept.name, kept.stat().st_mode & 0o777) == (f"p.db.schema-{older[-1].version}", 0o600)
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (older[-1].version,)
    before = kept.stat().st_mtime_ns
    await (await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")).close()
    assert kept.stat().st_mtime_ns == before


async def test_without_room_for_that_copy_nothing_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.db"
    queries = Queries()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        queries.migrations = queries.migrations[:-1]
        install(connection, queries, "coo_1", NOW)

    def full(source: Path, target: Path) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(store_module, "copy_database", full)
    with pytest.raises(StoreError, match="full"):
        await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (
            queries.migrations[-1].version,
        )
