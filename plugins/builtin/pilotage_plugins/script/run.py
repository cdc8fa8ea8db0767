"""`script.run`: a script of the blueprint's author, read by its interpreter."""

import hashlib
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pilotage_plugin_api import BlueprintFile, Effect, Preview, StepContext, StepType
from pydantic import Field

from pilotage_plugins.command.program import ProgramOutputs, ProgramParams, preview_program, run_guarded

SCRIPT_LIMIT: Final = 192 * 1024


class ScriptRunParams(ProgramParams):
    """The script and how it is read."""

    one_of = ("script", "file")

    script: str | None = Field(None, min_length=1, max_length=SCRIPT_LIMIT, description="The text of the script")
    file: BlueprintFile | None = Field(None, description="A file of the blueprint that holds the script instead")
    interpreter: tuple[str, ...] = Field(
        ("/bin/sh", "-eu"),
        min_length=1,
        description="The program that reads the script, with its options: [/bin/bash, -euo, pipefail], [python3]."
        " A #! line is not looked at",
    )
    args: tuple[str, ...] = Field((), description="Arguments of the script, as they are: no shell reads them")


class ScriptRunOutputs(ProgramOutputs):
    """How the script ended, and the SHA-256 of its text. The streams are their last part, about 12 KiB each."""

    sha256: str


class ScriptRun(StepType[ScriptRunParams, ScriptRunOutputs]):
    """Run a script that is written in the blueprint: in the step, or under `files:`.

    Its text is part of the plan's digest, so what was approved is what runs. It lies in memory while it runs, never on
    a disk, and is never part of a command line: values go in by `args`, `env` or `stdin`. Like a command it starts at
    most once; its author may declare `effect: read` or `effect: idempotent`, and guard it by `creates` and `removes`.
    """

    name = "script.run"
    effect = Effect.ONCE
    author_effects = frozenset({Effect.READ, Effect.IDEMPOTENT})
    Params = ScriptRunParams
    Outputs = ScriptRunOutputs

    async def preview(self, ctx: StepContext, params: ScriptRunParams) -> Preview:
        """Show what would read which script; what it changes is not known."""
        name = f"script {params.file.name}" if params.file else "script"
        script = f"{name} of {len(_text(params).splitlines())} lines, SHA-256 {_sha256(params)[:12]}"
        return await preview_program(params, f"{shlex.join([*params.interpreter, f'({script})', *params.args])}")

    async def run(self, ctx: StepContext, params: ScriptRunParams) -> ScriptRunOutputs:
        """Run it; an exit code that is not expected is a failure of kind step that ends with what it printed."""
        with _in_memory(_text(params)) as handle:
            argv = [*params.interpreter, f"/proc/self/fd/{handle}", *params.args]
            name = f"the script {params.file.name}" if params.file else f"the script for {params.interpreter[0]}"
            outputs = await run_guarded(ctx, params, argv, name, [handle])
        return ScriptRunOutputs(**outputs.model_dump(), sha256=_sha256(params))


def _text(params: ScriptRunParams) -> str:
    return params.file.text if params.file else params.script or ""


def _sha256(params: ScriptRunParams) -> str:
    return hashlib.sha256(_text(params).encode()).hexdigest()


@contextmanager
def _in_memory(text: str) -> Iterator[int]:
    """Give a descriptor of a file in memory that anyone may read who inherits it."""
    handle = os.memfd_create("pilotage-script", os.MFD_CLOEXEC)
    try:
        os.fchmod(handle, 0o444)
        with open(handle, "wb", closefd=False) as out:
            out.write(text.encode())
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle
    finally:
        os.close(handle)
