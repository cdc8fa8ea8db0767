"""What lies inside a tree and is none of it: other file systems and subvolumes."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from pilotage_plugins.tree.copying import shown
from pilotage_plugins.tree.walk import Walk


def nested_in(path: Path, checkpoint: Callable[[], None]) -> list[str]:
    """Return the folders below the path where another file system or subvolume begins, in the walk's order; blocking.

    Raises OSError when the path itself cannot be looked at.
    """
    root = os.fsencode(path)
    device = os.lstat(root).st_dev
    walk = Walk(root, one_file_system=True, checkpoint=checkpoint)
    return [
        shown(found.path)
        for found in walk.entries()
        if stat.S_ISDIR(found.stat.st_mode) and found.stat.st_dev != device
    ]
