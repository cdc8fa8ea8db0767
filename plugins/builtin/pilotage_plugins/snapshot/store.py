"""The folder beside a path in which its snapshots lie: one entry each, with a note that says what it is.

`.pilotage-snapshots/ID/about.json` and, beside it, `data`: the tree. The note is written first and says `making`; only
when all is on the disk does it say `whole`. So whatever a crash leaves is known for what it is.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pilotage_plugin_api import InfrastructureFailed, StepContext, StepOutputs, TargetFailed
from pydantic import ValidationError

from pilotage_plugins.file.placement import place as place_file
from pilotage_plugins.file.placement import sync_folder
from pilotage_plugins.snapshot.backend import Kind, Method, Snapshot, execution_of, step_run_of
from pilotage_plugins.tree.deletion import delete_tree

STORE_NAME: Final = ".pilotage-snapshots"
LOCK_POLL_SECONDS: Final = 0.5


class State(StrEnum):
    """How far an entry is. `swapping`: its data and the path may have traded places; their identities tell.
    `removing`: its data may be half deleted. `spent`: its data was not to be kept; the note is there for probes."""

    MAKING = "making"
    WHOLE = "whole"
    SWAPPING = "swapping"
    REMOVING = "removing"
    SPENT = "spent"


class About(StepOutputs):
    """The note of an entry. `prepared` and `previous` are identities: of the tree that was made ready to take the
    path's place, and of what was there (None: nothing); `times` are their times (mtime, nanoseconds), which some file
    systems change when a folder moves. `of`: the snapshot that was restored."""

    version: int = 1
    id: str
    kind: Kind
    method: Method
    state: State
    path: str
    attempt: str
    made_at: str
    bytes: int | None = None
    files: int | None = None
    cloned: int | None = None
    left_out: tuple[str, ...] = ()
    of: str = ""
    prepared: str = ""
    previous: str | None = None
    times: tuple[int, int] = (0, 0)

    @property
    def holds_nothing(self) -> bool:
        """Whether only the note matters: its data was not to be kept, or nothing was there to be kept."""
        return self.state is State.SPENT or (
            self.state is State.WHOLE and self.kind is Kind.KEPT and self.previous is None
        )


@dataclass(frozen=True, slots=True)
class Store:
    """The entries of one folder. Everything blocks, but `locked`."""

    folder: Path

    @classmethod
    def beside(cls, path: Path) -> "Store":
        """Return the store of a path; it is made when it is needed."""
        return cls(path.parent / STORE_NAME)

    def entry(self, name: str) -> Path:
        """Return the folder of an entry."""
        return self.folder / name

    def data(self, name: str) -> Path:
        """Return where the tree of an entry lies."""
        return self.folder / name / "data"

    def make(self) -> None:
        """Make the folder, or see that it is ours alone: who could write there could choose what a restore brings."""
        try:
            with contextlib.suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
            self._check()
        except OSError as error:
            raise _failed(f"cannot keep snapshots in {str(self.folder)!r}", error) from error

    def _check(self) -> None:
        status = os.lstat(self.folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise TargetFailed(
                f"{str(self.folder)!r} is not a folder of this agent's own with mode 0700, so nothing in it is trusted:"
                " look at it, and move it away"
            )

    def begin(self, about: About) -> None:
        """Make the entry and its note, on the disk. To be called with the store locked: it clears away what a crash
        left between an entry and its note."""
        self.make()
        for entry in self.folder.iterdir():
            with contextlib.suppress(OSError):
                entry.rmdir()
        try:
            self.entry(about.id).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _failed(f"cannot make {str(self.entry(about.id))!r}", error) from error
        self.note(about)
        sync_folder(self.folder)

    def note(self, about: About) -> None:
        """Write the note anew, whole and on the disk."""
        place_file(self.entry(about.id) / "about.json", about.model_dump_json().encode(), 0o600, -1, -1, about.id)

    def find(self, name: str) -> About | None:
        """Return the note of an entry; None without one."""
        return next((about for about in self.all() if about.id == name), None)

    def all(self) -> Iterator[About]:
        """Yield the notes of all entries; what cannot be read as one is passed over."""
        if not os.path.lexists(self.folder):
            return
        self._check()
        for entry in sorted(self.folder.iterdir()):
            with contextlib.suppress(OSError, ValidationError):
                about = About.model_validate_json((entry / "about.json").read_bytes())
                if about.id == entry.name:
                    yield about

    def of_path(self, path: Path) -> list[About]:
        """Return the notes of a path."""
        return [about for about in self.all() if about.path == str(path)]

    def drop(self, name: str) -> None:
        """Remove an entry, the tree of which is gone; the store goes with its last one. It need not be there."""
        entry = self.entry(name)
        try:
            if entry.is_dir():
                delete_tree(entry)
                sync_folder(self.folder)
        except OSError as error:
            raise _failed(f"cannot remove {str(entry)!r}", error) from error
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    @contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """Hold an entry that is being made without the store's lock, so that nobody takes it for one that was cut off;
        raises InfrastructureFailed while another holds it."""
        handle = os.open(self.entry(name), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise InfrastructureFailed(f"{str(self.entry(name))!r} is being made by another step now") from error
        finally:
            os.close(handle)

    @asynccontextmanager
    async def locked(self, ctx: StepContext) -> AsyncIterator[None]:
        """Hold the store alone, waiting for whoever has it; the lock goes with the process."""
        handle = await self._lock(ctx)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            os.close(handle)

    async def _lock(self, ctx: StepContext) -> int:
        told = False
        while True:
            self.make()
            handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_ino == os.lstat(self.folder).st_ino:
                    return handle  # still the one that others will open
            except FileNotFoundError:
                pass
            except BlockingIOError:
                if not told:
                    ctx.log(f"another step works on the snapshots in {str(self.folder)!r}; waiting")
                    told = True
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)
            await ctx.sleep(LOCK_POLL_SECONDS)


def new_about(attempt: str, name: str, kind: Kind, method: Method, path: Path, **more: object) -> About:
    """Return the note of an entry that is begun now."""
    return About.model_validate(
        {
            "id": name,
            "kind": kind,
            "method": method,
            "state": State.MAKING,
            "path": str(path),
            "attempt": attempt,
            "made_at": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            **more,
        }
    )


def as_snapshot(about: About, where: Path) -> Snapshot:
    """Return what a note says, as others see it."""
    return Snapshot(
        id=about.id,
        kind=about.kind,
        method=about.method,
        path=about.path,
        where=str(where),
        made_at=about.made_at,
        whole=about.state is State.WHOLE,
        execution=execution_of(about.attempt),
        step_run=step_run_of(about.attempt),
        bytes=about.bytes,
        files=about.files,
        cloned=about.cloned,
        left_out=about.left_out,
    )


def _failed(what: str, error: OSError) -> InfrastructureFailed | TargetFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InfrastructureFailed(f"{what}: {error.strerror}. Free some space")
    return TargetFailed(f"{what}: {error.strerror}")
