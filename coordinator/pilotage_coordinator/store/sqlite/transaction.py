"""One transaction with many works in it, each of which stands or falls alone."""

import sqlite3
from collections.abc import Callable, Sequence

from pilotage_coordinator.store.database import Work
from pilotage_coordinator.store.errors import StoreUnavailable

# Results that speak of one statement; all others mean that the disk or the connection is not well.
_OWN_FAULTS = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISUSE,
    }
)
_HINTS = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "the disk gives input/output errors: check it and its file system",
    sqlite3.SQLITE_READONLY: "the file or its folder is not writable: check owner and mount",
    sqlite3.SQLITE_CANTOPEN: "a file cannot be opened: check owner, space and open-file limit",
    sqlite3.SQLITE_BUSY: "another program has the database locked: end it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database",
}


def transact(
    connection: sqlite3.Connection, works: Sequence[Work[object]], commit: Callable[[sqlite3.Connection], None]
) -> list[object]:
    """Run works in one transaction that `commit` ends; returns each one's result or its exception.

    Raises StoreUnavailable when the disk refuses anywhere; then nothing is stored.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        results = [_alone(connection, work) for work in works]
        commit(connection)
    except sqlite3.Error as error:
        _roll_back(connection)
        raise unavailable(error) from error
    except BaseException:
        _roll_back(connection)
        raise
    return results


def commit(connection: sqlite3.Connection) -> None:
    """End a transaction durably."""
    connection.execute("COMMIT")


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """Return the error to raise for a database that refuses, with the fix as far as it is known."""
    hint = _HINTS.get(_code(error), "see the coordinator's log")
    return StoreUnavailable(f"the database refused ({error}): {hint}; nothing was stored, try again")


def _alone(connection: sqlite3.Connection, work: Work[object]) -> object:
    connection.execute("SAVEPOINT alone")
    try:
        result = work(connection)
    except sqlite3.Error as error:
        if not isinstance(error, sqlite3.InterfaceError) and _code(error) not in _OWN_FAULTS:
            raise
        _forget(connection)
        return error
    except Exception as error:
        _forget(connection)
        return error
    connection.execute("RELEASE alone")
    return result


def _forget(connection: sqlite3.Connection) -> None:
    connection.execute("ROLLBACK TO alone")
    connection.execute("RELEASE alone")


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite ends the transaction itself for some errors (a full disk among them).
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _code(error: sqlite3.Error) -> int:
    # The sqlite3 module's own errors (a wrong count of parameters) carry no code: they speak of one statement.
    extended = getattr(error, "sqlite_errorcode", None)
    return sqlite3.SQLITE_MISUSE if extended is None else extended & 0xFF
