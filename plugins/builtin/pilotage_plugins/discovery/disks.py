"""`discovery.disks`: the file systems of a host, and how full they are."""

import asyncio
import os
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_plugin_api import Effect, StepContext, StepOutputs, StepParams, StepType
from pydantic import Field

from pilotage_plugins.discovery.room import fitting

MOUNTS: Final = Path("/proc/self/mounts")
ANSWER_SECONDS: Final = 5.0
HOLDING_DATA: Final = frozenset(
    (
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "f2fs",
        "bcachefs",
        "overlay",
        "nfs",
        "nfs4",
        "cifs",
        "ceph",
        "vfat",
    )
)
"""Kinds of file systems that hold data; `overlay` is the root of a container."""


class DisksParams(StepParams):
    """Which file systems."""

    all: bool = Field(False, description="Also those of the kernel and in memory, such as tmpfs")


class FoundDisk(StepOutputs):
    """A mounted file system; each device is told once, where it was mounted first. Sizes in bytes; `free` is what
    others than root may take."""

    mount: str
    device: str
    type: str
    read_only: bool
    bytes: int
    used: int
    free: int
    inodes_free: int


class DisksOutputs(StepOutputs):
    """By mount point. `silent`: mount points that did not answer, such as of a server that is gone."""

    disks: tuple[FoundDisk, ...]
    silent: tuple[str, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of the kernel's table."""

    device: str
    path: str
    type: str
    read_only: bool


class DiscoveryDisks(StepType[DisksParams, DisksOutputs]):
    """Find the file systems of a host that hold data: where they are mounted, how large they are, what is free."""

    name = "discovery.disks"
    effect = Effect.READ
    Params = DisksParams
    Outputs = DisksOutputs

    async def run(self, ctx: StepContext, params: DisksParams) -> DisksOutputs:
        """Ask every file system."""
        table = await asyncio.to_thread(MOUNTS.read_text, errors="surrogateescape")
        disks, silent = await asyncio.to_thread(ask, mounts_of(table, all=params.all))
        told, left_out = fitting(disks)
        return DisksOutputs(disks=told, silent=tuple(silent), left_out=left_out)


def mounts_of(table: str, *, all: bool) -> list[Mount]:
    """Return the mounts to ask for, by path; of several with one device the first."""
    found: dict[str, Mount] = {}
    for line in table.splitlines():
        device, path, kind, options = (_unescaped(part) for part in line.split()[:4])
        if all or kind in HOLDING_DATA:
            key = device if kind in HOLDING_DATA else path
            found.setdefault(key, Mount(device, path, kind, "ro" in options.split(",")))
    return sorted(found.values(), key=lambda mount: mount.path)


def ask(mounts: Iterable[Mount]) -> tuple[list[FoundDisk], list[str]]:
    """Return what the file systems say, and which are silent. Blocking, for a few seconds.

    One whose server is gone blocks whoever asks for ever, so each is asked on a thread that nobody waits for longer.
    One that still hangs from an earlier time is not asked again: a worker lives on, and one thread for it is enough.
    """
    found: dict[str, FoundDisk | None] = {}
    asking = [
        (mount, threading.Thread(target=_ask_one, args=(mount, found), name=f"statvfs {mount.path}", daemon=True))
        for mount in mounts
    ]
    hanging = {thread.name for thread in threading.enumerate()}
    waited_for = [thread for _, thread in asking if thread.name not in hanging]
    for thread in waited_for:
        thread.start()
    give_up = time.monotonic() + ANSWER_SECONDS
    for thread in waited_for:
        thread.join(max(0.0, give_up - time.monotonic()))
    answers = [(mount, found.get(mount.path, mount)) for mount, _ in asking]
    disks = [answer for _, answer in answers if isinstance(answer, FoundDisk)]
    return disks, [_shown(mount.path) for mount, answer in answers if isinstance(answer, Mount)]


def _ask_one(mount: Mount, found: dict[str, FoundDisk | None]) -> None:
    try:
        status = os.statvfs(mount.path)
    except OSError:
        found[mount.path] = None  # not ours to look at, or gone meanwhile
        return
    if status.f_blocks == 0:
        found[mount.path] = None
        return
    found[mount.path] = FoundDisk(
        mount=_shown(mount.path),
        device=_shown(mount.device),
        type=mount.type,
        read_only=mount.read_only,
        bytes=status.f_blocks * status.f_frsize,
        used=(status.f_blocks - status.f_bfree) * status.f_frsize,
        free=status.f_bavail * status.f_frsize,
        inodes_free=status.f_favail,
    )


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


def _unescaped(part: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), part)
