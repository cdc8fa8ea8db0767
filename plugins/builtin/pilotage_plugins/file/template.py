"""`file.template`: a file made from a template and values."""

import asyncio
import importlib

from pilotage_plugin_api import BlueprintFile, Effect, Preview, StepContext, StepType
from pydantic import Field, JsonValue

from pilotage_plugins.file.text import TextOutputs, TextParams, place_text, preview_text, take_text_away

TEMPLATE_LIMIT = 192 * 1024


class FileTemplateParams(TextParams):
    """The template, and what it is filled with."""

    one_of = ("template", "file")

    template: str | None = Field(
        None,
        max_length=TEMPLATE_LIMIT,
        description="The template, where it is short. Of the blueprint's own expressions only ${{ }} and"
        " {{ parameters.NAME }} are looked for in it",
    )
    file: BlueprintFile | None = Field(None, description="A file of the blueprint that holds the template instead")
    values: dict[str, JsonValue] = Field(default_factory=dict, description="What the template sees, by name")


class FileTemplate(StepType[FileTemplateParams, TextOutputs]):
    """Write a file from a template in Jinja's language and values, whole or not at all, with its permissions.

    The template sees `values` and nothing else, and runs in Jinja's sandbox; a name that it uses and that is not there
    fails the step. With `validate_with`, a program must accept the new file first. Undo puts back what was there.
    """

    name = "file.template"
    effect = Effect.IDEMPOTENT
    Params = FileTemplateParams
    Outputs = TextOutputs

    async def preview(self, ctx: StepContext, params: FileTemplateParams) -> Preview:
        """Show the difference that the rendered text makes."""
        return await asyncio.to_thread(lambda: preview_text(params, _rendered(ctx, params)))

    async def run(self, ctx: StepContext, params: FileTemplateParams) -> TextOutputs:
        """Render it, then write it."""
        return await place_text(ctx, params, await asyncio.to_thread(_rendered, ctx, params))

    async def undo(self, ctx: StepContext, params: FileTemplateParams, outputs: TextOutputs) -> None:
        """Put back what was there."""
        await take_text_away(ctx, params, outputs)


def _rendered(ctx: StepContext, params: FileTemplateParams) -> str:
    # Jinja costs 8 MiB and a third of a second: the zygote and the workers of other step types do without it.
    rendering = importlib.import_module("pilotage_plugins.file.rendering")
    name = params.file.name if params.file else f"of {params.path}"
    template = params.file.text if params.file else params.template or ""
    text: str = rendering.render(name, template, params.values, ctx.checkpoint)
    return text
