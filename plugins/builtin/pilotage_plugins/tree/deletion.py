"""Deleting a tree, in slices that hear cancellation."""

import shutil
from collections.abc import Callable
from pathlib import Path


def delete_tree(path: Path, checkpoint: Callable[[], None] = lambda: None) -> None:
    """Delete a folder and all that is in it, or a file, entry by entry; links are removed, never followed.

    It need not be there. Raises OSError. Blocking.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        for entry in sorted(path.iterdir()):
            checkpoint()
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        path.rmdir()
