"""One entry of a tree, described exactly: everything that a restored copy must share with it."""

import base64
import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Final

from pilotage_plugins.tree.errors import TreeError

_TYPES: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
}
_COMPARED_ATTRIBUTES: Final = ("user.", "system.posix_acl_", "security.capability")
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A path and what is there. Paths are text with undecodable bytes escaped (`os.fsdecode`).

    `mtime` in nanoseconds. `links` is a number shared by the names of one hard-linked file; 0 for a single name.
    `volatile`: it changed while it was being described, so that nobody can say what a copy should hold.
    """

    path: str
    type: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    sha256: str = ""
    target: str = ""
    device: int = 0
    links: int = 0
    attributes: str = ""
    volatile: bool = False

    def to_line(self) -> bytes:
        """Return the entry as one line of a manifest."""
        kept = {name: value for name, value in asdict(self).items() if value or name == "path"}
        return json.dumps(kept, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def entry_from_line(line: bytes) -> Entry:
    """Read back one line of a manifest; raises TreeError when it is none."""
    try:
        values = json.loads(line)
        known = {field.name for field in fields(Entry)}
        return Entry(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise TreeError(f"the manifest holds a line that is no entry: {line[:200]!r}") from error


def type_of(status: os.stat_result) -> str:
    """Name the type of an entry: file, dir, link, fifo, socket, char or block."""
    return _TYPES.get(stat.S_IFMT(status.st_mode), "unknown")


def describe(path: bytes, status: os.stat_result, checkpoint: Callable[[], None]) -> Entry:
    """Describe what is at the path now, reading a file's whole content; OSError passes when it cannot be read."""
    kind = type_of(status)
    return Entry(
        path=os.fsdecode(path),
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=status.st_mtime_ns,
        size=status.st_size if kind == "file" else 0,
        sha256=hash_file(path, checkpoint) if kind == "file" else "",
        target=os.fsdecode(os.readlink(path)) if kind == "link" else "",  # noqa: PTH115 - bytes
        device=status.st_rdev if kind in ("char", "block") else 0,
        links=status.st_ino if kind == "file" and status.st_nlink > 1 else 0,
        attributes=_attributes(path),
    )


def hash_file(path: bytes, checkpoint: Callable[[], None]) -> str:
    """Return the SHA-256 of a file's content; a symbolic link is refused by the system (ELOOP)."""
    digest = hashlib.sha256()
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        while chunk := os.read(handle, _CHUNK):
            digest.update(chunk)
            checkpoint()
    finally:
        os.close(handle)
    return digest.hexdigest()


def _attributes(path: bytes) -> str:
    """Return the extended attributes that a backup keeps, as one comparable text; empty where there are none."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for name in os.listxattr(path, follow_symlinks=False):
            if name.startswith(_COMPARED_ATTRIBUTES):
                value = os.getxattr(path, name, follow_symlinks=False)
                found[name] = base64.b64encode(value).decode()
    return json.dumps(found, sort_keys=True) if found else ""
