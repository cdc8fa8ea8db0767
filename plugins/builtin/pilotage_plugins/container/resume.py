"""`container.resume_all`: whatever an execution has put to rest runs again."""

import asyncio

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Effect,
    Preview,
    StepContext,
    StepFailed,
    StepOutputs,
    StepType,
)
from pydantic import Field

from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.lifecycle import Before, unpause
from pilotage_plugins.container.rest import execution_of, resting_of, wake
from pilotage_plugins.note import shelf


class ResumeParams(EngineParams):
    """Whose containers."""

    paused_by: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_-]+$", max_length=200, description="Id of the execution (this one)"
    )


class ResumeOutputs(StepOutputs):
    """Names of containers. `resumed`: those that were at rest and run again. `left`: those of attempts that are at work
    at this moment, and will wake them themselves."""

    resumed: tuple[str, ...]
    left: tuple[str, ...]


class ContainerResumeAll(StepType[ResumeParams, ResumeOutputs]):
    """Let the containers on this host run again that an execution has paused, or stopped for a backup.

    For `finally`, after `container.pause`; backups with `quiesce` do it by themselves, and this finds what even they
    could not wake. Containers that were at rest before are left so, and so are those of attempts that are at work.
    """

    name = "container.resume_all"
    effect = Effect.IDEMPOTENT
    Params = ResumeParams
    Outputs = ResumeOutputs

    async def preview(self, ctx: StepContext, params: ResumeParams) -> Preview:
        """Name what would be woken now."""
        execution = params.paused_by or execution_of(ctx.attempt_key)
        resting, problems = await resting_of(execution)
        names = [name for note in resting for name in note.containers.values()]
        names += [note.name for note in await _paused_by(execution)]
        changes = [Change(action=Action.UPDATE, subject=name, after="running") for name in sorted(set(names))]
        told = "; ".join(["what is paused until then is not known", *problems])
        return Preview(changes=tuple(changes), complete=False, note=told[:4000])

    async def run(self, ctx: StepContext, params: ResumeParams) -> ResumeOutputs:
        """Wake them."""
        execution = params.paused_by or execution_of(ctx.attempt_key)
        resumed: list[str] = []
        left: list[str] = []
        resting, problems = await resting_of(execution)
        async with open_engine(ctx, params) as engine:
            for note in resting:
                if note.is_at_work:
                    left += note.containers.values()
                    continue
                try:
                    resumed += await wake(engine, note)
                except StepFailed as error:
                    problems.append(str(error))
            for pause in await _paused_by(execution):
                if await unpause(engine, pause.container):
                    resumed.append(pause.name)
        if problems:
            raise StepFailed("; ".join(problems))
        for name in resumed:
            ctx.log(f"{name} runs again")
        return ResumeOutputs(resumed=tuple(resumed), left=tuple(left))

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


async def _paused_by(execution: str) -> list[Before]:
    """Return the notes of this execution's `container.pause` steps, about containers that were not paused before."""
    notes = await asyncio.to_thread(shelf.every, Before)
    return [note for note in notes if note.execution == execution and note.verb == "pause" and not note.paused]
