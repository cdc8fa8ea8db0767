"""Copying a tree with everything that belongs to it, by clones where the file system can make them.

Kept are content, holes, type, mode, owner, times, extended attributes (ACLs and capabilities among them), link targets
and which names share one file. The walk holds on to folders by descriptors and follows no symbolic link, so that
whoever can write into the source cannot lead it elsewhere. Not kept: access times, and the flags of chattr.
"""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pilotage_plugin_api import InfrastructureFailed, TargetFailed

from pilotage_plugins.tree.manifest import identity
from pilotage_plugins.tree.system_calls import clone

DEEPEST: Final = 200
"""Folders within folders: each level holds two open descriptors and a few frames of Python."""

NAMES_KEPT: Final = 20
_CHUNK: Final = 1024 * 1024
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER: Final = _READ | os.O_DIRECTORY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Copied:
    """What a copy came to. `bytes` are of the files' content, one that has several names counted once.

    `cloned` of the `files` share their blocks with the source. `changed` entries were touched while they were copied;
    `left_out` lie on other file systems or subvolumes, or in a folder of a skipped name. The first twenty are named.
    """

    entries: int = 0
    files: int = 0
    bytes: int = 0
    cloned: int = 0
    changed: int = 0
    changed_names: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(slots=True)
class TreeCopy:
    """One copy. `skip` is the name of folders that are left out wherever they are. Blocks: for a thread."""

    checkpoint: Callable[[], None] = lambda: None
    progress: Callable[[Copied], None] = lambda _copied: None
    skip: str = ""
    copied: Copied = field(default_factory=Copied)
    _device: int = 0
    _links: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _target: int = -1

    def copy(self, source: bytes, target: bytes) -> Copied:
        """Copy what is at `source` to `target`, where nothing may be.

        Raises TargetFailed or, for a full disk, InfrastructureFailed, naming the path; a part of the copy is left then.
        """
        parent, name = os.path.split(source)
        place, new = os.path.split(target)
        handles: list[int] = []
        try:
            handles.append(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            handles.append(os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            self._device = os.stat(name, dir_fd=handles[0], follow_symlinks=False).st_dev
            self._target = handles[1]
            self._entry(_Spot(handles[0], name, source), _Spot(handles[1], new, new), 0)
        except OSError as error:
            raise _told(error, source) from error
        finally:
            for handle in handles:
                os.close(handle)
        return self.copied

    def _entry(self, source: "_Spot", target: "_Spot", depth: int) -> None:
        self.checkpoint()
        try:
            status = os.stat(source.name, dir_fd=source.folder, follow_symlinks=False)
        except FileNotFoundError:
            self._changed(source)
            return
        try:
            self._of_type(source, target, status, depth)
        except OSError as error:
            raise _told(error, source.path) from error
        self.copied.entries += 1
        self.progress(self.copied)

    def _of_type(self, source: "_Spot", target: "_Spot", status: os.stat_result, depth: int) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._folder(source, target, status, depth)
        elif stat.S_ISREG(status.st_mode):
            self._file(source, target, status)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source.name, dir_fd=source.folder), target.name, dir_fd=target.folder)
            self._qualities_by_name(source, target, status)
        else:
            device = status.st_rdev if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode) else 0
            os.mknod(target.name, stat.S_IFMT(status.st_mode) | 0o600, device, dir_fd=target.folder)
            self._qualities_by_name(source, target, status)

    def _folder(self, source: "_Spot", target: "_Spot", status: os.stat_result, depth: int) -> None:
        if depth > DEEPEST:
            raise TargetFailed(f"{shown(source.path)} nests deeper than {DEEPEST} folders, which cannot be copied")
        try:
            inside = os.open(source.name, _FOLDER, dir_fd=source.folder)
        except (FileNotFoundError, NotADirectoryError, OSError) as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            self._changed(source)
            return
        try:
            os.mkdir(target.name, 0o700, dir_fd=target.folder)
            new = os.open(target.name, _FOLDER, dir_fd=target.folder)
            try:
                before = identity(os.fstat(inside))
                if status.st_dev == self._device:
                    self._children(source, target, inside, new, depth)
                else:
                    self._leave_out(source)
                _give(inside, new, status)
                if status.st_dev == self._device and identity(os.fstat(inside)) != before:
                    self._changed(source)
            finally:
                os.close(new)
        finally:
            os.close(inside)

    def _children(self, source: "_Spot", target: "_Spot", inside: int, new: int, depth: int) -> None:
        for text in sorted(os.listdir(inside), key=os.fsencode):
            name = os.fsencode(text)
            below = _Spot(inside, name, source.path + b"/" + name)
            if text == self.skip:
                self._leave_out(below)
                continue
            self._entry(below, _Spot(new, name, target.path + b"/" + name), depth + 1)

    def _file(self, source: "_Spot", target: "_Spot", status: os.stat_result) -> None:
        shared = (status.st_dev, status.st_ino)
        if first := self._links.get(shared):
            os.link(first, target.name, src_dir_fd=self._target, dst_dir_fd=target.folder, follow_symlinks=False)
            return
        try:
            handle = os.open(source.name, _READ, dir_fd=source.folder)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
                raise
            self._changed(source)
            return
        try:
            before = identity(os.fstat(handle))
            if before != identity(status) and not stat.S_ISREG(os.fstat(handle).st_mode):
                self._changed(source)
                return
            new = os.open(target.name, _NEW, 0o600, dir_fd=target.folder)
            try:
                self._content(handle, new)
                _give(handle, new, status)
            finally:
                os.close(new)
            if identity(os.fstat(handle)) != before or before != identity(status):
                self._changed(source)
        finally:
            os.close(handle)
        if status.st_nlink > 1:
            self._links[shared] = target.path

    def _content(self, source: int, target: int) -> None:
        size = os.fstat(source).st_size
        self.copied.files += 1
        self.copied.bytes += size
        if size and clone(source, target):
            self.copied.cloned += 1
            return
        offset = 0
        while offset < size:
            try:
                start = os.lseek(source, offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = os.lseek(source, start, os.SEEK_HOLE)
            offset = start
            while offset < end:
                self.checkpoint()
                if not (chunk := os.pread(source, min(_CHUNK, end - offset), offset)):
                    break
                offset += _write(target, chunk, offset)
            if offset < end:
                break
        os.ftruncate(target, size)

    def _qualities_by_name(self, source: "_Spot", target: "_Spot", status: os.stat_result) -> None:
        """Give a link or a special thing its owner, attributes, mode and times without opening it."""
        os.chown(target.name, status.st_uid, status.st_gid, dir_fd=target.folder, follow_symlinks=False)
        old, new = source.by_descriptor, target.by_descriptor
        for name in _attribute_names(old):
            os.setxattr(new, name, os.getxattr(old, name, follow_symlinks=False), follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(target.name, stat.S_IMODE(status.st_mode), dir_fd=target.folder)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(target.name, ns=times, dir_fd=target.folder, follow_symlinks=False)

    def _changed(self, spot: "_Spot") -> None:
        self.copied.changed += 1
        if len(self.copied.changed_names) < NAMES_KEPT:
            self.copied.changed_names.append(shown(spot.path))

    def _leave_out(self, spot: "_Spot") -> None:
        self.copied.left_out.append(shown(spot.path))


@dataclass(frozen=True, slots=True)
class _Spot:
    """A name in an open folder, and its path: of the source from the root, of the target from the target's folder."""

    folder: int
    name: bytes
    path: bytes

    @property
    def by_descriptor(self) -> bytes:
        """A path that leads here through the open folder, for calls that take no descriptor."""
        return b"/proc/self/fd/%d/%s" % (self.folder, self.name)


def shown(path: bytes) -> str:
    """Return a path as text that any output may hold."""
    return path.decode("utf-8", "backslashreplace")


def _give(source: int, target: int, status: os.stat_result) -> None:
    """Give an open file or folder the qualities of another; the owner first, as a change of it drops capabilities."""
    os.fchown(target, status.st_uid, status.st_gid)
    for name in _attribute_names(source):
        os.setxattr(target, name, os.getxattr(source, name))
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _attribute_names(source: int | bytes) -> list[str]:
    try:
        return os.listxattr(source) if isinstance(source, int) else os.listxattr(source, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


def _write(target: int, chunk: bytes, offset: int) -> int:
    done = 0
    while done < len(chunk):
        done += os.pwrite(target, chunk[done:], offset + done)
    return done


def _told(error: OSError, path: bytes) -> InfrastructureFailed | TargetFailed:
    if error.errno in _FULL:
        return InfrastructureFailed(f"the disk is full at the copy of {shown(path)!r}: free some space")
    return TargetFailed(f"cannot copy {shown(path)!r}: {error.strerror}")
