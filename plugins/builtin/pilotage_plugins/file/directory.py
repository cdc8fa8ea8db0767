"""`file.directory`: a folder that should be there."""

import asyncio
import contextlib
import os
import stat
from pathlib import Path

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    FileMode,
    Preview,
    Refused,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
    TargetFailed,
)
from pydantic import Field, ValidationError

from pilotage_plugins.file.placement import group_id, place, sync_folder, user_id
from pilotage_plugins.file.previous import note_path
from pilotage_plugins.file.wish import FilePath, Owner, own_path


class FileDirectoryParams(StepParams):
    """The folder as it should be."""

    path: FilePath
    mode: FileMode = Field(0o755, description='Permissions, quoted: "0755"')
    owner: Owner = Field(None, description="User name or number (unchanged)")
    group: Owner = Field(None, description="Group name or number (unchanged)")
    parents: bool = Field(False, description="Make the folders above it, too, with mode 0755")


class Before(StepOutputs):
    """What was there: the folders that were made, outermost first, or else the mode and owner that it had."""

    made: tuple[str, ...] = ()
    mode: int | None = None
    uid: int = 0
    gid: int = 0


class FileDirectoryOutputs(StepOutputs):
    """What was done; `before` feeds the undo."""

    path: str
    changed: bool
    before: Before


class _Note(StepOutputs):
    step_run: str
    before: Before


class FileDirectory(StepType[FileDirectoryParams, FileDirectoryOutputs]):
    """Make sure that a folder is there, with its permissions; nothing happens when it is right already.

    Undo removes the folders that it made, if they are empty again, or gives back the permissions. A path that is
    something else, a link included, is left alone.
    """

    name = "file.directory"
    effect = Effect.IDEMPOTENT
    Params = FileDirectoryParams
    Outputs = FileDirectoryOutputs

    async def preview(self, ctx: StepContext, params: FileDirectoryParams) -> Preview:
        """Say what would be made or changed."""
        return await asyncio.to_thread(_preview, params)

    async def run(self, ctx: StepContext, params: FileDirectoryParams) -> FileDirectoryOutputs:
        """Make it."""
        return await asyncio.to_thread(_make, params, ctx.step_run)

    async def undo(self, ctx: StepContext, params: FileDirectoryParams, outputs: FileDirectoryOutputs) -> None:
        """Take it away again."""
        await asyncio.to_thread(_undo, params, outputs)


def _look(params: FileDirectoryParams) -> tuple[Before, bool]:
    """Return what is there, and whether it is as wished; raises TargetFailed when it cannot be made."""
    missing: list[str] = []
    for place_ in (path := Path(params.path), *path.parents):
        try:
            status = place_.stat() if missing else place_.lstat()
        except FileNotFoundError:
            missing.append(str(place_))
            continue
        except OSError as error:
            raise TargetFailed(f"cannot look at {str(place_)!r}: {error.strerror}") from error
        if not stat.S_ISDIR(status.st_mode):
            raise TargetFailed(f"{str(place_)!r} is no folder (a link or a file, say); it was left alone")
        break
    if len(missing) > 1 and not params.parents:
        raise TargetFailed(f"there is no folder {missing[1]!r}: set parents: true to make it, too")
    if missing:
        return Before(made=tuple(reversed(missing))), False
    uid, gid = user_id(params.owner), group_id(params.group)
    mode = stat.S_IMODE(status.st_mode)
    right = mode == params.mode and uid in (-1, status.st_uid) and gid in (-1, status.st_gid)
    return Before(mode=mode, uid=status.st_uid, gid=status.st_gid), right


def _make(params: FileDirectoryParams, step_run: str) -> FileDirectoryOutputs:
    uid, gid = user_id(params.owner), group_id(params.group)
    now, right = _look(params)
    noted = _read_note(params, step_run)
    before = noted or now
    try:
        if not right and noted is None:
            note = _Note(step_run=step_run, before=before)
            place(_note_of(before, params), note.model_dump_json().encode(), 0o600, -1, -1, step_run)
        for folder in now.made:
            with contextlib.suppress(FileExistsError):
                Path(folder).mkdir(mode=0o755)
            sync_folder(Path(folder).parent)
        if not right:
            os.chown(params.path, uid, gid)
            Path(params.path).chmod(params.mode)
    except OSError as error:
        raise TargetFailed(f"cannot make the folder {params.path!r}: {error.strerror}") from error
    return FileDirectoryOutputs(path=params.path, changed=not right or noted is not None, before=before)


def _undo(params: FileDirectoryParams, outputs: FileDirectoryOutputs) -> None:
    before, path = outputs.before, own_path(params.path, outputs.path)
    if not outputs.changed:
        return
    for folder in before.made:
        if Path(folder) not in (path, *path.parents):
            raise Refused(f"{folder!r} is neither {params.path!r} nor a folder above it: nothing was undone")
    try:
        if before.mode is not None and path.is_dir():
            os.chown(path, before.uid, before.gid)
            path.chmod(before.mode)
        for folder in reversed(before.made):
            with contextlib.suppress(FileNotFoundError):
                Path(folder).rmdir()
        _note_of(before, params).unlink(missing_ok=True)
    except OSError as error:
        raise TargetFailed(f"{error.filename!r} was left: {error.strerror}. Somebody has used it since") from error


def _note_of(before: Before, params: FileDirectoryParams) -> Path:
    """Return where the note lies: beside the outermost folder that is made, where a folder is sure to be."""
    return note_path(Path(before.made[0] if before.made else params.path))


def _read_note(params: FileDirectoryParams, step_run: str) -> Before | None:
    for folder in (path := Path(params.path), *path.parents[:-1]):
        with contextlib.suppress(OSError, ValidationError):
            note = _Note.model_validate_json(note_path(folder).read_bytes())
            if note.step_run == step_run:
                return note.before
    return None


def _preview(params: FileDirectoryParams) -> Preview:
    now, right = _look(params)
    if right:
        return Preview(changes=(Change(action=Action.NONE, subject=params.path, note="is right already"),))
    note = f"mode {params.mode:04o}"
    if now.made:
        return Preview(changes=tuple(Change(action=Action.CREATE, subject=folder, note=note) for folder in now.made))
    before = f"mode {now.mode:04o}, owner {now.uid}:{now.gid}"
    return Preview(changes=(Change(action=Action.UPDATE, subject=params.path, before=before, note=note),))
