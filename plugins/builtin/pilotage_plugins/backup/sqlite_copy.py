"""A consistent copy of a SQLite database that others are writing to.

The copy is made by SQLite's online backup within one read transaction: in WAL mode writers go on undisturbed and the
copy is the state of that moment; in the rollback-journal mode writers wait for the copy, as a backup that lets them
in starts over with every write and may never end.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pilotage_plugin_api import InfrastructureFailed, StepFailed, TargetFailed

HEADER_MAGIC: Final = b"SQLite format 3\0"
PAGES_AT_ONCE: Final = 2048
BUSY_SECONDS: Final = 30.0


def is_sqlite(path: bytes) -> bool:
    """Whether the file begins as a SQLite 3 database does; OSError passes."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(handle, len(HEADER_MAGIC)) == HEADER_MAGIC
    finally:
        os.close(handle)


def copy_database(source: Path, into: Path, progress: Callable[[int, int], None]) -> None:
    """Copy the database; blocking, for a thread. `progress(done, total)` in pages may raise to stop it.

    Raises TargetFailed when there is no SQLite database, InfrastructureFailed when it stays busy, StepFailed when it
    is damaged.
    """
    _check_source(source)
    try:
        with closing(_open(source, _reading_mode(source))) as original, closing(_open(into, "rwc")) as copy:
            original.execute("PRAGMA query_only=ON")
            original.execute("BEGIN")
            original.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            original.backup(
                copy, pages=PAGES_AT_ONCE, progress=lambda _status, left, total: progress(total - left, total)
            )
            original.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise InfrastructureFailed(f"{str(source)!r} stayed locked for {BUSY_SECONDS:.0f} s: {error}") from error
        raise StepFailed(f"{str(source)!r} cannot be copied: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StepFailed(f"{str(source)!r} is damaged: {error}. Restore it from an older backup") from error


def integrity_problems(path: Path, *, quick: bool, stop: Callable[[], bool]) -> list[str]:
    """Return what SQLite's own check finds wrong in a file nobody writes to; blocking. Empty when it is sound.

    `stop` is asked now and then; when it says yes, the check ends with sqlite3.OperationalError ("interrupted").
    """
    statement = "PRAGMA quick_check" if quick else "PRAGMA integrity_check"
    try:
        with closing(_open(path, "ro", immutable=True)) as database:
            database.set_progress_handler(stop, 100_000)
            return [row[0] for row in database.execute(statement) if row[0] != "ok"]
    except sqlite3.DatabaseError as error:
        if "interrupted" in str(error):
            raise
        return [str(error)]


def tables_and_rows(path: Path, stop: Callable[[], bool]) -> tuple[int, int]:
    """Return how many tables there are in a file nobody writes to, and how many rows in them; blocking."""
    names = _rows(path, "SELECT name FROM sqlite_schema WHERE type = 'table'", stop)
    quoted = ['"' + str(name).replace('"', '""') + '"' for (name,) in names]
    return len(quoted), sum(_rows(path, f"SELECT count(*) FROM {name}", stop)[0][0] for name in quoted)  # noqa: S608


def ask(path: Path, query: str, stop: Callable[[], bool]) -> str:
    """Return the answer to a query of a file nobody writes to, columns parted by |; blocking.

    Raises StepFailed when SQLite refuses the query.
    """
    return "\n".join("|".join("" if value is None else str(value) for value in row) for row in _rows(path, query, stop))


def _rows(path: Path, query: str, stop: Callable[[], bool]) -> list[tuple[Any, ...]]:
    try:
        with closing(_open(path, "ro", immutable=True)) as database:
            database.execute("PRAGMA query_only=ON")
            database.set_progress_handler(stop, 100_000)
            return database.execute(query).fetchmany(1000)
    except sqlite3.DatabaseError as error:
        raise StepFailed(f"the restored database does not answer {query[:200]!r}: {error}") from error


def companions(path: str) -> list[str]:
    """Return the names of the files that SQLite keeps beside a database."""
    return [path + suffix for suffix in ("-wal", "-shm", "-journal")]


def _reading_mode(source: Path) -> str:
    """Choose how to open the source. A read-only connection to a WAL database that nobody has open would leave an
    empty journal beside it, as it may not tidy up; one that may write tidies up when it closes, and writes nothing else
    (query_only). While others have it open, reading is all that is needed."""
    with source.open("rb") as header:
        is_wal = header.read(20)[18:20] == b"\2\2"
    at_rest = not Path(f"{source}-wal").exists()
    return "rw" if is_wal and at_rest and os.access(source, os.W_OK) else "ro"


def _check_source(source: Path) -> None:
    try:
        if not is_sqlite(os.fsencode(source)):
            raise TargetFailed(f"{str(source)!r} is no SQLite database (an encrypted one looks like that, too)")
    except OSError as error:
        raise TargetFailed(f"{str(source)!r} cannot be read: {error.strerror}") from error


def _open(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    options = f"mode={mode}&immutable=1" if immutable else f"mode={mode}"
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{options}", uri=True, isolation_level=None, timeout=BUSY_SECONDS
    )
