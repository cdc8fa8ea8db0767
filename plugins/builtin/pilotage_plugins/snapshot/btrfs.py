"""Snapshots of btrfs subvolumes: instant, and they share everything with the original until it changes."""

import os
import re
import stat
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext

from pilotage_plugins.snapshot.asked import answer_of, lacking
from pilotage_plugins.snapshot.backend import Method, Wish
from pilotage_plugins.snapshot.place import SUBVOLUME_INODE, Place
from pilotage_plugins.snapshot.store import About
from pilotage_plugins.snapshot.thread import finished_in_thread
from pilotage_plugins.tree.deletion import delete_tree
from pilotage_plugins.tree.system_calls import inode_identity

_LISTED: Final = re.compile(r"^ID \d+ .* path (.*)$", re.MULTILINE)


class BtrfsTrees:
    """Makes and deletes subvolumes with the program btrfs."""

    method: Final = Method.BTRFS

    async def missing(self, ctx: StepContext) -> str:
        """Look for the program; only root may make and delete subvolumes everywhere."""
        return await lacking(ctx, ["btrfs", "--version"], "btrfs-progs")

    async def misfit(self, ctx: StepContext, place: Place) -> str:
        """Only a subvolume has snapshots."""
        if not place.there or place.is_subvolume:
            return ""
        return (
            "it is a plain folder, not a subvolume" if place.mount.type == "btrfs" else f"it lies on {place.mount.type}"
        )

    async def nested(self, ctx: StepContext, place: Place) -> list[str]:
        """List the subvolumes in it."""
        listed = await answer_of(ctx, "btrfs", "subvolume", "list", "-o", str(place.path))
        return nested_subvolumes(listed, str(place.path))

    async def outlook(self, ctx: StepContext, place: Place) -> str:
        """It takes no room to begin with."""
        return "a read-only btrfs snapshot"

    async def keep(self, ctx: StepContext, source: Path, data: Path, about: About, wish: Wish) -> About:
        """Make a read-only snapshot."""
        await answer_of(ctx, "btrfs", "subvolume", "snapshot", "-r", str(source), str(data))
        return about

    async def renew(self, ctx: StepContext, data: Path, into: Path, about: About) -> About:
        """Make a writable snapshot of the snapshot."""
        await answer_of(ctx, "btrfs", "subvolume", "snapshot", str(data), str(into))
        return about

    async def identity(self, ctx: StepContext, tree: Path) -> str:
        """Ask for the subvolume's number, which is never used again; a plain folder may have come to its place."""
        if not is_subvolume(tree):
            return inode_identity(tree)
        return f"subvolume {(await answer_of(ctx, 'btrfs', 'inspect-internal', 'rootid', str(tree))).strip()}"

    async def delete(self, ctx: StepContext, tree: Path) -> None:
        """Delete the subvolume."""
        if not os.path.lexists(tree):
            return
        if is_subvolume(tree):
            await answer_of(ctx, "btrfs", "subvolume", "delete", str(tree))
        else:
            await finished_in_thread(lambda: delete_tree(tree))


def is_subvolume(tree: Path) -> bool:
    """Whether a folder on btrfs is a subvolume; raises OSError when there is nothing."""
    status = os.lstat(tree)
    return stat.S_ISDIR(status.st_mode) and status.st_ino == SUBVOLUME_INODE


def nested_subvolumes(listed: str, path: str) -> list[str]:
    """Read `btrfs subvolume list -o`, whose paths begin at the top of the file system: the part from the path's own
    name on says where in the path they lie."""
    name = os.path.basename(path)  # noqa: PTH119 - the text of any path
    return [f"{path}/{found.rpartition(f'{name}/')[2]}" for found in _LISTED.findall(listed)]
