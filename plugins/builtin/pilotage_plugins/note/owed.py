"""Notes of what an attempt owes to its host: something was brought to rest, and somebody has to wake it.

Unlike the other notes (`shelf`) they are never thrown away for newer ones, and none is taken for missing because it
cannot be read: "no note" means here that nothing is owed. Each kind of debt has a folder of its own.
"""

import contextlib
import os
from pathlib import Path
from typing import TypeVar

from pilotage_plugin_api import InfrastructureFailed
from pydantic import BaseModel, ValidationError

from pilotage_plugins.file.placement import place
from pilotage_plugins.note import shelf

NoteT = TypeVar("NoteT", bound=BaseModel)


def folder(debt: str) -> Path:
    """Return the folder of one kind of debt."""
    return shelf.folder() / "owed" / debt


async def write(debt: str, attempt: str, note: BaseModel) -> None:
    """Keep an attempt's note until `settle`, durably and to its end though the task is cancelled meanwhile; it
    replaces an earlier one. Raises InfrastructureFailed or TargetFailed."""
    await shelf.to_the_end(lambda: _keep(debt, attempt, note))


def find(debt: str, attempt: str, kind: type[NoteT]) -> NoteT | None:
    """Return the attempt's note; None only when there is none. Blocking.

    Raises InfrastructureFailed, naming the file, when it is there but cannot be read.
    """
    return _read(_path(debt, attempt), kind)


def every(debt: str, kind: type[NoteT]) -> tuple[list[NoteT], list[str]]:
    """Return all notes of this debt, and what is wrong with those that cannot be read. Blocking.

    Raises InfrastructureFailed when the folder cannot be read.
    """
    found: list[NoteT] = []
    problems: list[str] = []
    where = folder(debt)
    try:
        paths = sorted(path for path in map(Path, os.scandir(where)) if path.suffix == ".json")
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise InfrastructureFailed(f"cannot read the notes in {str(where)!r}: {error.strerror}") from error
    for path in paths:
        try:
            note = _read(path, kind)
        except InfrastructureFailed as error:
            problems.append(str(error))
        else:
            found += [] if note is None else [note]
    return found, problems


def settle(debt: str, attempt: str) -> None:
    """Throw the attempt's note away, as nothing is owed any more; it need not be there. Blocking."""
    with contextlib.suppress(OSError):  # what stays makes somebody wake what is awake
        _path(debt, attempt).unlink()


def _keep(debt: str, attempt: str, note: BaseModel) -> None:
    path = _path(debt, attempt)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureFailed(f"cannot keep notes in {str(path.parent)!r}: {error.strerror}") from error
    place(path, note.model_dump_json().encode(), 0o600, -1, -1, attempt)


def _read(path: Path, kind: type[NoteT]) -> NoteT | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    except ValidationError as error:
        raise _unreadable(path, f"it is no whole {kind.__name__} note") from error


def _unreadable(path: Path, why: str) -> InfrastructureFailed:
    return InfrastructureFailed(
        f"the note {str(path)!r} says what has to be woken on this host, and it cannot be read: {why}. Mend that, or"
        " wake by hand what it was about and remove it"
    )


def _path(debt: str, attempt: str) -> Path:
    return folder(debt) / shelf.name_of(attempt)
