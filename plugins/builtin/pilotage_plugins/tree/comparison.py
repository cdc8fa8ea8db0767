"""Comparing a restored tree with the manifest of what was backed up."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pilotage_plugins.tree.entry import Entry, describe, type_of
from pilotage_plugins.tree.walk import Walk, path_key

DIFFERENCES_KEPT: Final = 20
_NEVER_RESTORED: Final = frozenset({"socket", "unknown"})
_COMPARED: Final = ("type", "mode", "mtime", "size", "sha256", "target", "device", "attributes")
_OWNERSHIP: Final = ("uid", "gid")


@dataclass(slots=True)
class Comparison:
    """What came out. `identical` counts entries that match in everything, `files_identical` the files among them.

    `volatile` counts entries that changed while they were backed up: their content is proved by restic alone.
    """

    identical: int = 0
    files_identical: int = 0
    bytes_identical: int = 0
    volatile: int = 0
    different: int = 0
    differences: list[str] = field(default_factory=list)

    def differ(self, path: str, how: str) -> None:
        """Note a difference; the first twenty are kept by name."""
        self.different += 1
        if len(self.differences) < DIFFERENCES_KEPT:
            self.differences.append(f"{path!a}: {how}")


def compare(
    manifest: Iterable[Entry], roots: Iterable[bytes], restored_at: bytes, owners: bool, checkpoint: Callable[[], None]
) -> Comparison:
    """Compare the tree under `restored_at` (where a path /a stands as restored_at/a) with the manifest.

    `roots` in the manifest's order. Everything must agree: type, mode, owner and group (when `owners`: only root can
    restore them), times, content, link targets, which names are hard links of one file, extended attributes.
    """
    result = Comparison()
    checker = _Checker(result, restored_at, owners, checkpoint)
    expected = iter(manifest)
    wanted = next(expected, None)
    for path, status in _restored(roots, restored_at, checkpoint):
        key = path_key(path)
        while wanted is not None and _key(wanted) < key:
            checker.missing(wanted)
            wanted = next(expected, None)
        if wanted is not None and _key(wanted) == key:
            checker.present(wanted, path, status)
            wanted = next(expected, None)
        else:
            checker.unexpected(path)
    while wanted is not None:
        checker.missing(wanted)
        wanted = next(expected, None)
    return result


def _restored(
    roots: Iterable[bytes], restored_at: bytes, checkpoint: Callable[[], None]
) -> Iterator[tuple[bytes, os.stat_result]]:
    for root in roots:
        walk = Walk(restored_at + root, checkpoint=checkpoint)
        try:
            for found in walk.entries():
                yield found.path[len(restored_at) :], found.stat
        except FileNotFoundError:
            continue


class _Checker:
    def __init__(self, result: Comparison, restored_at: bytes, owners: bool, checkpoint: Callable[[], None]) -> None:
        self._result = result
        self._restored_at = restored_at
        self._fields = (*_COMPARED, *_OWNERSHIP) if owners else _COMPARED
        self._checkpoint = checkpoint
        self._volatile_folders: set[str] = set()
        self._copies: dict[int, int] = {}
        self._originals: dict[int, int] = {}

    def missing(self, wanted: Entry) -> None:
        if wanted.volatile:
            self._note_volatile(wanted)
        elif wanted.type not in _NEVER_RESTORED:
            self._result.differ(wanted.path, "is missing")

    def unexpected(self, path: bytes) -> None:
        text = os.fsdecode(path)
        if os.path.dirname(text) in self._volatile_folders:  # noqa: PTH120 - the text form of any path
            self._volatile_folders.add(text)
            self._result.volatile += 1
        else:
            self._result.differ(text, "was not in the backed-up tree")

    def present(self, wanted: Entry, path: bytes, status: os.stat_result) -> None:
        if wanted.volatile:
            self._note_volatile(wanted)
            return
        if wanted.type != type_of(status):
            self._result.differ(wanted.path, f"is a {type_of(status)}, should be a {wanted.type}")
            return
        try:
            copy = describe(self._restored_at + path, status, self._checkpoint)
        except OSError as error:
            self._result.differ(wanted.path, f"cannot be read: {error.strerror}")
            return
        wrong = [name for name in self._fields if getattr(copy, name) != getattr(wanted, name)]
        if wrong:
            told = ", ".join(f"{name} {getattr(copy, name)!r} instead of {getattr(wanted, name)!r}" for name in wrong)
            self._result.differ(wanted.path, f"has {told}"[:400])
        elif not self._same_links(wanted, status):
            self._result.differ(wanted.path, "is not a hard link of the same file as its siblings")
        else:
            self._count(wanted)

    def _note_volatile(self, wanted: Entry) -> None:
        self._result.volatile += 1
        self._volatile_folders.add(wanted.path)

    def _same_links(self, wanted: Entry, status: os.stat_result) -> bool:
        """Names that shared a file must share one in the copy, and no others may."""
        if not wanted.links:
            return True
        known_copy = self._copies.setdefault(wanted.links, status.st_ino)
        known_original = self._originals.setdefault(status.st_ino, wanted.links)
        return known_copy == status.st_ino and known_original == wanted.links

    def _count(self, wanted: Entry) -> None:
        self._result.identical += 1
        if wanted.type == "file":
            self._result.files_identical += 1
            self._result.bytes_identical += wanted.size


def _key(entry: Entry) -> tuple[bytes, ...]:
    return path_key(os.fsencode(entry.path))
