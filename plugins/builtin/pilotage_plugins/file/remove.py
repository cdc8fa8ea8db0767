"""`file.remove`: a path that should not be there."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Final

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    Refused,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.file.placement import sync_folder
from pilotage_plugins.file.previous import (
    Note,
    Previous,
    is_same,
    put_back,
    read_note,
    read_previous,
    remove_note,
    write_note,
)
from pilotage_plugins.file.wish import FilePath, own_path
from pilotage_plugins.tree.deletion import delete_tree

REMOVING: Final = "removed"
_NEVER: Final = frozenset(
    f"/{name}"
    for name in (
        *("", "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc"),
        *("root", "run", "sbin", "srv", "sys", "tmp", "usr", "var", "var/lib"),
    )
)


class FileRemoveParams(StepParams):
    """What should go."""

    path: FilePath
    recursive: bool = Field(False, description="Remove a folder and all that is in it, too; there is no way back")
    keep_previous: bool = Field(
        True, description="Keep what was there (a file of at most 32 KiB, or a link) so that a rollback can restore it"
    )


class FileRemoveOutputs(StepOutputs):
    """What was done; `previous` feeds the undo, null for a folder."""

    path: str
    changed: bool
    previous: Previous | None


class FileRemove(StepType[FileRemoveParams, FileRemoveOutputs]):
    """Remove a file or a link; with `recursive`, a folder and all that is in it. Nothing happens when it is not there.

    Links are removed, never followed; other file systems mounted in a folder make it refuse. Undo puts a file or a link
    back; a folder has no way back, so it needs `keep_previous: false`.
    """

    name = "file.remove"
    effect = Effect.IDEMPOTENT
    destructive = True
    Params = FileRemoveParams
    Outputs = FileRemoveOutputs

    async def preview(self, ctx: StepContext, params: FileRemoveParams) -> Preview:
        """Say what would go."""
        return await asyncio.to_thread(_preview, params)

    async def run(self, ctx: StepContext, params: FileRemoveParams) -> FileRemoveOutputs:
        """Remove it."""
        return await asyncio.to_thread(_remove, ctx, params)

    async def undo(self, ctx: StepContext, params: FileRemoveParams, outputs: FileRemoveOutputs) -> None:
        """Put it back, unless something else is there now."""
        await asyncio.to_thread(_restore, params, outputs, ctx.step_run)


def _is_folder(params: FileRemoveParams) -> bool:
    """Whether the path is a folder that may be removed; raises Refused when it may not."""
    try:
        status = os.lstat(params.path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise TargetFailed(f"cannot look at {params.path!r}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not params.recursive:
        raise Refused(f"{params.path!r} is a folder: set recursive: true to remove it with all that is in it")
    if os.path.realpath(params.path) in _NEVER:
        raise Refused(f"{params.path!r} belongs to the system itself and is never removed")
    if params.keep_previous:
        raise Refused(f"{params.path!r} is a folder, which cannot be put back: set keep_previous: false to remove it")
    for folder, below, _ in os.walk(params.path):
        for name in below:
            if os.path.ismount(os.path.join(folder, name)):  # noqa: PTH118 - a name may hold any bytes
                raise TargetFailed(f"{folder}/{name} is another file system: unmount it before {params.path!r} goes")
    return True


def _remove(ctx: StepContext, params: FileRemoveParams) -> FileRemoveOutputs:
    path = Path(params.path)
    noted = read_note(path, ctx.step_run, REMOVING)
    if _is_folder(params):
        ctx.log(f"removing the folder {params.path!r}")
        note = Note(step_run=ctx.step_run, writing_sha256=REMOVING, previous=Previous(existed=True))
        write_note(path, note)
        _delete_tree(ctx, path)
        return FileRemoveOutputs(path=params.path, changed=True, previous=None)
    if not path.parent.is_dir():
        return FileRemoveOutputs(path=params.path, changed=False, previous=Previous(existed=False))
    now = read_previous(path, keep=params.keep_previous, links=True)
    previous = noted or now
    if now.existed:
        if noted is None:
            write_note(path, Note(step_run=ctx.step_run, writing_sha256=REMOVING, previous=previous))
        try:
            path.unlink()
            sync_folder(path.parent)
        except OSError as error:
            raise TargetFailed(f"cannot remove {params.path!r}: {error.strerror}") from error
    was_folder = noted is not None and noted.existed and noted.sha256 is None and noted.link is None
    return FileRemoveOutputs(path=params.path, changed=previous.existed, previous=None if was_folder else previous)


def _delete_tree(ctx: StepContext, path: Path) -> None:
    try:
        delete_tree(path, ctx.checkpoint)
        sync_folder(path.parent)
    except OSError as error:
        raise TargetFailed(f"cannot remove {error.filename or str(path)!r}: {error.strerror}") from error


def _restore(params: FileRemoveParams, outputs: FileRemoveOutputs, mark: str) -> None:
    path, before = own_path(params.path, outputs.path), outputs.previous
    if not outputs.changed:
        return
    if before is None:
        raise Refused(f"{outputs.path!r} was a folder that was removed for good: restore a backup")
    remove_note(path)
    now = read_previous(path, keep=False, links=True)
    if is_same(now, before):
        return
    if now.existed:
        raise TargetFailed(f"{outputs.path!r} was made anew after the step removed it, so it was left as it is")
    put_back(path, before, mark)


def _preview(params: FileRemoveParams) -> Preview:
    if _is_folder(params):
        count = sum(len(folders) + len(files) for _, folders, files in os.walk(params.path))
        before = f"a folder with {count} entries below it"
        return Preview(changes=(Change(action=Action.DELETE, subject=params.path, before=before, note="for good"),))
    now = read_previous(Path(params.path), keep=params.keep_previous, links=True)
    if not now.existed:
        return Preview(changes=(Change(action=Action.NONE, subject=params.path, note="is not there"),))
    before = f"a link to {now.link}"[:4096] if now.link is not None else f"mode {now.mode:04o}, SHA-256 {now.sha256}"
    return Preview(changes=(Change(action=Action.DELETE, subject=params.path, before=before),))
