"""`container.start`, `.stop`, `.restart`, `.pause`, `.unpause` and `.remove`: a container from one state to another."""

from typing import TYPE_CHECKING

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
from pilotage_plugins.container.naming import ContainerName
from pilotage_plugins.container.seconds import whole_seconds

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


class ContainerParams(EngineParams):
    """Which container."""

    container: ContainerName = Field(description="Name or id")


class StopParams(ContainerParams):
    """Which container, and how patiently."""

    stop_timeout: Duration | None = Field(None, description="Until it is killed (its own, else 10s)")


class LifecycleOutputs(StepOutputs):
    """`changed` is false when it was so already. `id` is None when there is no such container."""

    container: str
    id: str | None
    changed: bool


class _OnContainer:
    """What these step types share."""

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


class ContainerStart(_OnContainer, StepType[ContainerParams, LifecycleOutputs]):
    """Start a container that is there; nothing happens when it runs. Undo stops it again."""

    name = "container.start"
    effect = Effect.IDEMPOTENT
    Params = ContainerParams
    Outputs = LifecycleOutputs

    async def preview(self, ctx: StepContext, params: ContainerParams) -> Preview:
        """Say whether it runs."""
        async with open_engine(ctx, params) as engine:
            return await _preview(engine, params.container, "running")

    async def run(self, ctx: StepContext, params: ContainerParams) -> LifecycleOutputs:
        """Start it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.inspect(params.container)
            await engine.start(params.container)
        changed = not found["State"]["Running"]
        return LifecycleOutputs(container=params.container, id=found["Id"], changed=changed)

    async def undo(self, ctx: StepContext, params: ContainerParams, outputs: LifecycleOutputs) -> None:
        """Stop it if it was this that started it."""
        async with open_engine(ctx, params) as engine:
            if outputs.changed and outputs.id and await engine.find(outputs.id):
                await engine.stop(outputs.id, None)


class ContainerStop(_OnContainer, StepType[StopParams, LifecycleOutputs]):
    """Stop a container; nothing happens when it does not run. Undo starts it again."""

    name = "container.stop"
    effect = Effect.IDEMPOTENT
    Params = StopParams
    Outputs = LifecycleOutputs

    async def preview(self, ctx: StepContext, params: StopParams) -> Preview:
        """Say whether it runs."""
        async with open_engine(ctx, params) as engine:
            return await _preview(engine, params.container, "exited")

    async def run(self, ctx: StepContext, params: StopParams) -> LifecycleOutputs:
        """Stop it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.inspect(params.container)
            await engine.stop(params.container, whole_seconds(params.stop_timeout))
        changed = bool(found["State"]["Running"])
        return LifecycleOutputs(container=params.container, id=found["Id"], changed=changed)

    async def undo(self, ctx: StepContext, params: StopParams, outputs: LifecycleOutputs) -> None:
        """Start it if it was this that stopped it."""
        async with open_engine(ctx, params) as engine:
            if outputs.changed and outputs.id:
                await engine.start(outputs.id)


