"""What a file was before it was written, kept so that an undo finds it even after a crash.

It goes into the outputs. A crash after the replacement and before the outcome is recorded would lose it, and the
retry would take the new content for the old; so a hidden note beside the file holds it, too, and another attempt of the
same step run believes the note. The next write of another step run replaces the note; an undo removes it.
"""

import base64
import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from pilotage_plugin_api import Refused, StepOutputs, TargetFailed
from pydantic import Field, ValidationError

from pilotage_plugins.file.placement import place, sync_folder

KEPT_BYTES: Final = 32 * 1024


class Previous(StepOutputs):
    """The state of a path: absent, a regular file, or (where links may stand) a symbolic link with its target.

    `content` is base64, None when it was not to be kept.
    """

    existed: bool
    link: str | None = None
    content: str | None = None
    sha256: str | None = None
    mode: int = Field(0, ge=0, le=0o7777)
    uid: int = 0
    gid: int = 0


class Note(StepOutputs):
    """A note beside a file: which step run was about to write which content, and what was there before."""

    step_run: str
    writing_sha256: str
    previous: Previous


def read_previous(path: Path, *, keep: bool, links: bool = False) -> Previous:
    """Describe what is at the path now; raises TargetFailed for anything but a regular file or nothing.

    With `links`, a symbolic link is described, too, and never followed.

    With `keep`, a content above 32 KiB raises Refused: nobody should learn at a rollback that there is no way back.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Previous(existed=False)
    except OSError as error:
        raise TargetFailed(f"cannot look at {str(path)!r}: {error.strerror}") from error
    if links and stat.S_ISLNK(status.st_mode):
        return Previous(existed=True, link=os.fsdecode(path.readlink()), uid=status.st_uid, gid=status.st_gid)
    if not stat.S_ISREG(status.st_mode):
        raise TargetFailed(f"{str(path)!r} is no regular file (a link or a folder, say); it was left alone")
    if keep and status.st_size > KEPT_BYTES:
        raise Refused(
            f"{str(path)!r} holds {status.st_size} bytes, above the {KEPT_BYTES} that can be kept for an undo:"
            " set keep_previous: false to replace it without a way back"
        )
    try:
        content = path.read_bytes() if keep else b""
        sha256 = hashlib.sha256(content).hexdigest() if keep else sha256_of(path)
    except OSError as error:
        raise TargetFailed(f"cannot read {str(path)!r}: {error.strerror}") from error
    return Previous(
        existed=True,
        content=base64.b64encode(content).decode() if keep else None,
        sha256=sha256,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, whatever its size; raises OSError."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def note_path(path: Path) -> Path:
    """Return where the note of a file lies."""
    return path.with_name(f".{path.name}.pilotage-previous")


def read_note(path: Path, step_run: str, writing_sha256: str) -> Previous | None:
    """Return what an earlier attempt of this step run noted when it wrote this content; None without one.

    Raises TargetFailed when that cannot be told.
    """
    try:
        note = Note.model_validate_json(note_path(path).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    except OSError as error:
        raise TargetFailed(f"cannot look at {str(path)!r}: {error.strerror}") from error
    return note.previous if (note.step_run, note.writing_sha256) == (step_run, writing_sha256) else None


def write_note(path: Path, note: Note) -> None:
    """Keep a note beside the file, on the disk before anything is changed."""
    place(note_path(path), note.model_dump_json().encode(), 0o600, -1, -1, note.step_run)


def remove_note(path: Path) -> None:
    """Forget what was noted; it need not be there."""
    note_path(path).unlink(missing_ok=True)


def put_back(path: Path, before: Previous, mark: str) -> None:
    """Make the path what it was; raises Refused when its content was not kept."""
    if not before.existed:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    elif before.link is not None:
        path.symlink_to(before.link)
        os.lchown(path, before.uid, before.gid)
        sync_folder(path.parent)
    elif before.content is None:
        raise Refused(f"the previous content of {str(path)!r} was not kept (keep_previous: false): restore a backup")
    else:
        place(path, base64.b64decode(before.content), before.mode, before.uid, before.gid, mark)


def is_same(one: Previous, other: Previous) -> bool:
    """Whether two states of a path are the same, kept content aside."""
    return one.model_copy(update={"content": None}) == other.model_copy(update={"content": None})
