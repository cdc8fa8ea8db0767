"""Copies of the database in files of their own: made beside a running coordinator, and looked into before use."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_coordinator.audit.entry import AuditHead
from pilotage_coordinator.store.errors import BackupRefused, StoreUnavailable
from pilotage_coordinator.store.sqlite import connection as connections

RESTORED: Final = "restored"
"""Name of the mark that stands in a state folder from a restore until a coordinator has heard its hosts there."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a copy says of itself. `schema` is its newest version."""

    coordinator_id: str
    epoch: int
    schema: int
    head: AuditHead


def copy_database(source: Path, target: Path) -> None:
    """Copy one committed moment of a database into a new file (mode 0600), durably. Blocking.

    One step reads the whole snapshot: a writer beside it is not kept waiting, only its log cannot be reused meanwhile.
    Raises StoreUnavailable; then there is no file.
    """
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(connections.open_reader(source)) as reader, closing(sqlite3.connect(target)) as writer:
            reader.backup(writer)
        with target.open("rb") as file:
            os.fsync(file.fileno())
    except (OSError, sqlite3.Error) as error:
        target.unlink(missing_ok=True)
        raise StoreUnavailable(f"{source} cannot be copied to {target} ({error}): make room there") from error


def described(copy: Path) -> Described:
    """Look into a copy; raises BackupRefused for one that is not whole or not this product's."""
    try:
        with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?immutable=1", uri=True)) as connection:
            if not connections.is_ours(connection):
                raise BackupRefused("the backup's database is that of another program")
            if (found := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                raise BackupRefused(f"the backup's database is damaged: {found}")
            coordinator_id, epoch = connection.execute("SELECT coordinator_id, epoch FROM meta").fetchone()
            (schema,) = connection.execute("SELECT max(version) FROM schema_version").fetchone()
            row = connection.execute("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise BackupRefused(f"the backup's database cannot be read: {error}") from error
    return Described(coordinator_id, int(epoch), int(schema), AuditHead(*row) if row else AuditHead())


def sync_folder_of(file: Path) -> None:
    """Make the name of a file durable."""
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