class ContainerRestart(_OnContainer, StepType[StopParams, LifecycleOutputs]):
    """Stop a container and start it again; one that does not run is started. A repeated attempt restarts it again."""

    name = "container.restart"
    effect = Effect.IDEMPOTENT
    Params = StopParams
    Outputs = LifecycleOutputs

    async def preview(self, ctx: StepContext, params: StopParams) -> Preview:
        """Say that it will be away for a moment."""
        async with open_engine(ctx, params) as engine:
            await engine.inspect(params.container)
        return Preview(changes=(Change(action=Action.RUN, subject=params.container, note="stops and starts again"),))

    async def run(self, ctx: StepContext, params: StopParams) -> LifecycleOutputs:
        """Restart it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.inspect(params.container)
            await engine.restart(params.container, whole_seconds(params.stop_timeout))
        return LifecycleOutputs(container=params.container, id=found["Id"], changed=True)


class ContainerPause(_OnContainer, StepType[ContainerParams, LifecycleOutputs]):
    """Freeze a container's processes, so that its files stand still. Undo lets them go on.

    Put `container.unpause` into the blueprint's `finally`: a paused container answers nobody.
    """

    name = "container.pause"
    effect = Effect.IDEMPOTENT
    Params = ContainerParams
    Outputs = LifecycleOutputs

    async def preview(self, ctx: StepContext, params: ContainerParams) -> Preview:
        """Say whether it is paused."""
        async with open_engine(ctx, params) as engine:
            return await _preview(engine, params.container, "paused")

    async def run(self, ctx: StepContext, params: ContainerParams) -> LifecycleOutputs:
        """Pause it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.inspect(params.container)
            if not found["State"]["Paused"]:
                await engine.pause(params.container)
        changed = not found["State"]["Paused"]
        return LifecycleOutputs(container=params.container, id=found["Id"], changed=changed)

    async def undo(self, ctx: StepContext, params: ContainerParams, outputs: LifecycleOutputs) -> None:
        """Let it go on if it was this that paused it."""
        async with open_engine(ctx, params) as engine:
            if outputs.changed and outputs.id:
                await _unpause(engine, outputs.id)


class ContainerUnpause(_OnContainer, StepType[ContainerParams, LifecycleOutputs]):
    """Let a paused container go on; nothing happens when it is not paused."""

    name = "container.unpause"
    effect = Effect.IDEMPOTENT
    Params = ContainerParams
    Outputs = LifecycleOutputs

    async def preview(self, ctx: StepContext, params: ContainerParams) -> Preview:
        """Say whether it is paused."""
        async with open_engine(ctx, params) as engine:
            found = await engine.inspect(params.container)
        action = Action.UPDATE if found["State"]["Paused"] else Action.NONE
        return Preview(changes=(Change(action=action, subject=params.container, before=found["State"]["Status"]),))

    async def run(self, ctx: StepContext, params: ContainerParams) -> LifecycleOutputs:
        """Unpause it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.inspect(params.container)
            await _unpause(engine, found["Id"])
        changed = bool(found["State"]["Paused"])
        return LifecycleOutputs(container=params.container, id=found["Id"], changed=changed)


class RemoveParams(ContainerParams):
    """Which container, and what goes with it."""

    force: bool = Field(False, description="Kill it if it runs; otherwise a running container is refused")
    volumes: bool = Field(False, description="Remove its anonymous volumes, and what is in them")


class ContainerRemove(_OnContainer, StepType[RemoveParams, LifecycleOutputs]):
    """Remove a container; nothing happens when it is not there. There is no way back but a snapshot."""

    name = "container.remove"
    effect = Effect.IDEMPOTENT
    destructive = True
    Params = RemoveParams
    Outputs = LifecycleOutputs

    async def preview(self, ctx: StepContext, params: RemoveParams) -> Preview:
        """Say what would go."""
        async with open_engine(ctx, params) as engine:
            found = await engine.find(params.container)
        if found is None:
            return Preview(changes=(Change(action=Action.NONE, subject=params.container, note="is not there"),))
        before = f"{found['Config']['Image']}, {found['State']['Status']}"
        return Preview(changes=(Change(action=Action.DELETE, subject=params.container, before=before),))

    async def run(self, ctx: StepContext, params: RemoveParams) -> LifecycleOutputs:
        """Remove it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.find(params.container)
            if found is not None:
                await engine.remove(found["Id"], force=params.force, volumes=params.volumes)
        return LifecycleOutputs(
            container=params.container, id=None if found is None else found["Id"], changed=found is not None
        )


async def _unpause(engine: "Engine", container: str) -> None:
    found = await engine.find(container)
    if found is not None and found["State"]["Paused"]:
        await engine.unpause(container)


async def _preview(engine: "Engine", container: str, wanted: str) -> Preview:
    now = (await engine.inspect(container))["State"]["Status"]
    action = Action.NONE if now == wanted else Action.UPDATE
    return Preview(changes=(Change(action=action, subject=container, before=now, after=wanted),))
