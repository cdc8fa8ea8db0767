"""A picture of a folder, to see whether anything in it changed."""

import hashlib
import os
import stat
from pathlib import Path


def tree_of(folder: Path, *, times: bool = False) -> dict[str, tuple[object, ...]]:
    """Return what is in the folder by relative path: type and mode, owner, content hash or link target.

    With `times`, modification times (nanoseconds) count too.
    """
    picture: dict[str, tuple[object, ...]] = {}
    for place, folders, files in os.walk(folder, followlinks=False):
        for name in [*folders, *files, ""]:
            path = Path(place, name)
            status = path.lstat()
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.fsdecode(path.readlink())
            elif stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            when = status.st_mtime_ns if times else 0
            key = str(path.relative_to(folder))
            picture[key] = (oct(status.st_mode), status.st_uid, status.st_gid, content, when)
    return picture
