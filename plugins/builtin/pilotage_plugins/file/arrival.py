"""Bringing a new content to a path, with a note of what was there, and taking it away again."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from pilotage_plugin_api import StepContext, TargetFailed

from pilotage_plugins.file.placement import discard, draft, settle
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
from pilotage_plugins.file.wish import PlacedOutputs, WishParams, accept, is_right, own_path, owners


async def bring(
    ctx: StepContext, params: WishParams, sha256: str, size: int, content: Callable[[], Iterable[bytes]]
) -> PlacedOutputs:
    """Put a content in place unless it is there already; a retry still knows what was there before its first try.

    `content` is called in a thread, only when it is needed. Nothing is changed before the new file is whole, on the
    disk, and accepted by the validating program.
    """
    path = Path(params.path)
    uid, gid = await asyncio.to_thread(owners, params)
    now = await asyncio.to_thread(read_previous, path, keep=False)
    right = is_right(now, sha256, params.mode, uid, gid)
    noted = await asyncio.to_thread(read_note, path, ctx.step_run, sha256)
    previous = noted
    if previous is None:
        previous = await asyncio.to_thread(read_previous, path, keep=params.keep_previous and not right)
    if not right:
        keep_owner = now.uid if now.existed and uid == -1 else uid
        keep_group = now.gid if now.existed and gid == -1 else gid
        hidden = await asyncio.to_thread(
            lambda: draft(path, content(), params.mode, keep_owner, keep_group, ctx.step_run)
        )
        try:
            await accept(ctx, params.validate_with, hidden, params.path)
            if noted is None:
                note = Note(step_run=ctx.step_run, writing_sha256=sha256, previous=previous)
                await asyncio.to_thread(write_note, path, note)
            await asyncio.to_thread(settle, hidden, path)
        finally:
            discard(hidden)
    changed = not is_right(previous, sha256, params.mode, uid, gid)
    return PlacedOutputs(path=params.path, changed=changed, sha256=sha256, bytes=size, previous=previous)


def take_away(params: WishParams, outputs: PlacedOutputs, mark: str) -> None:
    """Undo; a second time finds the work done. A file that others changed since is left alone, and that is said."""
    path = own_path(params.path, outputs.path)
    if not outputs.changed:
        return
    remove_note(path)
    now: Previous = read_previous(path, keep=False)
    if is_same(now, outputs.previous):
        return
    if not now.existed or now.sha256 != outputs.sha256:
        raise TargetFailed(f"{outputs.path!r} was changed after the step wrote it, so it was left as it is")
    put_back(path, outputs.previous, mark)
