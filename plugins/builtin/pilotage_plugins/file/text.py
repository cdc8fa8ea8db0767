"""Texts that a step puts in a file's place, with a reload: what `file.write` and `file.template` share."""

import asyncio
import hashlib
from pathlib import Path

from pilotage_plugin_api import Action, Change, Preview, Refused, StepContext, StepFailed, StepParams, TargetFailed
from pydantic import Field

from pilotage_plugins.file.arrival import bring, take_away
from pilotage_plugins.file.previous import put_back, read_previous, remove_note
from pilotage_plugins.file.wish import PlacedOutputs, WishParams, is_right, owners, preview_placing
from pilotage_plugins.service.unit import UnitName, availability, look, tell


class Then(StepParams):
    """What happens once the file has changed."""

    reload: UnitName = Field(description="A unit that reads the file: reloaded if it runs")


class TextParams(WishParams):
    """Where a text goes, and who is told that it changed."""

    show_content: bool = Field(True, description="Show a diff in previews; false for private content")
    then: Then | None = Field(
        None,
        description="{reload: UNIT}: when the file has changed and the unit runs, it is reloaded. If it refuses, the"
        " old file is put back and the unit reloaded again. Undo reloads it, too",
    )


class TextOutputs(PlacedOutputs):
    """What was done; `previous` feeds the undo. `reloaded`: the unit that was told to read the new file."""

    reloaded: str | None = None


def preview_text(params: TextParams, text: str) -> Preview:
    """Show what putting the text in place changes. Blocking."""
    path, content = Path(params.path), text.encode()
    if not path.parent.is_dir():
        raise TargetFailed(f"there is no folder {str(path.parent)!r}")
    sha256 = hashlib.sha256(content).hexdigest()
    now = read_previous(path, keep=False)
    right = is_right(now, sha256, params.mode, *owners(params))
    if not right:
        read_previous(path, keep=params.keep_previous)
    preview = preview_placing(params, now, sha256, len(content), text if params.show_content else None)
    if right or params.then is None:
        return preview
    reload = Change(action=Action.RUN, subject=params.then.reload, after="reloaded", note="if it runs then")
    return preview.model_copy(update={"changes": (*preview.changes, reload)})


async def place_text(ctx: StepContext, params: TextParams, text: str) -> TextOutputs:
    """Put the text in place, then have its reader reload it; a reader that refuses gets the old file back.

    A retry after a crash reloads again: whether the first try came to that is not known, and it does no harm.
    """
    content = text.encode()
    unit = None if params.then is None else params.then.reload
    if unit is not None:
        await _runs(ctx, unit)
    placed = await bring(ctx, params, hashlib.sha256(content).hexdigest(), len(content), lambda: (content,))
    if unit is None or not placed.changed or not await _runs(ctx, unit):
        return TextOutputs(**dict(placed))
    try:
        await tell(ctx, "reload", unit=unit)
    except StepFailed as refused:
        raise StepFailed(f"{refused}. {await _retreat(ctx, placed, unit)}") from refused
    return TextOutputs(**dict(placed), reloaded=unit)


async def take_text_away(ctx: StepContext, params: TextParams, outputs: TextOutputs) -> None:
    """Undo: put back what was there, and reload who was told to read the new file."""
    if outputs.reloaded not in (None, None if params.then is None else params.then.reload):
        raise Refused(f"the step reloads no unit {outputs.reloaded!r}, which its outputs name: nothing was undone")
    await asyncio.to_thread(take_away, params, outputs, ctx.step_run)
    if outputs.reloaded is not None and await _runs(ctx, outputs.reloaded):
        await tell(ctx, "reload", unit=outputs.reloaded)


async def _runs(ctx: StepContext, unit: str) -> bool:
    """Return whether the unit runs; raises TargetFailed on a host without systemd, or without such a unit."""
    answer = await availability()
    if not answer.available:
        raise TargetFailed(f"then.reload: {unit} cannot be reloaded: {answer.reason}")
    return (await look(ctx, unit)).running


async def _retreat(ctx: StepContext, placed: PlacedOutputs, unit: str) -> str:
    """Put the old file back for a reader that refuses the new one; say what came of it."""
    if placed.previous.existed and placed.previous.content is None:
        return f"The new {placed.path!r} was left, as the old one was not kept (keep_previous: false)"
    path = Path(placed.path)
    await asyncio.to_thread(put_back, path, placed.previous, ctx.step_run)
    await asyncio.to_thread(remove_note, path)
    try:
        await tell(ctx, "reload", unit=unit)
    except StepFailed as refused:
        return f"The old {placed.path!r} was put back, and {unit} does not reload with that either: {refused}"
    return f"The old {placed.path!r} was put back, and {unit} was reloaded with it"
