"""`container.start`, `.stop`, `.restart`, `.pause`, `.unpause` and `.remove`: a container from one state to another."""

import asyncio
from typing import TYPE_CHECKING, Any, Literal

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
from pilotage_plugins.container.rest import execution_of
from pilotage_plugins.container.seconds import whole_seconds
from pilotage_plugins.note import shelf

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


class Before(StepOutputs):
    """The note of a step run: the container before its first attempt that changed anything, and the newest that did."""

    kind: Literal["container"] = "container"
    verb: Literal["start", "stop", "pause"]
    attempt: str
    execution: str
    container: str
    name: str
    running: bool
    paused: bool


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
            before = await _remember(ctx, "start", found, changing=not found["State"]["Running"])
            await engine.start(found["Id"])
        return LifecycleOutputs(container=params.container, id=found["Id"], changed=not before.running)

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
            before = await _remember(ctx, "stop", found, changing=bool(found["State"]["Running"]))
            await engine.stop(found["Id"], whole_seconds(params.stop_timeout))
        return LifecycleOutputs(container=params.container, id=found["Id"], changed=before.running)

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

    Put `container.resume_all` into the blueprint's `finally`: a paused container answers nobody. An attempt that is cut
    off leaves it running.
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
            paused = bool(found["State"]["Paused"])
            before = await _remember(ctx, "pause", found, changing=not paused)
            if not paused:
                await engine.pause(found["Id"])
        return LifecycleOutputs(container=params.container, id=found["Id"], changed=not before.paused)

    async def undo(self, ctx: StepContext, params: ContainerParams, outputs: LifecycleOutputs) -> None:
        """Let it go on if it was this that paused it."""
        async with open_engine(ctx, params) as engine:
            if outputs.changed and outputs.id:
                await unpause(engine, outputs.id)

    async def recover(self, ctx: StepContext, params: ContainerParams, key: str) -> str:
        """Let it go on if it was this attempt that paused it: the next one pauses it again, and if there is none
        nobody else would."""
        note = await asyncio.to_thread(shelf.find, key.rpartition("/")[0], Before)
        if note is None or note.attempt != key or note.paused:
            return ""
        async with open_engine(ctx, params) as engine:
            return f"unpaused {note.name}" if await unpause(engine, note.container) else ""


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
            changed = await unpause(engine, found["Id"])
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


async def unpause(engine: "Engine", container: str) -> bool:
    """Let a container go on if it is there and paused; says whether it was."""
    found = await engine.find(container)
    paused = found is not None and bool(found["State"]["Paused"])
    if paused:
        await engine.unpause(container)
    return paused


async def _remember(
    ctx: StepContext, verb: Literal["start", "stop", "pause"], found: dict[str, Any], *, changing: bool
) -> Before:
    """Return the container as it was before this step run's first attempt, noting it before anything is changed: a
    retried run sees its own work."""
    note = await asyncio.to_thread(shelf.find, ctx.step_run, Before)
    if note is None or note.container != found["Id"]:
        note = Before(
            verb=verb,
            attempt=ctx.attempt_key,
            execution=execution_of(ctx.attempt_key),
            container=found["Id"],
            name=str(found["Name"]).lstrip("/"),
            running=bool(found["State"]["Running"]),
            paused=bool(found["State"]["Paused"]),
        )
    if changing:
        note = note.model_copy(update={"attempt": ctx.attempt_key})
        await shelf.write(ctx.step_run, note)
    return note


async def _preview(engine: "Engine", container: str, wanted: str) -> Preview:
    now = (await engine.inspect(container))["State"]["Status"]
    action = Action.NONE if now == wanted else Action.UPDATE
    return Preview(changes=(Change(action=action, subject=container, before=now, after=wanted),))
