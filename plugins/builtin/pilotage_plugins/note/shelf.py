"""Where notes of step runs lie: written before anything is changed, found by a retry, a probe or an undo.

A retried run sees its own work, so what it finds is not what was there before. The note of the first try is. Notes are
small, durable when `keep` returns, and only the newest are kept; losing one costs a probe its answer (`unknown`) or an
undo its memory after a crash, never more. What must not be lost is kept by `owed`.
"""

import asyncio
import contextlib
import hashlib
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pilotage_plugin_api import InfrastructureFailed
from pydantic import BaseModel, ValidationError

from pilotage_plugins.file.placement import place

MOST_NOTES: Final = 512

NoteT = TypeVar("NoteT", bound=BaseModel)


def state_folder() -> Path:
    """Return where the plugins' own state lies: the system's place for root, otherwise the user's own (XDG)."""
    if os.geteuid() == 0:
        return Path("/var/lib/pilotage")
    home = os.environ.get("XDG_STATE_HOME") or f"{pwd.getpwuid(os.getuid()).pw_dir}/.local/state"
    return Path(home, "pilotage")


def folder() -> Path:
    """Return the folder of the notes."""
    return state_folder() / "notes"


def keep(owner: str, note: BaseModel) -> None:
    """Keep a note under the name of its owner (a step run), durably; it replaces an earlier one. Blocking."""
    path = _path(owner)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prune(path.parent)
    except OSError as error:
        raise InfrastructureFailed(f"cannot keep notes in {str(path.parent)!r}: {error.strerror}") from error
    place(path, note.model_dump_json().encode(), 0o600, -1, -1, owner)


async def write(owner: str, note: BaseModel) -> None:
    """Keep a note as `keep` does, off the event loop, and to its end though the task is cancelled meanwhile."""
    await to_the_end(lambda: keep(owner, note))


async def to_the_end(write_note: Callable[[], None]) -> None:
    """Write a note off the event loop, and to its end though the task is cancelled meanwhile: else it might appear when
    somebody has looked for it already."""
    kept = asyncio.ensure_future(asyncio.to_thread(write_note))
    try:
        await asyncio.shield(kept)
    except asyncio.CancelledError:
        await asyncio.wait({kept})
        if not kept.cancelled():
            kept.exception()
        raise


def find(owner: str, kind: type[NoteT]) -> NoteT | None:
    """Return the owner's note; None without one, or when it cannot be read. Blocking."""
    with contextlib.suppress(OSError, ValidationError):
        return kind.model_validate_json(_path(owner).read_bytes())
    return None


def every(kind: type[NoteT]) -> list[NoteT]:
    """Return all notes of this kind, oldest first. Other kinds are told apart by their fields. Blocking."""
    found: list[tuple[int, NoteT]] = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder()):
            with contextlib.suppress(OSError, ValidationError):
                if entry.name.endswith(".json"):
                    found.append((entry.stat().st_mtime_ns, kind.model_validate_json(Path(entry).read_bytes())))
    return [note for _, note in sorted(found, key=lambda pair: pair[0])]


def forget(owner: str) -> None:
    """Throw the owner's note away; it need not be there. Blocking."""
    with contextlib.suppress(OSError):
        _path(owner).unlink()


def name_of(owner: str) -> str:
    """Return the name of the file of an owner's note."""
    return f"{hashlib.sha256(owner.encode()).hexdigest()[:32]}.json"


def _path(owner: str) -> Path:
    return folder() / name_of(owner)


def _prune(where: Path) -> None:
    """Keep room for one more among the newest."""
    notes = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(where) if entry.name.endswith(".json")]
    for _, path in sorted(notes, reverse=True)[MOST_NOTES - 1 :]:
        Path(path).unlink(missing_ok=True)
