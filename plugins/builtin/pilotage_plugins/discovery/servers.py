"""Databases of the servers that run on a host, found by their sockets and asked of themselves."""

import json
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext, StepError

from pilotage_plugins.backup import mysql, postgresql
from pilotage_plugins.backup.server import Database, Engine

ASK_SECONDS: Final = 20.0
_POSTGRESQL_SOCKET: Final = re.compile(r"\.s\.PGSQL\.\d{1,5}")
_MYSQL_SOCKETS: Final = ("mysqld.sock", "mysql.sock")
_POSTGRESQL_LIST: Final = (
    "SELECT json_agg(json_build_array(datname, pg_database_size(datname)) ORDER BY datname)"
    " FROM pg_database WHERE datallowconn AND NOT datistemplate"
)
_MYSQL_LIST: Final = (
    "SELECT JSON_ARRAY(s.schema_name, CAST(COALESCE(SUM(t.data_length + t.index_length), 0) AS UNSIGNED))"
    " FROM information_schema.schemata s LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name"
    " WHERE s.schema_name NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')"
    " GROUP BY s.schema_name ORDER BY s.schema_name"
)


@dataclass(frozen=True, slots=True)
class ServerDatabase:
    """A database of a server; `socket` is how it is reached. `bytes` is what it takes on disk, not in a dump."""

    engine: Engine
    name: str
    socket: str
    bytes: int


async def find_server_databases(ctx: StepContext, folders: Sequence[str]) -> tuple[list[ServerDatabase], list[str]]:
    """Return the databases of every server with a socket in these folders, and the servers that did not answer.

    A server is asked as the system's users are: PostgreSQL as the owner of its socket, MySQL as ourselves; only
    databases that can be dumped are told, no templates and no system schemas.
    """
    found: list[ServerDatabase] = []
    silent: list[str] = []
    for engine, socket in _sockets(folders):
        try:
            found += await _ask(ctx.within(ASK_SECONDS), engine, socket)
        except (StepError, ValueError) as error:
            silent.append(f"{socket}: {str(error)[:300]}")
    return found, silent


def _sockets(folders: Sequence[str]) -> Iterator[tuple[Engine, str]]:
    for folder in folders:
        try:
            entries = sorted(Path(folder).iterdir())
        except OSError:
            continue
        for entry in entries:
            engine = Engine.POSTGRESQL if _POSTGRESQL_SOCKET.fullmatch(entry.name) else None
            engine = Engine.MYSQL if entry.name in _MYSQL_SOCKETS else engine
            if engine and stat.S_ISSOCK(entry.lstat().st_mode):
                yield engine, str(entry)


async def _ask(ctx: StepContext, engine: Engine, socket: str) -> list[ServerDatabase]:
    if engine is Engine.POSTGRESQL:
        database = Database(engine=engine, name="postgres", path=socket)
        async with postgresql.login(ctx, database, None) as login:
            argv = ["psql", "--no-psqlrc", "-Atq", "--no-password", "-c", _POSTGRESQL_LIST]
            result = await ctx.program([*login.prefix, *argv], env=login.env, on_stdout=lambda _line: None)
        if result.exit_code:
            raise postgresql.explain(database, result.stderr.decode("utf-8", "replace").strip(), result.ending)
        rows = json.loads(result.stdout or b"[]") or []
    else:
        database = Database(engine=engine, name="mysql", path=socket)
        async with mysql.login(ctx, database, None) as login:
            argv = [mysql.client_program(ctx.environment), *login.arguments, "-BN", "--raw", f"--execute={_MYSQL_LIST}"]
            result = await ctx.program([*login.prefix, *argv], env=login.env, on_stdout=lambda _line: None)
        if result.exit_code:
            raise mysql.explain(database, result.stderr.decode("utf-8", "replace").strip(), result.ending)
        rows = [json.loads(line) for line in result.stdout.splitlines() if line.strip()]
    return [ServerDatabase(engine, str(name), socket, int(size)) for name, size in rows]
