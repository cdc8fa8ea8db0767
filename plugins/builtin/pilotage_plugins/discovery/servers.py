"""Databases of the servers that run on a host, found by their sockets or in its containers, and asked of themselves."""

import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api import StepContext, StepError

from pilotage_plugins.backup import mysql, postgresql
from pilotage_plugins.backup.server import Database, Engine
from pilotage_plugins.container.connection import EngineParams, open_engine
from pilotage_plugins.container.naming import name_in_list

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


_SIGNS: Final = (
    (Engine.POSTGRESQL, ("PG_MAJOR", "PGDATA")),
    (Engine.MARIADB, ("MARIADB_VERSION",)),
    (Engine.MYSQL, ("MYSQL_MAJOR", "MYSQL_VERSION")),
)
"""Variables that the official images of servers have."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and how it is reached: by a socket, or in a container."""

    engine: Engine
    socket: str | None = None
    container: str | None = None

    def __str__(self) -> str:
        return self.socket or f"container {self.container}"


@dataclass(frozen=True, slots=True)
class ServerDatabase:
    """A database of a server. `bytes` is what it takes on disk, not in a dump."""

    server: Server
    name: str
    bytes: int


async def find_databases(ctx: StepContext, servers: Iterable[Server]) -> tuple[list[ServerDatabase], list[str]]:
    """Return the databases of these servers, and the servers that did not answer.

    A server is asked as the system's users are: PostgreSQL as the owner of its socket, MySQL as ourselves, one in a
    container as its superuser; only databases that can be dumped are told, no templates and no system schemas.
    """
    found: list[ServerDatabase] = []
    silent: list[str] = []
    for server in servers:
        try:
            found += await _ask(ctx.within(ASK_SECONDS), server)
        except (StepError, ValueError) as error:
            silent.append(f"{server}: {str(error)[:300]}")
    return found, silent


async def servers_in_containers(ctx: StepContext) -> list[Server]:
    """Return the servers in running containers, by their names; none where no engine answers, which the log says.

    A container is no server for having a server's address among its variables, as clients do: its image must tell so.
    """
    try:
        async with open_engine(ctx, EngineParams()) as engine:
            names = [name_in_list(each) for each in await engine.containers(all=False)]
            running = {name: found["Image"] for name in sorted(names) if (found := await engine.find(name)) is not None}
            told = {image: await engine.image(image) for image in set(running.values())}
    except StepError as error:
        ctx.log(f"which databases run in containers is not known: {error}")
        return []
    return [
        Server(kind, container=name) for name, image in running.items() if (kind := _kind_of(told[image])) is not None
    ]


def servers_on_sockets(folders: Sequence[str]) -> list[Server]:
    """Return the servers with a socket in these folders."""
    return [Server(engine, socket) for engine, socket in _sockets(folders)]


def _kind_of(image: Mapping[str, Any] | None) -> Engine | None:
    """Return the engine of an image, by the variables that it sets."""
    variables = {each.partition("=")[0] for each in ((image or {}).get("Config") or {}).get("Env") or ()}
    return next((engine for engine, signs in _SIGNS if variables.intersection(signs)), None)


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


async def _ask(ctx: StepContext, server: Server) -> list[ServerDatabase]:
    if server.engine is Engine.POSTGRESQL:
        database = Database(engine=server.engine, name="postgres", path=server.socket, container=server.container)
        async with postgresql.login(ctx, database, None) as login:
            argv = ["psql", "--no-psqlrc", "-Atq", "--no-password", "-c", _POSTGRESQL_LIST]
            result = await ctx.program([*login.prefix, *argv], env=login.env, on_stdout=lambda _line: None)
        if result.exit_code:
            raise postgresql.explain(database, result.stderr.decode("utf-8", "replace").strip(), result.ending)
        rows = json.loads(result.stdout or b"[]") or []
    else:
        database = Database(engine=server.engine, name="mysql", path=server.socket, container=server.container)
        async with mysql.login(ctx, database, None) as login:
            argv = [login.client, *login.arguments, "-BN", "--raw", f"--execute={_MYSQL_LIST}"]
            result = await ctx.program([*login.prefix, *argv], env=login.env, on_stdout=lambda _line: None)
        if result.exit_code:
            raise mysql.explain(database, result.stderr.decode("utf-8", "replace").strip(), result.ending)
        rows = [json.loads(line) for line in result.stdout.splitlines() if line.strip()]
    return [ServerDatabase(server, str(name), int(size)) for name, size in rows]
