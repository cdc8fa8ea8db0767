import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from pilotage_coordinator.store.database import Work
from pilotage_coordinator.store.errors import Conflict, StoreUnavailable
from pilotage_coordinator.store.sqlite.connection import open_memory
from pilotage_coordinator.store.sqlite.transaction import commit, transact


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(open_memory()) as connection:
        connection.execute("CREATE TABLE seen (a INTEGER PRIMARY KEY) STRICT")
        yield connection


def put(connection: sqlite3.Connection) -> int:
    return connection.execute("INSERT INTO seen VALUES (NULL)").rowcount


def failing(error: BaseException) -> Work[object]:
    def work(connection: sqlite3.Connection) -> object:
        put(connection)
        raise error

    return work


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("made for a test")
    error.sqlite_errorcode = code
    return error


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM seen").fetchone()[0])


@pytest.mark.parametrize(
    "error",
    [
        Conflict("not as expected"),
        KeyError("a mistake"),
        sqlite_error(sqlite3.SQLITE_ERROR),
        sqlite_error(sqlite3.SQLITE_CONSTRAINT_UNIQUE),
        sqlite3.ProgrammingError("a wrong count of parameters"),
    ],
)
def test_a_work_that_fails_by_itself_is_taken_back_alone(connection: sqlite3.Connection, error: Exception) -> None:
    assert transact(connection, [put, failing(error), put], commit) == [1, error, 1]
    assert count(connection) == 2


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (sqlite3.SQLITE_FULL, "free some space"),
        (sqlite3.SQLITE_IOERR_WRITE, "check it and its file system"),
        (sqlite3.SQLITE_BUSY, "end it"),
        (sqlite3.SQLITE_READONLY, "owner and mount"),
        (sqlite3.SQLITE_CORRUPT, "restore a backup"),
        (sqlite3.SQLITE_NOMEM, "log"),
    ],
)
def test_a_disk_that_refuses_takes_all_works_back(connection: sqlite3.Connection, code: int, hint: str) -> None:
    with pytest.raises(StoreUnavailable, match=hint):
        transact(connection, [put, failing(sqlite_error(code)), put], commit)
    assert not connection.in_transaction
    assert count(connection) == 0
    assert transact(connection, [put], commit) == [1]


def test_a_commit_that_fails_takes_all_works_back(connection: sqlite3.Connection) -> None:
    def refuse(connection: sqlite3.Connection) -> None:
        raise sqlite_error(sqlite3.SQLITE_IOERR_FSYNC)

    with pytest.raises(StoreUnavailable):
        transact(connection, [put], refuse)
    assert (connection.in_transaction, count(connection)) == (False, 0)


def test_an_interrupt_of_the_process_takes_all_works_back(connection: sqlite3.Connection) -> None:
    with pytest.raises(KeyboardInterrupt):
        transact(connection, [put, failing(KeyboardInterrupt())], commit)
    assert (connection.in_transaction, count(connection)) == (False, 0)
