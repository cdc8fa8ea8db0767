"""`file.write`: a file with a given content."""

import asyncio
import base64
import difflib
import hashlib
import os
from pathlib import Path
from typing import Annotated

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
from pydantic import Field

from pilotage_plugins.file.placement import group_id, place, sync_folder, user_id
from pilotage_plugins.file.previous import Note, Previous, note_path, read_note, read_previous

CONTENT_LIMIT = 256 * 1024
DIFF_LIMIT = 4000


class FileWriteParams(StepParams):
    """The file as it should be."""

    path: Annotated[str, Field(pattern=r"^/[^\x00]*[^/\x00]$", max_length=4000, description="Absolute path")]
    content: str = Field(max_length=CONTENT_LIMIT, description="The whole text, written as UTF-8")
    mode: FileMode = Field(0o644, description='Permissions, quoted: "0644"')
    owner: str | Annotated[int, Field(ge=0)] | None = Field(None, description="User name or number (unchanged)")
    group: str | Annotated[int, Field(ge=0)] | None = Field(None, description="Group name or number (unchanged)")
    keep_previous: bool = Field(
        True, description="Keep what was there (at most 32 KiB) in the outputs, so that a rollback can restore it"
    )
    show_content: bool = Field(True, description="Show a diff in previews; false for private content")


class FileWriteOutputs(StepOutputs):
    """What was done; `previous` feeds the undo."""

    path: str
    changed: bool
    sha256: str
    bytes: int
    previous: Previous


class FileWrite(StepType[FileWriteParams, FileWriteOutputs]):
    """Write a file whole or not at all, with its permissions; nothing happens when it is right already.

    Undo puts back what was there, or removes the file. Folders are not made, links are not followed.
    """

    name = "file.write"
    effect = Effect.IDEMPOTENT
    Params = FileWriteParams
    Outputs = FileWriteOutputs

    async def preview(self, ctx: StepContext, params: FileWriteParams) -> Preview:
        """Show the difference."""
        return await asyncio.to_thread(_preview, params)

    async def run(self, ctx: StepContext, params: FileWriteParams) -> FileWriteOutputs:
        """Write it."""
        return await asyncio.to_thread(_write, params, ctx.step_run)

    async def undo(self, ctx: StepContext, params: FileWriteParams, outputs: FileWriteOutputs) -> None:
        """Put back what was there."""
        await asyncio.to_thread(_restore, outputs)


def _write(params: FileWriteParams, step_run: str) -> FileWriteOutputs:
    path, content = Path(params.path), params.content.encode()
    sha256 = hashlib.sha256(content).hexdigest()
    uid, gid = user_id(params.owner), group_id(params.group)
    now = read_previous(path, keep=False)
    right = _is_right(now, sha256, params.mode, uid, gid)
    noted = read_note(path, step_run, sha256)
    previous = noted or read_previous(path, keep=params.keep_previous and not right)
    if not right:
        if noted is None:
            note = Note(step_run=step_run, writing_sha256=sha256, previous=previous)
            place(note_path(path), note.model_dump_json().encode(), 0o600, -1, -1)
        keep_owner = now.uid if now.existed and uid == -1 else uid
        keep_group = now.gid if now.existed and gid == -1 else gid
        place(path, content, params.mode, keep_owner, keep_group)
    changed = not _is_right(previous, sha256, params.mode, uid, gid)
    return FileWriteOutputs(path=params.path, changed=changed, sha256=sha256, bytes=len(content), previous=previous)


def _restore(outputs: FileWriteOutputs) -> None:
    """Undo; a second time finds the work done. A file that others changed since is left alone, and that is said."""
    path, before = Path(outputs.path), outputs.previous
    if not outputs.changed:
        return
    note_path(path).unlink(missing_ok=True)
    now = read_previous(path, keep=False)
    if now.existed == before.existed and (
        not now.existed
        or (now.sha256, now.mode, now.uid, now.gid) == (before.sha256, before.mode, before.uid, before.gid)
    ):
        return
    if not now.existed or now.sha256 != outputs.sha256:
        raise TargetFailed(f"{outputs.path!r} was changed after the step wrote it, so it was left as it is")
    if not before.existed:
        path.unlink()
        sync_folder(path.parent)
    elif before.content is None:
        raise Refused(f"the previous content of {outputs.path!r} was not kept (keep_previous: false): restore a backup")
    else:
        place(path, base64.b64decode(before.content), before.mode, before.uid, before.gid)


def _is_right(state: Previous, sha256: str, mode: int, uid: int, gid: int) -> bool:
    return (
        state.existed
        and state.sha256 == sha256
        and state.mode == mode
        and uid in (-1, state.uid)
        and gid in (-1, state.gid)
    )


def _preview(params: FileWriteParams) -> Preview:
    path, content = Path(params.path), params.content.encode()
    if not path.parent.is_dir():
        raise TargetFailed(f"there is no folder {str(path.parent)!r}")
    sha256 = hashlib.sha256(content).hexdigest()
    uid, gid = user_id(params.owner), group_id(params.group)
    now = read_previous(path, keep=False)
    if _is_right(now, sha256, params.mode, uid, gid):
        return Preview(changes=(Change(action=Action.NONE, subject=params.path, note="is right already"),))
    read_previous(path, keep=params.keep_previous)
    note = f"mode {params.mode:04o}, {len(content)} bytes"
    if not now.existed:
        after = params.content[:DIFF_LIMIT] if params.show_content else None
        return Preview(changes=(Change(action=Action.CREATE, subject=params.path, after=after, note=note),))
    before = f"mode {now.mode:04o}, owner {now.uid}:{now.gid}"
    after = _difference(path, params.content) if params.show_content else None
    return Preview(changes=(Change(action=Action.UPDATE, subject=params.path, before=before, after=after, note=note),))


def _difference(path: Path, content: str) -> str:
    old = os.fsdecode(path.read_bytes()).encode("utf-8", "backslashreplace").decode()
    lines = difflib.unified_diff(old.splitlines(), content.splitlines(), "now", "then", lineterm="", n=2)
    return "\n".join(lines)[:DIFF_LIMIT]
