"""The journal on disk: SQLite in WAL mode with synchronous=FULL, one connection, on a thread of its own.

Every row carries a checksum of its values: SQLite's own check sees torn pages, not a bit that turned inside a value.

One connection in one process writes and checkpoints (a lock on the state folder keeps a second agent away), which is
what SQLite before 3.51.3 needs to be safe in WAL mode.
"""

import asyncio
import contextlib
import logging
import sqlite3
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from pilotage_agent.approval.use import use_from_json, use_name, use_to_json
from pilotage_agent.errors import ConfigRefused, JournalDamaged, JournalUnwritable
from pilotage_agent.journal_record import entry_from_json, entry_to_json
from pilotage_agent.journal_store import JournalContent, JournalHead, JournalStore, Transaction
from pilotage_agent.messages import Outcome
from pilotage_agent.settled import Settled
from pilotage_agent.witness import witness_from_json, witness_to_json

_log = logging.getLogger("pilotage.agent.journal")

FORMAT: Final = 4

_USES: Final = (
    "CREATE TABLE uses (name TEXT PRIMARY KEY, body TEXT NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID"
)
_SCHEMA: Final = f"""
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1), journal_id TEXT NOT NULL, sequence INTEGER NOT NULL,
    session_counter INTEGER NOT NULL, highest_epoch INTEGER NOT NULL, horizon INTEGER NOT NULL,
    witness TEXT NOT NULL, approvals_floor INTEGER NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE TABLE entries (key TEXT PRIMARY KEY, body TEXT NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE settled (
    run BLOB PRIMARY KEY, attempt INTEGER NOT NULL, outcome TEXT NOT NULL, began INTEGER NOT NULL,
    execution_time INTEGER NOT NULL, crc INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE consumed_approvals (approval TEXT PRIMARY KEY, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
{_USES};
"""

_COLUMNS: Final = {
    "head": "journal_id, sequence, session_counter, highest_epoch, horizon, witness, approvals_floor",
    "entries": "key, body",
    "settled": "run, attempt, outcome, began, execution_time",
    "consumed_approvals": "approval",
    "uses": "name, body",
}


