"""`file.write`: a file with a given content."""

import asyncio

from pilotage_plugin_api import BlueprintFile, Effect, Preview, StepContext, StepType
from pydantic import Field

from pilotage_plugins.file.text import TextOutputs, TextParams, place_text, preview_text, take_text_away

CONTENT_LIMIT = 256 * 1024


class FileWriteParams(TextParams):
    """The file as it should be."""

    one_of = ("content", "file")

    content: str | None = Field(None, max_length=CONTENT_LIMIT, description="The whole text, written as UTF-8")
    file: BlueprintFile | None = Field(None, description="A file of the blueprint that holds the text instead")


class FileWrite(StepType[FileWriteParams, TextOutputs]):
    """Write a file whole or not at all, with its permissions; nothing happens when it is right already.

    With `validate_with`, a program must accept the new file first. Undo puts back what was there, or removes the file.
    Folders are not made, links are not followed.
    """

    name = "file.write"
    effect = Effect.IDEMPOTENT
    Params = FileWriteParams
    Outputs = TextOutputs

    async def preview(self, ctx: StepContext, params: FileWriteParams) -> Preview:
        """Show the difference."""
        return await asyncio.to_thread(preview_text, params, _text(params))

    async def run(self, ctx: StepContext, params: FileWriteParams) -> TextOutputs:
        """Write it."""
        return await place_text(ctx, params, _text(params))

    async def undo(self, ctx: StepContext, params: FileWriteParams, outputs: TextOutputs) -> None:
        """Put back what was there."""
        await take_text_away(ctx, params, outputs)


def _text(params: FileWriteParams) -> str:
    return params.file.text if params.file else params.content or ""
