"""A database server: how it is reached, and as whom; the password only ever lies in memory."""

import os
import pwd
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from pilotage_plugin_api import SecretRef, StepContext, StepParams, TargetFailed
from pydantic import Field, field_validator, model_validator

from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.container.naming import ContainerName


class Engine(StrEnum):
    """The engines that can be backed up. `mariadb` and `mysql` are treated alike."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    MARIADB = "mariadb"


DEFAULT_PORTS: Final = {Engine.POSTGRESQL: 5432, Engine.MYSQL: 3306, Engine.MARIADB: 3306}


_STORED: Final = re.compile(r"/(?:postgresql|mysql)-(?:[^/:]*:)?\d+-([^/:]+)\.(?:dump|sql)")
"""The path of a server's dump; see `snapshot_path` of each engine. Colons stand nowhere but before the port."""


class Database(StepParams):
    """A database, as `discovery.data` finds it."""

    engine: Engine
    name: str = Field(min_length=1, max_length=4096, description="Of a server: the database's own name")
    path: PlainPath | None = Field(
        None, description="The file of a SQLite database; the socket of a server on this host (/run/.../.s.PGSQL.5432)"
    )
    container: ContainerName | None = Field(
        None, description="The container of this host in which the server runs; its own programs are used"
    )
    host: str | None = Field(None, min_length=1, max_length=255, description="A server that is reached by network")
    port: int | None = Field(None, ge=1, le=65535)
    user: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="The database user; in a container its superuser, with the password that its image was told",
    )
    run_as: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="System user of the dump program, in a container the container's (PostgreSQL: the socket's owner)",
    )
    bytes: int | None = Field(None, description="Its size when it was found")

    @field_validator("name", "host", "user")
    @classmethod
    def _one_line(cls, text: str | None) -> str | None:
        if text is not None and any(character in text for character in "\0\n\r"):
            raise ValueError("holds a line break or a NUL byte")
        return text

    @model_validator(mode="after")
    def _reachable(self) -> "Database":
        of_a_server = self.container or self.host or self.port or self.user or self.run_as
        if self.engine is Engine.SQLITE and (not self.path or of_a_server):
            raise ValueError("a SQLite database has a path, and neither container, host, port, user nor run_as")
        if self.engine is not Engine.SQLITE and [self.path, self.container, self.host].count(None) != 2:
            raise ValueError("a server has either a path (its socket), a container or a host")
        return self

    @property
    def place(self) -> str:
        """Where it lives, as part of a path in a snapshot: the port of a server here, host:port, or container=NAME:port
        (no host's name has an equals sign there)."""
        port = self.port or socket_port(self.path) or DEFAULT_PORTS.get(self.engine, 0)
        if self.container:
            return f"container={quote(self.container, safe='')}:{port}"
        return f"{quote(self.host, safe='')}:{port}" if self.host else str(port)


@dataclass(frozen=True, slots=True)
class Login:
    """How a client program of the server is started: what stands before it, its first arguments, its environment, and
    the descriptors to pass.

    `leash` stands before a program that only writes, and ends it when its standard input does; empty where a program
    ends with its worker anyway. `client` and `dumper`: the names of the programs, where engines call them differently.
    """

    prefix: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    fds: Sequence[int] = ()
    arguments: Sequence[str] = ()
    leash: Sequence[str] = ()
    client: str = ""
    dumper: str = ""


def database_name(stored: str) -> str:
    """Return the name of the database that was stored under this path in a snapshot; a SQLite file is its own name."""
    found = _STORED.fullmatch(stored)
    return unquote(found[1]) if found else stored


def socket_port(path: str | None) -> int | None:
    """Return the port in the name of a PostgreSQL socket; None when there is none."""
    ending = (path or "").rpartition(".s.PGSQL.")[2]
    return int(ending) if path and ".s.PGSQL." in path and ending.isdecimal() else None


def system_user(database: Database) -> pwd.struct_passwd | None:
    """Return the user to run the client as; None for our own.

    A PostgreSQL that trusts the system's users knows the owner of its socket as its superuser.
    """
    if os.geteuid() != 0 or database.container:
        return None
    try:
        if database.run_as:
            return pwd.getpwnam(database.run_as)
        if database.engine is Engine.POSTGRESQL and database.path and not database.user:
            owner = Path(database.path).stat().st_uid
            return pwd.getpwuid(owner) if owner else None
    except KeyError as error:
        raise TargetFailed(f"there is no system user {database.run_as or 'of that number'} on this host") from error
    except OSError as error:
        raise TargetFailed(f"the socket {database.path!r} cannot be looked at: {error.strerror}") from error
    return None


def switch_user(user: pwd.struct_passwd | None) -> list[str]:
    """Return what to put before a program to run it as this user, with none of our rights."""
    if user is None:
        return []
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups", "--"]


@asynccontextmanager
async def password_memory(
    ctx: StepContext, credentials: SecretRef | None, user: pwd.struct_passwd | None, wrap: Callable[[str], str]
) -> AsyncIterator[int | None]:
    """Give a descriptor of a file in memory with the password in the client's own form; None without credentials.

    It belongs to the user that the client runs as, with mode 0400.
    """
    if credentials is None:
        yield None
        return
    content = wrap((await ctx.secret(credentials)).decode().rstrip("\n"))
    handle = os.memfd_create("pilotage-database", os.MFD_CLOEXEC)
    try:
        os.write(handle, content.encode())
        os.lseek(handle, 0, os.SEEK_SET)
        os.fchmod(handle, 0o400)
        if user is not None:
            os.fchown(handle, user.pw_uid, user.pw_gid)
        yield handle
    finally:
        os.close(handle)
