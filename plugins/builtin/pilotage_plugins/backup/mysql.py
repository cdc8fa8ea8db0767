"""MySQL and MariaDB: how their programs are started, and what their errors mean."""

import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from pilotage_plugin_api import InfrastructureFailed, SecretRef, StepContext, StepError, StepFailed, TargetFailed

from pilotage_plugins.backup import in_container
from pilotage_plugins.backup.server import Database, Login, password_memory, switch_user, system_user

DUMP_OPTIONS: Final = (
    *("--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"),
    *("--default-character-set=utf8mb4", "--no-tablespaces", "--comments", "--dump-date"),
)
_ROOT: Final = """
for file in "$MARIADB_ROOT_PASSWORD_FILE" "$MYSQL_ROOT_PASSWORD_FILE"; do
    if [ -z "$MYSQL_PWD" ] && [ -r "$file" ]; then MYSQL_PWD="$(cat "$file")"; fi
done
export MYSQL_PWD="${MYSQL_PWD:-${MARIADB_ROOT_PASSWORD:-$MYSQL_ROOT_PASSWORD}}"
"""
"""The password of root as the official images are told it."""

END_MARK: Final = b"-- Dump completed"
"""What the last line of a complete dump begins with."""

UNSAFE_TABLES: Final = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    " AND table_type = 'BASE TABLE' AND engine <> 'InnoDB' LIMIT 20"
)
"""A transaction gives no consistent picture of these."""

_UNREACHABLE: Final = re.compile(
    r"error: (1040|2002|2003|2005|2006|2013|1053)\b|lost connection|can't connect|gone away|server has shut",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(r"access denied for user|\b1045\b|\b1698\b", re.IGNORECASE)
_MISSING: Final = re.compile(r"unknown database|\b1049\b", re.IGNORECASE)


_PROGRAMS: Final = (("mariadb", "mysql"), ("mariadb-dump", "mysqldump"))
"""Client and dump program, each by MariaDB's name first, then by MySQL's."""


def snapshot_path(database: Database) -> str:
    """Return the path of the dump within its snapshot; without folders, as restic 0.18.0 takes a stream only so."""
    return f"/mysql-{database.place}-{quote(database.name, safe=' ')}.sql"


def programs_here(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the names of client and dump program on this host; MySQL's where it has neither."""
    path = environment.get("PATH")
    client, dumper = (next((name for name in names if shutil.which(name, path=path)), names[-1]) for names in _PROGRAMS)
    return client, dumper


@asynccontextmanager
async def login(ctx: StepContext, database: Database, credentials: SecretRef | None) -> AsyncIterator[Login]:
    """Prepare the first arguments: with a password an option file in memory, which must come before all others."""
    if database.container:
        yield await _log_in_there(ctx, database, credentials)
        return
    user = system_user(database)
    client, dumper = programs_here(ctx.environment)
    lines = [("protocol", "socket"), ("socket", database.path)] if database.path else [("protocol", "tcp")]
    if database.host:
        lines += [("host", database.host), ("port", database.place.rpartition(":")[2])]
    if database.user:
        lines.append(("user", database.user))

    def option_file(password: str | None) -> str:
        given = [*lines, ("password", password)] if password is not None else lines
        return "[client]\n" + "".join(f"{name}={_quoted(str(value))}\n" for name, value in given)

    async with password_memory(ctx, credentials, user, option_file) as handle:
        if handle is not None:
            options = (f"--defaults-extra-file=/proc/self/fd/{handle}",)
            yield Login(switch_user(user), fds=(handle,), arguments=options, client=client, dumper=dumper)
            return
        plain = tuple(f"--{name}={value}" for name, value in lines)
        yield Login(switch_user(user), arguments=plain, client=client, dumper=dumper)


async def _log_in_there(ctx: StepContext, database: Database, credentials: SecretRef | None) -> Login:
    """The container's own socket is the one that its client knows; what there is for MySQL is called after it."""
    login = await in_container.log_in(ctx, database, credentials, {}, "MYSQL_PWD", _ROOT if not database.user else "")
    arguments = [f"--user={database.user or 'root'}"]
    arguments += ["--protocol=tcp", f"--port={database.port}"] if database.port else []
    of_mariadb = await in_container.has_program(ctx, login, _PROGRAMS[0][0])
    client, dumper = (names[0 if of_mariadb else 1] for names in _PROGRAMS)
    return replace(login, arguments=arguments, client=client, dumper=dumper)


def explain(database: Database, said: str, ending: str, doing: str = "dumped") -> StepError:
    """Return the error for a program of MySQL that failed while the database was being `doing`."""
    what = f"the {database.engine} database {database.name!r} could not be {doing}"
    if failure := in_container.explain(database, said, what):
        return failure
    if _LOGIN.search(said):
        return StepFailed(f"{what}: the server refuses the login. Check user and credentials. It said: {said}")
    if _MISSING.search(said):
        return TargetFailed(f"{what}: {said}. Correct `name`")
    if _UNREACHABLE.search(said):
        return InfrastructureFailed(f"{what}: the server cannot be reached, or went away. It said: {said}")
    return StepFailed(f"{what}: the program ended with {ending}. It said: {said}")


def _quoted(value: str) -> str:
    """Quote a value of an option file."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
