"""Putting a content in a file's place: whole or not at all, and on the disk when it returns."""

import contextlib
import grp
import os
import pwd
import secrets
from pathlib import Path

from pilotage_plugin_api import InfrastructureFailed, TargetFailed


def place(path: Path, content: bytes, mode: int, uid: int, gid: int) -> None:
    """Write beside the file, sync, and rename over it; a reader sees the old file or the new one, never a part.

    `uid` and `gid` of -1 stay as the system gives them. Raises TargetFailed or InfrastructureFailed (a full disk).
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.pilotage-new")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(handle, "wb", closefd=False) as out:
                out.write(content)
            os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if error.errno in (28, 122):
            raise InfrastructureFailed(f"cannot write {str(path)!r}: {error.strerror}. Free some space") from error
        raise TargetFailed(f"cannot write {str(path)!r}: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Wait until names in the folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def user_id(owner: str | int | None) -> int:
    """Return the number of a user; -1 for None. Raises TargetFailed when the host does not know it."""
    if owner is None or isinstance(owner, int):
        return -1 if owner is None else owner
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        raise TargetFailed(f"there is no user {owner!r} on this host") from None


def group_id(group: str | int | None) -> int:
    """Return the number of a group; -1 for None. Raises TargetFailed when the host does not know it."""
    if group is None or isinstance(group, int):
        return -1 if group is None else group
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise TargetFailed(f"there is no group {group!r} on this host") from None
