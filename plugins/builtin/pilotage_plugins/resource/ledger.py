"""The ledger of a host: which shares are promised to whom. One small file, changed whole, under a lock."""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from pilotage_plugin_api import InfrastructureFailed, StepContext, StepOutputs, TargetFailed
from pydantic import ValidationError

from pilotage_plugins.file.placement import place
from pilotage_plugins.note.shelf import state_folder
from pilotage_plugins.resource.share import Allocation

MOST_ALLOCATIONS: Final = 1000
LOCK_POLL_SECONDS: Final = 0.1


class Ledger(StepOutputs):
    """What is promised, by name."""

    version: int = 1
    allocations: tuple[Allocation, ...] = ()

    def named(self, name: str) -> Allocation | None:
        """Return the share of this name."""
        return next((share for share in self.allocations if share.name == name), None)

    def without(self, name: str) -> "Ledger":
        """Return the ledger without a share."""
        return Ledger(allocations=tuple(share for share in self.allocations if share.name != name))

    def having(self, share: Allocation) -> "Ledger":
        """Return the ledger with a share more; raises TargetFailed when it is full."""
        if len(self.allocations) >= MOST_ALLOCATIONS:
            raise TargetFailed(f"this host's ledger holds {MOST_ALLOCATIONS} allocations: release what is not needed")
        return Ledger(allocations=(*self.allocations, share))


def ledger_file() -> Path:
    """Return where the ledger lies."""
    return state_folder() / "allocations.json"


def read_ledger() -> Ledger:
    """Return the ledger; blocking. Raises TargetFailed for one that cannot be read: nobody would know what it says."""
    path = ledger_file()
    try:
        return Ledger.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Ledger()
    except (OSError, ValidationError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is no ledger of this version"
        raise TargetFailed(
            f"the ledger of allocations {str(path)!r} cannot be read: {what}. Look at it; move it away to begin anew,"
            " with nothing promised"
        ) from error


def write_ledger(ledger: Ledger) -> None:
    """Replace the ledger, whole and on the disk. With the lock held. Blocking."""
    place(ledger_file(), ledger.model_dump_json().encode(), 0o600, -1, -1, "ledger")


@asynccontextmanager
async def locked(ctx: StepContext) -> AsyncIterator[None]:
    """Hold the ledger alone; the lock goes with the process."""
    lock = ledger_file().with_suffix(".lock")
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InfrastructureFailed(f"cannot lock the ledger at {str(lock)!r}: {error.strerror}") from error
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await ctx.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(handle)
