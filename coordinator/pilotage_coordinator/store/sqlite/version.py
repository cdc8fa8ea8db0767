"""The SQLite that Python is linked to, and whether its fault with two writers is mended (SECURITY: facts found)."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkedSqlite:
    """What `doctor` says of the library."""

    version: str
    patched: bool
    """Whether two connections may write or checkpoint at the same moment without harm. The store never lets them."""


def linked_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> LinkedSqlite:
    """Return the version of the library; the fault is mended in 3.51.3, and in 3.50.7 and 3.44.6 of the older lines."""
    patched = version >= (3, 51, 3) or any(
        version[:2] == line[:2] and version >= line for line in ((3, 50, 7), (3, 44, 6))
    )
    return LinkedSqlite(version=".".join(str(part) for part in version), patched=patched)
