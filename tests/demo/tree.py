"""Compare two folders to the last byte: content, kind, mode, owner, times, links and extended attributes."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """All that a restore must bring back of one file."""

    kind: str
    mode: int
    owner: tuple[int, int]
    modified_ns: int
    content: str
    attributes: tuple[tuple[str, bytes], ...]
    twin: str
    """For a hard link: the first of its names."""


def entries(root: Path) -> dict[str, Entry]:
    """Return every path below `root`, relative, with what it holds."""
    first_names: dict[tuple[int, int], str] = {}
    found: dict[str, Entry] = {}
    for path in sorted(root.rglob("*")):
        relative = str(path.relative_to(root))
        status = path.lstat()
        linked = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        found[relative] = Entry(
            kind=stat.filemode(status.st_mode)[0],
            mode=stat.S_IMODE(status.st_mode),
            owner=(status.st_uid, status.st_gid),
            modified_ns=status.st_mtime_ns,
            content=_content(path, status.st_mode),
            attributes=_attributes(path),
            twin=first_names.setdefault((status.st_dev, status.st_ino), relative) if linked else "",
        )
    return found


def differences(one: Path, other: Path) -> list[str]:
    """Return a line for each path that is missing on a side or differs; empty when the trees are identical."""
    left, right = entries(one), entries(other)
    lines = [f"{path!r} is missing in {other}" for path in left.keys() - right.keys()]
    lines += [f"{path!r} is only in {other}" for path in right.keys() - left.keys()]
    changed = (path for path in left.keys() & right.keys() if left[path] != right[path])
    lines += [f"{path!r}: {left[path]} became {right[path]}" for path in changed]
    return sorted(lines)


def _content(path: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return repr(path.readlink())
    if not stat.S_ISREG(mode):
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _attributes(path: Path) -> tuple[tuple[str, bytes], ...]:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
