"""Snapshots of any file or folder by copying it: clones where the file system can share blocks, plain copies else."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext, StepFailed, TargetFailed

from pilotage_plugins.snapshot.backend import Method, Wish
from pilotage_plugins.snapshot.place import Place
from pilotage_plugins.snapshot.store import STORE_NAME, About
from pilotage_plugins.snapshot.thread import finished_in_thread
from pilotage_plugins.tree.copying import Copied, TreeCopy
from pilotage_plugins.tree.deletion import delete_tree
from pilotage_plugins.tree.nesting import nested_in
from pilotage_plugins.tree.system_calls import clone, inode_identity
from pilotage_plugins.tree.walk import Walk

CLONING: Final = frozenset({"btrfs", "xfs", "bcachefs", "ocfs2"})
"""File systems that can clone; xfs only when it was made so, which is found out when a clone is tried."""

OVERHEAD: Final = 1.05
_PER_ENTRY: Final = 4096
_BLOCK: Final = 512


class CopiedTrees:
    """Makes trees by copying."""

    method: Final = Method.COPY

    async def missing(self, ctx: StepContext) -> str:
        """It needs nothing."""
        return ""

    async def misfit(self, ctx: StepContext, place: Place) -> str:
        """Everything can be copied."""
        return ""

    async def nested(self, ctx: StepContext, place: Place) -> list[str]:
        """Look for other file systems and subvolumes."""
        if not place.path.is_dir():
            return []
        return await finished_in_thread(lambda: nested_in(place.path, ctx.checkpoint))

    async def outlook(self, ctx: StepContext, place: Place) -> str:
        """Measure it; where the file system cannot clone, look for room."""
        needed = await finished_in_thread(lambda: room_for(place.path, ctx.checkpoint))
        if place.mount.type in CLONING:
            return f"clones of {needed} bytes on {place.mount.type}: they share their blocks until one side changes"
        check_room(place.path, needed, place.path.parent)
        return f"a copy of {needed} bytes"

    async def keep(self, ctx: StepContext, source: Path, data: Path, about: About, wish: Wish) -> About:
        """Copy it, and refuse a copy that nobody can vouch for."""
        copied = await self._copy(ctx, source, data)
        if copied.changed and not wish.accept_changes:
            raise StepFailed(
                f"{copied.changed} entries of {str(source)!r} changed while they were copied, such as"
                f" {', '.join(copied.changed_names[:3])}: a copy of them may be neither the old state nor the new one."
                " Stop what writes there, or set accept_changes: true"
            )
        return about.model_copy(
            update={
                "bytes": copied.bytes,
                "files": copied.files,
                "cloned": copied.cloned,
                "left_out": tuple(sorted({*about.left_out, *copied.left_out})),
            }
        )

    async def renew(self, ctx: StepContext, data: Path, into: Path, about: About) -> About:
        """Copy the copy."""
        copied = await self._copy(ctx, data, into)
        return about.model_copy(update={"bytes": copied.bytes, "files": copied.files, "cloned": copied.cloned})

    async def identity(self, ctx: StepContext, tree: Path) -> str:
        """Ask for the inode."""
        return inode_identity(tree)

    async def delete(self, ctx: StepContext, tree: Path) -> None:
        """Delete it; nothing stops that half-way but a kill, after which it is begun again."""
        await finished_in_thread(lambda: delete_tree(tree))

    async def _copy(self, ctx: StepContext, source: Path, target: Path) -> Copied:
        def work() -> Copied:
            needed = room_for(source, ctx.checkpoint)
            if not can_clone(target.parent):
                check_room(source, needed, target.parent)

            def progress(copied: Copied) -> None:
                done = min(copied.bytes / needed, 1.0) if needed else None
                ctx.progress(done, f"{copied.entries} entries, {copied.bytes} bytes")

            return TreeCopy(ctx.checkpoint, progress, STORE_NAME).copy(os.fsencode(source), os.fsencode(target))

        return await finished_in_thread(work)


def room_for(path: Path, checkpoint: Callable[[], None]) -> int:
    """Return the bytes that a plain copy would take: holes take none, names of one file share it. Blocking."""
    total, shared = 0, set()
    for found in Walk(os.fsencode(path), one_file_system=True, checkpoint=checkpoint).entries():
        if stat.S_ISREG(found.stat.st_mode):
            if found.stat.st_nlink > 1:
                inode = (found.stat.st_dev, found.stat.st_ino)
                if inode in shared:
                    continue
                shared.add(inode)
            total += min(found.stat.st_size, found.stat.st_blocks * _BLOCK)
        total += _PER_ENTRY
    return total


def check_room(source: Path, needed: int, folder: Path) -> None:
    """Raise TargetFailed when a copy of so many bytes does not fit into the folder's file system. Blocking."""
    free = shutil.disk_usage(folder).free
    if needed * OVERHEAD > free:
        raise TargetFailed(
            f"a copy of {str(source)!r} takes {needed} bytes, and {str(folder)!r} has {free} free: make room, or remove"
            " old snapshots with snapshot.remove"
        )


def can_clone(folder: Path) -> bool:
    """Whether files in the folder can share blocks: tried on a small one. Blocking."""
    one, other = folder / "clone-from", folder / "clone-to"
    try:
        one.write_bytes(bytes(_PER_ENTRY))
        with one.open("rb") as source, other.open("wb") as target:
            return clone(source.fileno(), target.fileno())
    except OSError:
        return False
    finally:
        one.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
