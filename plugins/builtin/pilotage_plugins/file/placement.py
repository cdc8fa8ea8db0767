"""Putting a content in a file's place: whole or not at all, and on the disk when it returns."""

import contextlib
import errno
import grp
import hashlib
import os
import pwd
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pilotage_plugin_api import InfrastructureFailed, TargetFailed

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def place(path: Path, content: bytes, mode: int, uid: int, gid: int, mark: str) -> None:
    """Write beside the file, sync, and rename over it; a reader sees the old file or the new one, never a part.

    Everything else as in `draft`.
    """
    settle(draft(path, (content,), mode, uid, gid, mark), path)


def draft(path: Path, content: Iterable[bytes], mode: int, uid: int, gid: int, mark: str) -> Path:
    """Write the content to a hidden file beside the path and sync it; return where it lies.

    `uid` and `gid` of -1 stay as the system gives them. `mark` tells writers apart (a step run): the hidden file of a
    writer that was killed is replaced by the same writer's next try. Raises TargetFailed, InfrastructureFailed (a full
    disk), or whatever `content` raises; nothing is left then.
    """
    hidden = path.with_name(f".{path.name}.{hashlib.sha256(mark.encode()).hexdigest()[:8]}.pilotage-new")
    try:
        with _writing(path):
            hidden.unlink(missing_ok=True)
            handle = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with _writing(path), open(handle, "wb", closefd=False) as out:
                for chunk in content:
                    out.write(chunk)
                out.flush()
                os.fchown(handle, uid, gid)
                os.fchmod(handle, mode)
                os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        discard(hidden)
        raise
    return hidden


def settle(hidden: Path, path: Path) -> None:
    """Put a draft in the file's place, and wait until that is on the disk."""
    try:
        with _writing(path):
            hidden.rename(path)
            sync_folder(path.parent)
    except BaseException:
        discard(hidden)
        raise


def discard(hidden: Path) -> None:
    """Remove a draft that will not be used, if it is there."""
    with contextlib.suppress(OSError):
        hidden.unlink()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn the system's errors into ours, naming the file that people know."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
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
