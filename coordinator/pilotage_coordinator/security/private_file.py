"""Files that only the coordinator may read: created once, complete or not at all, never replaced silently."""

import contextlib
import os
import secrets
import stat
from pathlib import Path


class ExposedFile(Exception):
    """A private file can be read or written by others; the text names it and the fix."""


def read_private(path: Path) -> bytes | None:
    """Return the content of `path`, or None if there is no such file; raise ExposedFile if others may open it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ExposedFile(
                f"{path} can be opened by others (mode {stat.S_IMODE(status.st_mode):04o}); "
                f"run: chmod go= {path}, and consider what it holds as known"
            )
        if status.st_uid not in (os.geteuid(), 0):
            raise ExposedFile(
                f"{path} belongs to user {status.st_uid}, not to this process; run: chown {os.geteuid()} {path}"
            )
        return file.read()


def create_private(path: Path, content: bytes, mode: int) -> bytes:
    """Create `path` with `content` and `mode`, durably; return what stands there afterwards.

    If another process created it first, its content is returned and nothing is written. A crash leaves either no file
    or the whole one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)
    standing = read_private(path)
    if standing is None:
        raise FileNotFoundError(f"{path} vanished while it was being created")
    return standing


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
