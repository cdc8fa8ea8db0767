"""What a path really is: a file or a folder, of which file system, mounted where, reached without links."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_plugin_api import TargetFailed

MOUNTS: Final = Path("/proc/self/mountinfo")
SUBVOLUME_INODE: Final = 256
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system, as the kernel lists it."""

    point: str
    type: str
    source: str


@dataclass(frozen=True, slots=True)
class Place:
    """A path that is to be kept or put back. `there`: whether anything is at it; only its parent must be.

    `mount` is the file system that it lies on. `mounts_inside`: where others are mounted below it.
    """

    path: Path
    there: bool
    mount: Mount
    is_mount_point: bool
    is_subvolume: bool
    mounts_inside: tuple[str, ...]


def look_at(path: str) -> Place:
    """Find out what the path is; blocking. Raises TargetFailed when nobody could keep or replace it."""
    there = True
    if path == "/":
        raise TargetFailed("'/' is the whole host: name the folders in it")
    if os.path.realpath(path) != path:
        raise TargetFailed(f"{path!r} is reached through a symbolic link: name {os.path.realpath(path)!r} instead")
    if not os.path.isdir(os.path.dirname(path)):  # noqa: PTH112, PTH120 - the text of any path
        raise TargetFailed(f"there is no folder {os.path.dirname(path)!r}")  # noqa: PTH120
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        there = False
    except OSError as error:
        raise TargetFailed(f"cannot look at {path!r}: {error.strerror}") from error
    if there and not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise TargetFailed(f"{path!r} is neither a folder nor a regular file")
    mounts = read_mounts(MOUNTS.read_bytes())
    mount = mount_of(path, mounts)
    return Place(
        path=Path(path),
        there=there,
        mount=mount,
        is_mount_point=mount.point == path,
        is_subvolume=there
        and mount.type == "btrfs"
        and stat.S_ISDIR(status.st_mode)
        and status.st_ino == SUBVOLUME_INODE,
        mounts_inside=tuple(sorted({each.point for each in mounts if each.point.startswith(path + "/")})),
    )


def read_mounts(content: bytes) -> list[Mount]:
    """Read /proc/self/mountinfo; spaces and the like are escaped there."""
    mounts = []
    for line in content.splitlines():
        before, _, after = line.partition(b" - ")
        kind, source = after.split(b" ")[:2]
        mounts.append(Mount(_plain(before.split(b" ")[4]), _plain(kind), _plain(source)))
    return mounts


def mount_of(path: str, mounts: list[Mount]) -> Mount:
    """Return the file system that a path lies on: the innermost, and of those mounted over each other the last."""
    above = [mount for mount in mounts if path == mount.point or path.startswith(mount.point.rstrip("/") + "/")]
    if not above:
        raise TargetFailed(f"the kernel lists no file system for {path!r}")
    innermost = max(len(mount.point) for mount in above)
    return [mount for mount in above if len(mount.point) == innermost][-1]


def _plain(field: bytes) -> str:
    return os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field))
