"""What the kernel does for trees that Python has no name for. All of it is Linux; all of it blocks."""

import ctypes
import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_FICLONE: Final = 0x40049409
_GET_GENERATION: Final = 0x80087601
_CANNOT_CLONE: Final = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.ETXTBSY, errno.EPERM}
)

_libc: Final = ctypes.CDLL(None, use_errno=True)


def exchange(one: Path, other: Path) -> None:
    """Let two paths of one file system trade places in one instant, whatever they are; raises OSError."""
    _rename(one, other, _EXCHANGE)


def rename_to_nothing(source: Path, target: Path) -> None:
    """Rename, unless something is at the target (FileExistsError); raises OSError."""
    _rename(source, target, _NOREPLACE)


def sync_file_system(folder: Path) -> None:
    """Wait until all that was written to the folder's file system is on the disk; raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)


def clone(source: int, target: int) -> bool:
    """Let the file of one descriptor share the blocks of another; False where the file system cannot. Raises OSError
    for everything else, a full disk say."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT_CLONE:
            return False
        raise
    return True


def inode_identity(path: Path) -> str:
    """Return what tells an entry from any other that the file system ever had: its inode's number and, where the file
    system counts how often the number was used, its generation. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        number = os.fstat(handle).st_ino
        try:
            (generation,) = struct.unpack_from("I", fcntl.ioctl(handle, _GET_GENERATION, bytes(8)))
        except OSError:
            generation = 0
        return f"{number}.{generation}"
    finally:
        os.close(handle)


def _rename(source: Path, target: Path, flags: int) -> None:
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(target))
