"""Bringing a database to the newest schema, or refusing it."""

import sqlite3
from collections.abc import Callable, Sequence

from pilotage_coordinator.store.errors import SchemaRefused
from pilotage_coordinator.store.sqlite import connection as connections
from pilotage_coordinator.store.sqlite.queries import Migration, Queries


def prepare(
    connection: sqlite3.Connection,
    queries: Queries,
    coordinator_id: str,
    now: int,
    before_migration: Callable[[int], None] = lambda version: None,
) -> None:
    """Install the schema in an empty database, or migrate an older one.

    `before_migration` is called with the version of an older one before it is changed, and may refuse by raising.

    `coordinator_id` names a new database; one that exists keeps its own. Raises SchemaRefused for a database of a newer
    version. All or nothing: a crash leaves what was there before.
    """
    if _is_empty(connection):
        install(connection, queries, coordinator_id, now)
    applied = applied_versions(connection, queries)
    if len(applied) < len(queries.migrations):
        before_migration(applied[-1][0])
    migrate(connection, queries, now)


def refuse_foreign(connection: sqlite3.Connection) -> None:
    """Raise SchemaRefused, before anything is changed, unless the file is empty or this product's."""
    if not _is_empty(connection) and not connections.is_ours(connection):
        raise SchemaRefused("the file is a database of another program: give another path")


def install(connection: sqlite3.Connection, queries: Queries, coordinator_id: str, now: int) -> None:
    """Make the newest schema in an empty database."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connections.claim(connection)
        _run(connection, queries.schema)
        for migration in queries.migrations:
            connection.execute(queries["schema_version_insert"], (migration.version, migration.name, now))
        connection.execute(queries["meta_insert"], (coordinator_id, now))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def migrate(connection: sqlite3.Connection, queries: Queries, now: int) -> None:
    """Apply the migrations that are missing, each in its own transaction."""
    applied = applied_versions(connection, queries)
    for migration in queries.migrations[len(applied) :]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _run(connection, migration.script)
            connection.execute(queries["schema_version_insert"], (migration.version, migration.name, now))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def applied_versions(connection: sqlite3.Connection, queries: Queries) -> Sequence[tuple[int, str]]:
    """Return the migrations that a database has; raises SchemaRefused for one of a newer or another program."""
    applied = [(int(version), str(name)) for version, name in connection.execute(queries["schema_versions"])]
    _refuse_newer(applied, queries.migrations)
    return applied


def _refuse_newer(applied: Sequence[tuple[int, str]], known: Sequence[Migration]) -> None:
    for (version, name), migration in zip(applied, known, strict=False):
        if (version, name) != (migration.version, migration.name):
            raise SchemaRefused(
                f"the database has schema {version} `{name}` where this version has `{migration.name}`: "
                "it was written by a different line of this product; use the program that wrote it"
            )
    if len(applied) > len(known):
        version, name = applied[-1]
        raise SchemaRefused(
            f"the database has schema {version} `{name}`; this program knows schemas up to {known[-1].version}: "
            "it was written by a newer version; install that version again, or restore a backup made before"
        )


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not `executescript`: that would end the transaction first.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    if statement.strip() and any(not line.startswith("--") for line in statement.strip().splitlines()):
        raise ValueError(f"the script ends within a statement: {statement.strip()[:80]}")


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not _tables(connection) and connections.application(connection) == 0


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
