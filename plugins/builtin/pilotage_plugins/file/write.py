"""`file.write`: a file with a given content."""

import asyncio
import hashlib
from pathlib import Path

from pilotage_plugin_api import BlueprintFile, Effect, Preview, StepContext, StepType, TargetFailed
from pydantic import Field

from pilotage_plugins.file.arrival import bring, take_away
from pilotage_plugins.file.previous import read_previous
from pilotage_plugins.file.wish import PlacedOutputs, WishParams, is_right, owners, preview_placing

CONTENT_LIMIT = 256 * 1024


class FileWriteParams(WishParams):
    """The file as it should be."""

    one_of = ("content", "file")

    content: str | None = Field(None, max_length=CONTENT_LIMIT, description="The whole text, written as UTF-8")
    file: BlueprintFile | None = Field(None, description="A file of the blueprint that holds the text instead")
    show_content: bool = Field(True, description="Show a diff in previews; false for private content")

    @property
    def text(self) -> str:
        """Return the text, from wherever it comes."""
        return self.file.text if self.file else self.content or ""


class FileWriteOutputs(PlacedOutputs):
    """What was done; `previous` feeds the undo."""


class FileWrite(StepType[FileWriteParams, FileWriteOutputs]):
    """Write a file whole or not at all, with its permissions; nothing happens when it is right already.

    With `validate_with`, a program must accept the new file first. Undo puts back what was there, or removes the file.
    Folders are not made, links are not followed.
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
        content = params.text.encode()
        placed = await bring(ctx, params, hashlib.sha256(content).hexdigest(), len(content), lambda: (content,))
        return FileWriteOutputs(**dict(placed))

    async def undo(self, ctx: StepContext, params: FileWriteParams, outputs: FileWriteOutputs) -> None:
        """Put back what was there."""
        await asyncio.to_thread(take_away, outputs, ctx.step_run)


def _preview(params: FileWriteParams) -> Preview:
    path, content = Path(params.path), params.text.encode()
    if not path.parent.is_dir():
        raise TargetFailed(f"there is no folder {str(path.parent)!r}")
    sha256 = hashlib.sha256(content).hexdigest()
    now = read_previous(path, keep=False)
    if not is_right(now, sha256, params.mode, *owners(params)):
        read_previous(path, keep=params.keep_previous)
    return preview_placing(params, now, sha256, len(content), params.text if params.show_content else None)
