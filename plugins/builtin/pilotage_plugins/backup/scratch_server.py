"""What scratch servers of every engine share: a folder of their own, and a process that ends with the attempt."""

import asyncio
import contextlib
import os
import pwd
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext, StepFailed, TargetFailed

from pilotage_plugins.backup.server import switch_user

READY_SECONDS: Final = 60.0


def make_folder(folder: Path, engine: str, users: Sequence[str]) -> list[str]:
    """Make an empty folder for a server; returns what to put before its programs. Blocking.

    As root the programs run as the first of these users that there is: a dump is somebody else's text, and neither a
    server nor its client may read it with root's rights. Raises TargetFailed when the host has none of them.
    """
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    try:
        folder.mkdir(mode=0o700)
        if os.geteuid() != 0:
            return []
        user = _first(users)
        if user is None:
            raise TargetFailed(f"a {engine} server does not run as root, and there is no user `{users[0]}`")
        os.chown(folder, user.pw_uid, user.pw_gid)
    except OSError as error:
        raise TargetFailed(f"cannot make {str(folder)!r}: {error.strerror}") from error
    return switch_user(user)


@asynccontextmanager
async def serving(
    ctx: StepContext, engine: str, argv: Sequence[str | Path], folder: Path, is_ready: Callable[[], Awaitable[bool]]
) -> AsyncIterator[None]:
    """Run a server while the body runs, which begins once the server answers; raises StepFailed when it never does."""
    running = asyncio.create_task(ctx.program(argv, cwd=folder))
    try:
        give_up = ctx.clock() + READY_SECONDS
        while not await is_ready():
            if running.done() or ctx.clock() >= give_up:
                raise StepFailed(f"the scratch {engine} server did not start; its words are in the log")
            await ctx.sleep(0.1)
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def _first(users: Sequence[str]) -> pwd.struct_passwd | None:
    for name in users:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None
