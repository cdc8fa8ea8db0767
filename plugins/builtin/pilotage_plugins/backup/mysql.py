"""MySQL and MariaDB: how their programs are started, and what their errors mean."""

import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from pilotage_plugin_api import InfrastructureFailed, SecretRef, StepContext, StepError, StepFailed, TargetFailed

from pilotage_plugins.backup.server import Database, Login, password_memory, switch_user, system_user

DUMP_OPTIONS: Final = (
    *("--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"),
    *("--default-character-set=utf8mb4", "--no-tablespaces", "--comments", "--dump-date"),
)
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


def program(names: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Return the first of these programs that the host has, MariaDB's name or MySQL's; the last when it has none."""
    return next((name for name in names if shutil.which(name, path=environment.get("PATH"))), names[-1])


def dump_program(environment: Mapping[str, str]) -> str:
    """Return the name of the dump program."""
    return program(("mariadb-dump", "mysqldump"), environment)


def client_program(environment: Mapping[str, str]) -> str:
    """Return the name of the client."""
    return program(("mariadb", "mysql"), environment)


def snapshot_path(database: Database) -> str:
    """Return the path of the dump within its snapshot; without folders, as restic 0.18.0 takes a stream only so."""
    return f"/mysql-{database.place}-{quote(database.name, safe=' ')}.sql"


@asynccontextmanager
async def login(ctx: StepContext, database: Database, credentials: SecretRef | None) -> AsyncIterator[Login]:
    """Prepare the first arguments: with a password an option file in memory, which must come before all others."""
    user = system_user(database)
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
            yield Login(switch_user(user), fds=(handle,), arguments=(f"--defaults-extra-file=/proc/self/fd/{handle}",))
            return
        plain = tuple(f"--{name}={value}" for name, value in lines)
        yield Login(switch_user(user), arguments=plain)


def explain(database: Database, said: str, ending: str, doing: str = "dumped") -> StepError:
    """Return the error for a program of MySQL that failed while the database was being `doing`."""
    what = f"the {database.engine} database {database.name!r} could not be {doing}"
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
