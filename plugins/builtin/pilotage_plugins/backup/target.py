"""The place where a restore puts things: what is there already, making way, and taking the restored away again."""

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api import StepContext, TargetFailed

from pilotage_plugins.backup.moment import parse_time
from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.snapshots import Snapshot

OCCUPIED_NAMED: Final = 5
_ROUNDING_NS: Final = 1000


class TargetWas(StrEnum):
    """What was at the target before a restore."""

    MISSING = "missing"
    EMPTY = "empty"
    OCCUPIED = "occupied"


def look_at_target(path: str) -> TargetWas:
    """Say what is there; blocking. Raises TargetFailed when it is no folder, or cannot be looked into."""
    try:
        return TargetWas.OCCUPIED if any(Path(path).iterdir()) else TargetWas.EMPTY
    except FileNotFoundError:
        return TargetWas.MISSING
    except OSError as error:
        raise TargetFailed(f"cannot restore into {path!r}: {error.strerror}") from error


def remove_if_empty(path: str) -> None:
    """Remove a folder that holds nothing; any other stays. Blocking."""
    with contextlib.suppress(OSError):
        Path(path).rmdir()


async def take_away(ctx: StepContext, restic: Restic, snapshot: Snapshot, target: str, include: tuple[str, ...]) -> int:
    """Remove what a restore put into an empty folder; returns how many files stay, as they were changed since.

    A file goes when its size and time are still those of the snapshot, a link or another special thing when its type
    is; a folder when nothing is left in it. Names with undecodable bytes, which restic spells otherwise, stay.
    """
    listing = await _listing(restic, snapshot, target)
    if listing is None:
        return 0

    def remove() -> int:
        left = 0
        folders: list[str] = []
        for path, node in _all_nodes(ctx, listing, os.path.realpath(target)):
            if node["type"] == "dir":
                folders.append(path)
            elif _wanted(node["path"], include):
                left += not _remove_unchanged(Path(path), node)
        for folder in sorted(folders, key=len, reverse=True):
            remove_if_empty(folder)
        return left

    return await asyncio.to_thread(remove)


def _remove_unchanged(path: Path, node: dict[str, Any]) -> bool:
    """Remove what is as it was restored, or is gone already; returns False for what has been changed."""
    if "\ufffd" in str(path) or os.path.realpath(path.parent) != str(path.parent):
        return False  # a folder on the way has become a link: what lies behind it is not ours
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    if node["type"] == "file":
        restored_ns = round(parse_time(node["mtime"]).timestamp() * 1_000_000) * 1000
        unchanged = (
            stat.S_ISREG(status.st_mode)
            and status.st_size == node.get("size", 0)
            and abs(status.st_mtime_ns - restored_ns) <= _ROUNDING_NS
        )
    else:
        unchanged = not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode)
    if unchanged:
        path.unlink()
    return unchanged


def _all_nodes(ctx: StepContext, listing: Path, target: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with listing.open("rb") as lines:
        for number, line in enumerate(lines):
            if number % 256 == 0:
                ctx.checkpoint()
            node = json.loads(line)
            if node.get("struct_type") == "node":
                yield target.rstrip("/") + node["path"], node


async def _listing(restic: Restic, snapshot: Snapshot, at: str) -> Path | None:
    """Return a file with restic's list of the snapshot; None when nothing is at the target that could be in the way."""
    target = Path(at)
    if not await asyncio.to_thread(lambda: target.exists() and any(target.iterdir())):
        return None
    return await restic.json_file("listing the snapshot", "ls", snapshot.id, name="listing.ndjson")


async def occupied(
    ctx: StepContext, restic: Restic, snapshot: Snapshot, target: str, include: tuple[str, ...]
) -> list[str]:
    """Return the first few paths that are there already and would be replaced; folders may be there.

    restic spells undecodable bytes as U+FFFD: such a name is looked up by its folder, any entry there counting.
    """
    listing = await _listing(restic, snapshot, target)
    if listing is None:
        return []

    def look() -> list[str]:
        found = (
            path
            for path, _type in _nodes(ctx, listing, target, include)
            if os.path.lexists(path) or ("\ufffd" in path and _any_beside(path))
        )
        return list(islice(found, OCCUPIED_NAMED))

    return await asyncio.to_thread(look)


async def clear_the_way(
    ctx: StepContext, restic: Restic, snapshot: Snapshot, target: str, include: tuple[str, ...]
) -> None:
    """Remove links, pipes and the like where the snapshot has something: restic stops at them, and would write a file
    through a link, symbolic or hard, that stands in its place, into what others know under another name."""
    listing = await _listing(restic, snapshot, target)
    if listing is None:
        return

    def clear() -> None:
        shared: set[tuple[int, int]] = set()  # the last name of a shared file looks like its only one
        for path, kind in _nodes(ctx, listing, target, include):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                there = Path(path)
                status = there.lstat()
                if status.st_nlink > 1:
                    shared.add((status.st_dev, status.st_ino))
                own_file = stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in shared
                if not stat.S_ISDIR(status.st_mode) and not (kind == "file" and own_file):
                    there.unlink()

    await asyncio.to_thread(clear)


def _nodes(ctx: StepContext, listing: Path, target: str, include: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield where each wanted entry would come to, and its type; folders are left out."""
    for path, node in _all_nodes(ctx, listing, target):
        if node["type"] != "dir" and _wanted(node["path"], include):
            yield path, node["type"]


def _wanted(path: str, include: tuple[str, ...]) -> bool:
    return not include or any(path == root or path.startswith(root + "/") for root in include)


def _any_beside(path: str) -> bool:
    folder = Path(path).parent
    return folder.is_dir() and any(folder.iterdir())
