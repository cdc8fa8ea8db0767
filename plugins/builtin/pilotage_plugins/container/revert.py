"""`container.revert`: the container that an upgrade replaced, back in its place."""

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Duration,
    Effect,
    Preview,
    StepContext,
    StepOutputs,
    StepType,
)
from pydantic import Field

from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.health import HealthCheck
from pilotage_plugins.container.naming import ContainerName
from pilotage_plugins.container.rehearsal import remove_rehearsals
from pilotage_plugins.container.seconds import whole_seconds
from pilotage_plugins.container.swap import swaps_of
from pilotage_plugins.container.way_back import restore_interrupted, take_back, until_ready


class RevertParams(EngineParams):
    """Which container."""

    container: ContainerName
    stop_timeout: Duration | None = Field(None, description="Until the new one is killed (its own, else 10s)")


class RevertOutputs(StepOutputs):
    """`changed` is false when there was nothing to go back to."""

    container: str
    changed: bool


class ContainerRevert(StepType[RevertParams, RevertOutputs]):
    """Put back the container that `container.upgrade` replaced, from wherever the upgrade is: cut off in the middle,
    on trial, or long settled with the previous one kept.

    For rollback plans, and by hand after a killed attempt that nobody wants to repeat.
    """

    name = "container.revert"
    effect = Effect.IDEMPOTENT
    Params = RevertParams
    Outputs = RevertOutputs

    async def preview(self, ctx: StepContext, params: RevertParams) -> Preview:
        """Name the container that would come back."""
        async with open_engine(ctx, params) as engine:
            for swap, settled in reversed(await swaps_of(engine, params.container)):
                if old := await engine.find(swap.old):
                    note = "replaced it" if settled else "was cut off while replacing it"
                    before = f"{swap.new[:12]}, which {note}"
                    after = f"{swap.old[:12]} ({old['Config']['Image']})"
                    change = Change(action=Action.UPDATE, subject=params.container, before=before, after=after)
                    return Preview(changes=(change,))
        return Preview(changes=(Change(action=Action.NONE, subject=params.container, note="nothing to go back to"),))

    async def run(self, ctx: StepContext, params: RevertParams) -> RevertOutputs:
        """Go back one step; what was cut off in the middle comes before what is settled."""
        async with open_engine(ctx, params) as engine:
            seconds = whole_seconds(params.stop_timeout)
            ready = until_ready(ctx, engine, HealthCheck())
            await remove_rehearsals(engine, params.container)
            taken_back = await restore_interrupted(engine, params.container, seconds, ready)
            if not taken_back:
                settled = [swap for swap, _ in await swaps_of(engine, params.container)]
                taken_back = [swap for swap in settled if await engine.find(swap.old)][-1:]
                for swap in taken_back:
                    await take_back(engine, swap, seconds, ready)
            for swap in taken_back:
                ctx.log(f"{swap.name} is {swap.old[:12]} again")
        return RevertOutputs(container=params.container, changed=bool(taken_back))

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)
