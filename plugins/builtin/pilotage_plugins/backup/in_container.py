"""A database server in a container: its own programs are run there, by the docker program of this host."""

from collections.abc import Mapping
from typing import Final

from pilotage_plugin_api import SecretRef, StepContext, StepError, TargetFailed

from pilotage_plugins.backup.server import Database, Login
from pilotage_plugins.container.connection import docker_environment, reach, socket_of

_HOLD: Final = """
exec 3<&0
"$@" </dev/null 3<&- & program=$!
{ cat <&3 >/dev/null; kill "$program"; } >/dev/null 2>&1 & leash=$!
exec 3<&-
wait "$program"; status=$?
kill "$leash" 2>/dev/null
exit "$status"
"""
LEASH: Final = ("sh", "-c", _HOLD, "sh")
"""Docker ends no program in a container when its caller goes. This one ends when its standard input does, which the
caller holds open, and which the kernel closes however the caller ends."""


async def log_in(
    ctx: StepContext,
    database: Database,
    credentials: SecretRef | None,
    variables: Mapping[str, str],
    password: str,
    own: str,
) -> Login:
    """Return how programs are started in the container with these variables, and the password in the one that is named
    so; raises StepError when there is no engine. `own`: shell lines that complete the login from what the container's
    image was told, which never leaves it.

    The password goes from the docker program's environment into the program's: neither is in any list of arguments.
    """
    container = str(database.container)
    socket = socket_of(None, ctx)
    await reach(socket)
    given = dict(variables)
    if credentials is not None:
        given[password] = (await ctx.secret(credentials)).decode().rstrip("\n")
    user = [f"--user={database.run_as}"] if database.run_as else []
    prefix = ["docker", "exec", "--interactive", *(f"--env={name}" for name in given), *user, "--", container]
    prefix += ["sh", "-c", f'{own}\nexec "$@"', "sh"]
    return Login(prefix, {**given, **await docker_environment(socket)}, leash=LEASH)


async def has_program(ctx: StepContext, login: Login, name: str) -> bool:
    """Say whether the container has a program."""
    asked = ["sh", "-c", 'command -v "$1" >/dev/null', "sh", name]
    return (await ctx.program([*login.prefix, *asked], env=login.env)).exit_code == 0


def explain(database: Database, said: str, what: str) -> StepError | None:
    """Return the error when it is the container that failed, and not a program in it."""
    if not database.container:
        return None
    if "No such container" in said:
        return TargetFailed(f"{what}: there is no container {database.container} on this host. Correct `container`")
    if "is not running" in said or "is paused" in said:
        return TargetFailed(f"{what}: the container {database.container} does not run, so its server cannot be asked")
    if "executable file not found" in said or ": not found" in said:
        return TargetFailed(f"{what}: the container {database.container} lacks a program for it. Docker said: {said}")
    return None
