"""PostgreSQL: how its programs are started, and what their errors mean."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pilotage_plugin_api import InfrastructureFailed, SecretRef, StepContext, StepError, StepFailed, TargetFailed

from pilotage_plugins.backup import in_container
from pilotage_plugins.backup.server import Database, Login, password_memory, switch_user, system_user

DUMP: Final = ("pg_dump", "--format=custom", "--compress=0", "--no-password")
"""Not compressed: restic finds what did not change, and compresses the rest itself."""

_SUPERUSER: Final = 'export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}"'
"""As the official image calls it."""

_UNREACHABLE: Final = re.compile(
    r"connection refused|could not connect|is the server running|timeout expired|server closed the connection"
    r"|starting up|shutting down|terminating connection|too many clients|could not translate host|no route to host",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(
    r"password authentication failed|no password supplied|peer authentication failed|pg_hba\.conf", re.IGNORECASE
)
_MISSING: Final = re.compile(r'database ".*" does not exist')
_RIGHTS: Final = re.compile(r"permission denied|must be owner of|must be member of role|must be superuser")
_RIGHTS_TO_LOAD: Final = "Load as a superuser, or as an owner of the database that may make databases (CREATEDB)"
_NO_ROLE: Final = re.compile(r'ERROR:\s+role "(.+?)" does not exist')
_IN_USE: Final = re.compile(r"is being accessed by other users")


def snapshot_path(database: Database) -> str:
    """Return the path of the dump within its snapshot; without folders, as restic 0.18.0 takes a stream only so."""
    return f"/postgresql-{database.place}-{quote(database.name, safe=' ')}.dump"


@asynccontextmanager
async def login(ctx: StepContext, database: Database, credentials: SecretRef | None) -> AsyncIterator[Login]:
    """Prepare the environment of libpq. The name goes there, too: as an argument it could be a connection string."""
    user = system_user(database)
    env = {"PGDATABASE": database.name, "PGCONNECT_TIMEOUT": "20", "PGAPPNAME": "pilotage"}
    if database.container:
        env |= {"PGUSER": database.user} if database.user else {}
        env |= {"PGPORT": str(database.port)} if database.port else {}
        yield await in_container.log_in(ctx, database, credentials, env, "PGPASSWORD", _SUPERUSER)
        return
    if database.path:
        env |= {"PGHOST": str(Path(database.path).parent), "PGPORT": database.place}
    else:
        env |= {"PGHOST": str(database.host), "PGPORT": database.place.rpartition(":")[2]}
    if database.user:
        env["PGUSER"] = database.user
    async with password_memory(ctx, credentials, user, _password_line) as handle:
        if handle is not None:
            env["PGPASSFILE"] = f"/proc/self/fd/{handle}"
        yield Login(switch_user(user), env, () if handle is None else (handle,))


def explain(database: Database, said: str, ending: str, doing: str = "dumped") -> StepError:
    """Return the error for a program of PostgreSQL that failed while the database was being `doing`."""
    what = f"the PostgreSQL database {database.name!r} could not be {doing}"
    if failure := in_container.explain(database, said, what):
        return failure
    if _LOGIN.search(said):
        return StepFailed(f"{what}: the server refuses the login. Check user, run_as and credentials. It said: {said}")
    if _MISSING.search(said):
        return TargetFailed(f"{what}: {said}. Correct `name`, or let discovery.data find the databases")
    if _RIGHTS.search(said):
        cure = "Dump as its owner, or grant the role pg_read_all_data" if doing == "dumped" else _RIGHTS_TO_LOAD
        return StepFailed(f"{what}: {said}. {cure}")
    if found := _NO_ROLE.search(said):
        return TargetFailed(
            f"{what}: the server has no role {found[1]!r}, which owns or may use something in it. Roles are not part of"
            f" a dump: make them, or set owners: false. It said: {said}"
        )
    if _IN_USE.search(said):
        return TargetFailed(f"{what}: {said}. Stop what uses it, and start the step again")
    if _UNREACHABLE.search(said):
        return InfrastructureFailed(f"{what}: the server cannot be reached, or went away. It said: {said}")
    return StepFailed(f"{what}: the program ended with {ending}. It said: {said}")


def _password_line(password: str) -> str:
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"
