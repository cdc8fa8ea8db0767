"""dpkg's frontend lock: whoever changes packages takes it first, and others wait."""

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from pilotage_plugin_api import InfrastructureFailed, StepContext, TargetFailed

FRONTEND: Final = Path("/var/lib/dpkg/lock-frontend")
ITS_CALLER_HAS_IT: Final[Mapping[str, str]] = {"DPKG_FRONTEND_LOCKED": "true"}
_EVERY: Final = 0.25
_FLOCK: Final = "hhqqi0q"
"""C's `struct flock`: type, whence, start, length, process."""


@contextlib.asynccontextmanager
async def frontend_lock(ctx: StepContext, seconds: float, path: Path = FRONTEND) -> AsyncIterator[Mapping[str, str]]:
    """Hold dpkg's frontend lock; gives the environment that tells dpkg so.

    Raises InfrastructureFailed, naming who has the lock, when it is not free within so many seconds. The lock belongs
    to this process: it ends with it, and one process must not take it twice at a time.
    """
    try:
        lock = await asyncio.to_thread(os.open, path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise TargetFailed(f"cannot open dpkg's lock {path}: {error.strerror}; is the agent root?") from error
    try:
        await _take(ctx, lock, path, seconds)
        yield ITS_CALLER_HAS_IT
    finally:
        os.close(lock)


async def _take(ctx: StepContext, lock: int, path: Path, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    told = ""
    while not _taken(lock):
        holder = _holder(lock)
        if time.monotonic() >= give_up:
            raise InfrastructureFailed(f"Could not get lock {path} within {seconds:g} s: {holder} has it")
        if holder != told:
            ctx.log(f"waiting at most {seconds:g} s for {holder}, which has dpkg's lock")
            ctx.progress(None, f"waiting for {holder}"[:200])
            told = holder
        await ctx.sleep(_EVERY)


def _taken(lock: int) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise InfrastructureFailed(f"dpkg's lock cannot be taken: {error.strerror}") from error
    return True


def _holder(lock: int) -> str:
    """Return the process that has the lock, as people know it."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, process, *_ = struct.unpack(_FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    if kind == fcntl.F_UNLCK or process <= 0:
        return "another program"
    with contextlib.suppress(OSError):
        # Its arguments would tell more than the log may know.
        return f"process {process} ({Path('/proc', str(process), 'comm').read_text().strip()})"
    return f"process {process}"
