"""The place of a SQLite database: a file beside it, checked by SQLite itself, which takes its name in one instant."""

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pilotage_plugin_api import InfrastructureFailed, Refused, StepContext, StepFailed, TargetFailed

from pilotage_plugins.backup.place import Placed, PlacedNote, Wish, before, beside
from pilotage_plugins.backup.sqlite_copy import companions, integrity_problems, tables_and_rows
from pilotage_plugins.backup.stored import StoredCopy
from pilotage_plugins.backup.target import TargetWas
from pilotage_plugins.file.placement import sync_folder
from pilotage_plugins.note import shelf
from pilotage_plugins.snapshot.thread import finished_in_thread
from pilotage_plugins.tree.entry import hash_file
from pilotage_plugins.tree.system_calls import exchange, inode_identity, rename_to_nothing

NEW_MODE: Final = 0o640
"""Of a file where none was: its folder's owner and group are taken for those who use it."""

NAME_BYTES: Final = 240
_PROCESSES: Final = Path("/proc")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """A file (see `place.Place`). Its identity is that of its inode."""

    ctx: StepContext
    path: Path
    attempt: str
    wish: Wish

    async def look(self) -> TargetWas:
        """Look whether there is a file, and tables in it."""
        return await _blocking(self._look)

    async def load(self, copy: StoredCopy) -> None:
        """Let restic write the copy beside the place, and SQLite check it."""
        await _blocking(lambda: self._make_way(copy.size))
        handle = await _blocking(
            lambda: os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        )
        try:
            await copy.write(self.ctx, handle)
            await _blocking(lambda: os.fsync(handle))
        finally:
            os.close(handle)
        size = await _blocking(lambda: self._beside.stat().st_size)
        sha256 = await _blocking(lambda: hash_file(bytes(self._beside), self.ctx.checkpoint))
        if wrong := copy.check(size, sha256, b"", ""):
            raise wrong
        problems = await _blocking(lambda: integrity_problems(self._beside, quick=False, stop=self.ctx.cancel.is_set))
        if problems:
            raise StepFailed(
                f"snapshot {copy.snapshot.id} holds a damaged database: {'; '.join(problems[:5])}. Choose another one"
            )

    async def put(self, was: TargetWas) -> Placed:
        """Let the file take the place, and what was there another name with its journals."""
        identity = await _blocking(lambda: inode_identity(self._beside))
        previous = str(self._before) if was is not TargetWas.MISSING else None
        placed = Placed(identity=identity, previous=previous, target_was=was)
        await _blocking(lambda: self._give_owner(was))
        await shelf.write(self.attempt, PlacedNote(placed=placed))
        await _blocking(lambda: self._take(was))
        if previous and not self.wish.keep_previous:
            await _blocking(lambda: _remove(self._before))
            placed = placed.model_copy(update={"previous": None})
        return placed

    async def tidy(self) -> str:
        """Remove what was written beside the place; give what is still there its journals back."""
        return await _blocking(self._tidy)

    async def placed(self) -> Placed | None:
        """Look whether the file that the attempt noted is in the place."""
        note = await asyncio.to_thread(shelf.find, self.attempt, PlacedNote)
        if note is None or note.placed.identity != await _blocking(lambda: _identity(self.path)):
            return None
        previous = note.placed.previous
        return note.placed.model_copy(update={"previous": previous if previous and Path(previous).exists() else None})

    async def take_back(self, placed: Placed) -> None:
        """Put back what was there, or remove the file where nothing was."""
        await _blocking(lambda: self._take_back(placed))

    @property
    def _beside(self) -> Path:
        return self.path.with_name(f".{beside(self.attempt)}")

    @property
    def _before(self) -> Path:
        return self.path.with_name(before(self.path.name, self.attempt, NAME_BYTES))

    def _look(self) -> TargetWas:
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return TargetWas.MISSING
        if not stat.S_ISREG(status.st_mode):
            raise TargetFailed(f"{str(self.path)!r} is no file: a database cannot take its place")
        try:
            tables, _rows = tables_and_rows(self.path, self.ctx.cancel.is_set)
        except StepFailed:
            return TargetWas.OCCUPIED  # nobody knows what it is, so it is not nothing
        return (
            TargetWas.OCCUPIED if tables or any(map(os.path.lexists, companions(str(self.path)))) else TargetWas.EMPTY
        )

    def _make_way(self, size: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path.parent).free
        if size > free:
            raise TargetFailed(f"the database needs {size} bytes, {str(self.path.parent)!r} has {free} free")

    def _give_owner(self, was: TargetWas) -> None:
        """Let it belong to whom what is there belongs; without anything, to the folder's owner."""
        status = (self.path.parent if was is TargetWas.MISSING else self.path).stat()
        if os.geteuid() == 0:
            os.chown(self._beside, status.st_uid, status.st_gid)
        self._beside.chmod(NEW_MODE if was is TargetWas.MISSING else stat.S_IMODE(status.st_mode))

    def _take(self, was: TargetWas) -> None:
        self._refuse_while_open()
        if was is TargetWas.MISSING:
            leftover = next(filter(os.path.lexists, companions(str(self.path))), None)
            if leftover is not None:
                raise TargetFailed(
                    f"{leftover!r} belongs to another database and would damage the restored one: move it away"
                )
            rename_to_nothing(self._beside, self.path)
        else:
            # The journals go first: SQLite would play them into the new file.
            _move_companions(self.path, self._before)
            exchange(self._beside, self.path)
            self._beside.rename(self._before)
        sync_folder(self.path.parent)

    def _refuse_while_open(self) -> None:
        """Raise TargetFailed when somebody has the file open: he would go on writing into what is put away."""
        if users := _processes_with(self.path):
            raise TargetFailed(
                f"{str(self.path)!r} is open in {', '.join(users)}: stop what uses it, and start the step again"
            )

    def _tidy(self) -> str:
        note = shelf.find(self.attempt, PlacedNote)
        taken = note is not None and note.placed.identity == _identity(self.path)
        if taken and self._beside.exists():
            self._beside.rename(self._before)  # it was cut off between the exchange and this
            return f"what was at {str(self.path)!r} is kept as {str(self._before)!r}"
        if taken:
            return ""
        if not self._before.exists():
            _move_companions(self._before, self.path)
        if not self._beside.exists():
            return ""
        _remove(self._beside)
        return f"removed {str(self._beside)!r}, which had not taken its place"

    def _take_back(self, placed: Placed) -> None:
        if placed.previous is None and placed.target_was is not TargetWas.MISSING:
            raise Refused(f"what was at {str(self.path)!r} was not kept (keep_previous: false): it cannot be put back")
        there = _identity(self.path)
        if placed.previous is None:
            if there == placed.identity:
                self._refuse_while_open()
                _remove(self.path)
            return
        kept = Path(placed.previous)
        if there == placed.identity and kept.exists():
            self._refuse_while_open()
            for path in companions(str(self.path)):
                Path(path).unlink(missing_ok=True)
            exchange(kept, self.path)
        elif kept.exists() and _identity(kept) != placed.identity:
            raise StepFailed(
                f"another file is at {str(self.path)!r} now, so nothing was undone; what was there is {str(kept)!r}"
            )
        _move_companions(kept, self.path)
        _remove(kept)
        sync_folder(self.path.parent)


async def _blocking(call: Callable[[], T]) -> T:
    """Run a short call on local files in a thread; what the system refuses is told as a step's error."""
    try:
        return await finished_in_thread(call)
    except OSError as error:
        what = f"{error.filename!r}: {error.strerror}" if error.filename else str(error.strerror)
        raise InfrastructureFailed(f"the database's file could not be restored: {what}") from error


def _identity(path: Path) -> str | None:
    try:
        return inode_identity(path)
    except FileNotFoundError:
        return None


def _move_companions(path: Path, to: Path) -> None:
    for one, other in zip(companions(str(path)), companions(str(to)), strict=True):
        with contextlib.suppress(FileNotFoundError):
            Path(one).rename(other)


def _remove(path: Path) -> None:
    for one in (str(path), *companions(str(path))):
        Path(one).unlink(missing_ok=True)


def _processes_with(path: Path) -> list[str]:
    """Return the processes, as far as we may see, that have the file open."""
    found = []
    wanted = path.stat() if path.exists() else None
    for process in _PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for handle in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if wanted is not None and os.path.samestat(handle.stat(), wanted):
                        found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
                        break
    return found[:5]
