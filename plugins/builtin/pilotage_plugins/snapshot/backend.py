"""What every way of keeping a state of data can do; one module each: `btrfs`, `copy`, `lvm`, `zfs`."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pilotage_plugin_api import StepContext, StepOutputs

from pilotage_plugins.snapshot.place import Place


class Method(StrEnum):
    """How a state is kept."""

    BTRFS = "btrfs"
    ZFS = "zfs"
    LVM = "lvm"
    COPY = "copy"


class Kind(StrEnum):
    """Why a state is kept: a snapshot that was asked for, or what a restore or an arrival put aside."""

    SNAPSHOT = "snapshot"
    KEPT = "kept"


class Snapshot(StepOutputs):
    """A state that is kept. `whole`: it is complete; one that is not was cut off, and counts for nothing.

    `execution` and `step_run` made it. `bytes` and `files` are known of copies; `cloned` of them share their blocks
    with the original. `left_out`: what lies inside the path on other file systems or subvolumes and is not in it.
    """

    id: str
    kind: Kind
    method: Method
    path: str
    where: str
    made_at: str
    whole: bool
    execution: str
    step_run: str
    bytes: int | None = None
    files: int | None = None
    cloned: int | None = None
    left_out: tuple[str, ...] = ()


class Restored(StepOutputs):
    """What came back. `kept`: the id of what was there before, put aside, or of the note that nothing was
    (`was_there`); None when it was not kept. `identity` tells the restored tree from any other."""

    snapshot: str
    method: Method
    path: str
    kept: str | None
    was_there: bool
    identity: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """How a snapshot should be made."""

    leave_out_nested: bool = False
    accept_changes: bool = False
    share: int = 20


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a snapshot would take, found out without making it. `nested`: what would not be in it."""

    where: str
    note: str
    nested: tuple[str, ...] = ()


class Backend(Protocol):
    """One way of keeping states of paths.

    All calls but `create`, `remove`, `restore` and `put_back` only read. An identity (`snapshot_id`) is made from the
    attempt's key, so that a repeated call finds the work of the first; each call bears being cut off at any point and
    repeated. Raises TargetFailed, StepFailed or InfrastructureFailed (a full disk) with the path.
    """

    @property
    def method(self) -> Method:
        """What it is called by."""

    @property
    def tells_restored(self) -> bool:
        """Whether `restored` always knows; otherwise its None means nothing."""

    async def missing(self, ctx: StepContext) -> str:
        """Say what this host lacks for it; empty when nothing."""

    async def misfit(self, ctx: StepContext, place: Place) -> str:
        """Say why this path is not one for it; empty when it is."""

    async def outlook(self, ctx: StepContext, place: Place, wish: Wish) -> Outlook:
        """Say what `create` would do; raises what it would raise as far as can be known."""

    async def create(self, ctx: StepContext, place: Place, wish: Wish) -> Snapshot:
        """Make the snapshot of this attempt, or find it; remove what earlier attempts of the step run left."""

    async def snapshots(self, ctx: StepContext, place: Place) -> list[Snapshot]:
        """Return what is kept of the path, in no order."""

    async def remove(self, ctx: StepContext, place: Place, snapshot: Snapshot) -> None:
        """Remove one; it need not be there any more."""

    async def restore(self, ctx: StepContext, place: Place, snapshot: Snapshot, *, keep_current: bool) -> Restored:
        """Bring the path back to what it was; the snapshot stays for another time where the system lets it."""

    async def restored(self, ctx: StepContext, place: Place, attempt: str) -> Restored | None:
        """Return what an interrupted attempt of `restore` brought about; None when it changed nothing."""

    async def put_back(self, ctx: StepContext, place: Place, restored: Restored) -> None:
        """Undo a restore: what was there comes back, what was restored goes. Twice is once."""


def snapshot_id(attempt: str) -> str:
    """Return the identity of what an attempt makes: 16 hexadecimal digits."""
    return hashlib.sha256(attempt.encode()).hexdigest()[:16]


def step_run_of(attempt: str) -> str:
    """Return the step run of an attempt's key."""
    return attempt.rpartition("/")[0] or attempt


def execution_of(attempt: str) -> str:
    """Return the execution of an attempt's key."""
    return attempt.partition("/")[0]
