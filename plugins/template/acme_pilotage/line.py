"""`acme.line`: a line that must be in a file."""

import asyncio
from pathlib import Path

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
    TargetFailed,
)
from pydantic import Field


class AcmeLineParams(StepParams):
    """Which line, and where."""

    path: Path = Field(description="The file; it must be there")
    line: str = Field(pattern=r"^[^\n]+$", description="The line, without its end")


class AcmeLineOutputs(StepOutputs):
    """Whether the line had to be added."""

    added: bool


class AcmeLine(StepType[AcmeLineParams, AcmeLineOutputs]):
    """Make sure that a file holds a line, adding it at the end.

    Undo takes the line out again if this step put it in.
    """

    name = "acme.line"
    effect = Effect.IDEMPOTENT
    Params = AcmeLineParams
    Outputs = AcmeLineOutputs

    async def preview(self, ctx: StepContext, params: AcmeLineParams) -> Preview:
        """Say whether the line is missing."""
        missing = params.line not in await asyncio.to_thread(_read, params.path)
        action = Action.UPDATE if missing else Action.NONE
        return Preview(changes=(Change(action=action, subject=str(params.path), after=params.line),))

    async def run(self, ctx: StepContext, params: AcmeLineParams) -> AcmeLineOutputs:
        """Add it if it is missing; the step's mark makes a second run of it answer as the first did."""
        lines = await asyncio.to_thread(_read, params.path)
        mark = params.path.with_name(f".{params.path.name}.acme")
        if params.line not in lines:
            await asyncio.to_thread(mark.write_text, ctx.step_run)
            await asyncio.to_thread(_write, params.path, [*lines, params.line])
        added = mark.exists() and mark.read_text() == ctx.step_run
        ctx.log(f"{params.path}: {'added' if added else 'nothing to do'}")
        return AcmeLineOutputs(added=added)

    async def undo(self, ctx: StepContext, params: AcmeLineParams, outputs: AcmeLineOutputs) -> None:
        """Take out what `run` added."""
        if not outputs.added:
            return
        lines = await asyncio.to_thread(_read, params.path)
        if params.line in lines:
            await asyncio.to_thread(_write, params.path, [line for line in lines if line != params.line])
        params.path.with_name(f".{params.path.name}.acme").unlink(missing_ok=True)


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError as error:
        raise TargetFailed(f"cannot read {str(path)!r}: {error.strerror}") from error


def _write(path: Path, lines: list[str]) -> None:
    """Replace the file whole, keeping its permissions; a crash leaves the old one or the new one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text("".join(f"{line}\n" for line in lines))
    new.chmod(path.stat().st_mode & 0o7777)
    new.rename(path)