class SqliteJournalStore:
    """A journal file. Every method runs on the same thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path, new_id: str, floor: int = 0) -> "SqliteJournalStore":
        """Open the journal, or make one under `new_id` when there is none; approvals that were asked for until `floor`
        (UTC µs) count for a new one no more, as nobody knows what they were used for.

        Raises JournalDamaged when the file is no whole journal, ConfigRefused when a newer agent wrote it, and
        JournalUnwritable when the disk does not let us.
        """
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            written = connection.execute("PRAGMA user_version").fetchone()[0]
            if written == 0:
                _create(connection, new_id, floor)
            elif written > FORMAT:
                raise ConfigRefused(f"{path} was written by a newer agent (format {written}): upgrade this agent")
            elif connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise JournalDamaged(f"{path} fails SQLite's check")
            elif written < FORMAT:
                _upgrade(connection, written)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # Python cannot decode what SQLite says about a scribbled schema.
            if connection is not None:
                connection.close()
            raise _translate(error, path) from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        return cls(connection, path)

    def load(self) -> JournalContent:
        """Read everything; raises JournalDamaged for a row that is none."""
        try:
            ((journal_id, sequence, sessions, epoch, horizon, witness, floor),) = self._rows("head")
            return JournalContent(
                head=JournalHead(journal_id, sequence, sessions, epoch, horizon, witness_from_json(witness), floor),
                entries=tuple(entry_from_json(body) for _, body in self._rows("entries")),
                settled=tuple(
                    Settled(run, attempt, Outcome(outcome), bool(began), time)
                    for run, attempt, outcome, began, time in self._rows("settled")
                ),
                consumed_approvals=frozenset(name for (name,) in self._rows("consumed_approvals")),
                uses=tuple(use_from_json(body) for _, body in self._rows("uses")),
            )
        except sqlite3.Error as error:
            raise _translate(error, self._path) from error
        except (ValueError, KeyError, TypeError) as error:
            raise JournalDamaged(f"{self._path} holds a record that cannot be read: {error}") from error

    def commit(self, transaction: Transaction) -> None:
        """One transaction, one fsync of the write-ahead log."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._write(transaction)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise JournalUnwritable(f"the journal {self._path} cannot be written: {error}") from error

    def close(self) -> None:
        """Close the file; SQLite checkpoints it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Return a table's values; raises JournalDamaged for a row that is not as it was written."""
        for *values, crc in self._connection.execute(f"SELECT {_COLUMNS[table]}, crc FROM {table}"):  # noqa: S608
            if checksum(*values) != crc:
                raise JournalDamaged(f"{self._path} holds a row of {table} that is not as it was written")
            yield tuple(values)

    def _write(self, transaction: Transaction) -> None:
        execute, many = self._connection.execute, self._connection.executemany
        head = transaction.head
        witness = witness_to_json(head.witness)
        floor = head.approvals_floor
        values = (head.sequence, head.session_counter, head.highest_epoch, head.horizon, witness, floor)
        execute(
            "UPDATE head SET sequence = ?, session_counter = ?, highest_epoch = ?, horizon = ?, witness = ?,"
            " approvals_floor = ?, crc = ?",
            (*values, checksum(head.journal_id, *values)),
        )
        if transaction.entries:
            rows = [_checked(str(entry.key), entry_to_json(entry)) for entry in transaction.entries]
            many("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
        if transaction.forgotten:
            many("DELETE FROM entries WHERE key = ?", [(str(key),) for key in transaction.forgotten])
        if transaction.settled:
            records = [
                _checked(one.run, one.attempt, one.outcome.value, int(one.began), one.execution_time)
                for one in transaction.settled
            ]
            many("INSERT OR REPLACE INTO settled VALUES (?, ?, ?, ?, ?, ?)", records)
        if transaction.dropped:
            many("DELETE FROM settled WHERE run = ?", [(run,) for run in transaction.dropped])
        if transaction.consumed_approvals:
            approvals = [_checked(name) for name in transaction.consumed_approvals]
            many("INSERT OR IGNORE INTO consumed_approvals VALUES (?, ?)", approvals)
        if transaction.uses:
            uses = [_checked(use_name(use.name), use_to_json(use)) for use in transaction.uses]
            many("INSERT OR REPLACE INTO uses VALUES (?, ?, ?)", uses)
        if transaction.forgotten_uses:
            many("DELETE FROM uses WHERE name = ?", [(use_name(name),) for name in transaction.forgotten_uses])


class ThreadedCommits:
    """Commits on the one thread that owns the store."""

    def __init__(self, store: JournalStore, thread: ThreadPoolExecutor) -> None:
        self._store = store
        self._thread = thread

    async def commit(self, transaction: Transaction) -> None:
        """Hand the transaction to the thread and wait for its fsync."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.commit, transaction)

    async def close(self) -> None:
        """Close the store on its thread, then end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown(wait=False)


def open_or_replace(path: Path, new_id: str, now: int) -> tuple[SqliteJournalStore, JournalContent]:
    """Open the journal; one that is damaged is set aside under a name with the time, and a new one is made.

    The coordinator sees the new journal id and treats every open attempt of this host as unknown.
    """
    try:
        store = SqliteJournalStore.open(path, new_id, now)
        try:
            return store, store.load()
        except JournalDamaged:
            store.close()
            raise
    except JournalDamaged as damage:
        aside = path.with_name(f"{path.name}.damaged-{now}")
        _log.error("%s; it is set aside as %s and a new journal is begun", damage, aside.name)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
        store = SqliteJournalStore.open(path, new_id, now)
        return store, store.load()


def _create(connection: sqlite3.Connection, new_id: str, floor: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    row = (new_id, 0, 0, 0, 0, "", floor)
    connection.execute("INSERT INTO head VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", _checked(*row))
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection, written: int) -> None:
    """Give the rows of format 1 their checksums, the head of format 2 its place for what was seen, and that of format 3
    its floor; and make the table for what approvals were used for."""
    connection.execute("BEGIN IMMEDIATE")
    if written < 3:
        connection.execute("ALTER TABLE head ADD COLUMN witness TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE head ADD COLUMN approvals_floor INTEGER NOT NULL DEFAULT 0")
    for table, columns in _COLUMNS.items():
        if table == "uses":
            continue
        if written == 1:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER NOT NULL DEFAULT 0")
        elif table != "head":
            continue
        key = columns.partition(",")[0]
        rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608
        connection.executemany(
            f"UPDATE {table} SET crc = ? WHERE {key} = ?",  # noqa: S608
            [(checksum(*row), row[0]) for row in rows],
        )
    connection.execute(_USES)
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")


def checksum(*values: bytes | int | str) -> int:
    """Return the CRC-32 of a row's values."""
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))


def _checked(*values: bytes | int | str) -> tuple[bytes | int | str, ...]:
    return *values, checksum(*values)


def _translate(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return JournalUnwritable(f"the journal {path} cannot be used: {error}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalUnwritable(f"the journal {path} is used by another process: {error}")
    return JournalDamaged(f"{path} is no whole journal: {error}")
