"""How connections are made: the one that writes, and those that read."""

import os
import sqlite3
from pathlib import Path

STATEMENTS_KEPT = 256
_APPLICATION = 0x50494C54
"""`PILT`, in the file's header: tells this product's databases from others."""
_BUSY_MILLISECONDS = 5_000
_BYTES_CACHED_KIB = 16_384


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the connection that will write; makes an empty file (mode 0600) if there is none, and changes no other."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return _connect(path)


def settle_writer(connection: sqlite3.Connection) -> None:
    """Set what is kept in the file or rules how it is written, before the first table.

    The order matters: auto_vacuum can only be chosen before the first table and before WAL writes the first page.
    """
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = FAST")


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write and never checkpoints."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def open_memory() -> sqlite3.Connection:
    """Open a database that lives in memory, with the writer's settings as far as they mean anything there."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=STATEMENTS_KEPT)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def give_back(connection: sqlite3.Connection, pages: int) -> None:
    """Give up to `pages` free pages back to the file system."""
    # `execute` steps this pragma once, which frees one page; a script is stepped to its end.
    connection.executescript(f"PRAGMA incremental_vacuum({pages:d});")


def application(connection: sqlite3.Connection) -> int:
    """Return the application id in the file's header; 0 in a new file."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def claim(connection: sqlite3.Connection) -> None:
    """Mark the file as this product's."""
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")


def is_ours(connection: sqlite3.Connection) -> bool:
    """Return whether the file carries this product's mark."""
    return application(connection) == _APPLICATION


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=STATEMENTS_KEPT, timeout=_BUSY_MILLISECONDS / 1000
    )
    try:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_BYTES_CACHED_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection
