"""Walking a tree in one fixed order, so that two walks can be merged without holding either in memory."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pilotage_plugins.tree.exclusion import Exclusion

CHECK_EVERY: Final = 256
"""Entries between two looks at cancellation."""

NO_EXCLUSION: Final = Exclusion(())


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of a tree: its path, and its `lstat`."""

    path: bytes
    stat: os.stat_result

    @property
    def key(self) -> tuple[bytes, ...]:
        """What the order of a walk is by: the parts of the path, so that a folder stands before what is in it."""
        return path_key(self.path)


def path_key(path: bytes) -> tuple[bytes, ...]:
    """Return the sort key of a path in a walk's order."""
    return tuple(path.split(b"/"))


@dataclass(slots=True)
class Walk:
    """One walk. `excluded` fills with the paths that were left out, `unreadable` with folders that gave an error."""

    root: bytes
    exclusion: Exclusion = NO_EXCLUSION
    one_file_system: bool = False
    checkpoint: Callable[[], None] = lambda: None
    excluded: Callable[[bytes], None] = lambda _path: None
    unreadable: Callable[[bytes, OSError], None] = lambda _path, _error: None
    _seen: int = 0

    def entries(self) -> Iterator[Found]:
        """Yield the root, then everything below, depth first, names in byte order; symbolic links are not followed.

        An entry that vanishes on the way is left out; the root must be there (FileNotFoundError).
        """
        top = Found(self.root, os.lstat(self.root))
        yield top
        if stat.S_ISDIR(top.stat.st_mode):
            yield from self._below(self.root, top.stat.st_dev)

    def _below(self, folder: bytes, device: int) -> Iterator[Found]:
        pending = [iter(self._children(folder))]
        while pending:
            found = next(pending[-1], None)
            if found is None:
                pending.pop()
                continue
            self._seen += 1
            if self._seen % CHECK_EVERY == 0:
                self.checkpoint()
            yield found
            other_device = self.one_file_system and found.stat.st_dev != device
            if stat.S_ISDIR(found.stat.st_mode) and not other_device:
                pending.append(iter(self._children(found.path)))

    def _children(self, folder: bytes) -> Iterator[Found]:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - byte names survive any encoding
        except FileNotFoundError:
            return
        except OSError as error:
            self.unreadable(folder, error)
            return
        for name in names:
            path = folder.rstrip(b"/") + b"/" + name
            if self.exclusion.leaves_out(path):
                self.excluded(path)
                continue
            try:
                yield Found(path, os.lstat(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                self.unreadable(path, error)
