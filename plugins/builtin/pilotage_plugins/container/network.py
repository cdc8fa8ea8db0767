"""`network.create`, `network.remove`, `volume.create` and `volume.remove`."""

from typing import Any

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Effect,
    Preview,
    StepContext,
    StepOutputs,
    StepType,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.creation import STEP_RUN
from pilotage_plugins.container.naming import ObjectName


class ObjectParams(EngineParams):
    """Which one."""

    name: ObjectName


class ObjectOutputs(StepOutputs):
    """`changed` is false when it was so already."""

    name: str
    changed: bool


class NetworkParams(ObjectParams):
    """The network as it should be."""

    driver: str = Field("bridge", pattern=r"^[a-z0-9_.:/-]+$", max_length=200)
    subnet: str | None = Field(None, pattern=r"^[0-9a-fA-F.:]+/\d{1,3}$", description="The engine chooses one")
    internal: bool = Field(False, description="No way out of the host")
    labels: dict[str, str] = Field(default_factory=dict)


class _OnEngine:
    """What these step types share."""

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


class NetworkCreate(_OnEngine, StepType[NetworkParams, ObjectOutputs]):
    """Make a network, unless there is one of this name with this driver and subnet. Undo removes what it made."""

    name = "network.create"
    effect = Effect.IDEMPOTENT
    Params = NetworkParams
    Outputs = ObjectOutputs

    async def preview(self, ctx: StepContext, params: NetworkParams) -> Preview:
        """Say whether it is there."""
        async with open_engine(ctx, params) as engine:
            found = await engine.network(params.name)
        _must_fit(params, found)
        action = Action.NONE if found else Action.CREATE
        return Preview(changes=(Change(action=action, subject=f"network {params.name}"),))

    async def run(self, ctx: StepContext, params: NetworkParams) -> ObjectOutputs:
        """Make it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.network(params.name)
            _must_fit(params, found)
            if found is not None:
                return ObjectOutputs(name=params.name, changed=_made_by(found, ctx))
            config: dict[str, Any] = {
                "Name": params.name,
                "CheckDuplicate": True,
                "Driver": params.driver,
                "Internal": params.internal,
                "Labels": {**params.labels, STEP_RUN: ctx.step_run},
            }
            if params.subnet:
                config["IPAM"] = {"Config": [{"Subnet": params.subnet}]}
            await engine.create_network(config)
        return ObjectOutputs(name=params.name, changed=True)

    async def undo(self, ctx: StepContext, params: NetworkParams, outputs: ObjectOutputs) -> None:
        """Remove it if it was made by this; one that is in use is refused by the engine."""
        async with open_engine(ctx, params) as engine:
            if outputs.changed:
                await engine.remove_network(params.name)


class NetworkRemove(_OnEngine, StepType[ObjectParams, ObjectOutputs]):
    """Remove a network; nothing happens when it is not there. One that containers use is refused."""

    name = "network.remove"
    effect = Effect.IDEMPOTENT
    Params = ObjectParams
    Outputs = ObjectOutputs

    async def preview(self, ctx: StepContext, params: ObjectParams) -> Preview:
        """Say whether it is there."""
        async with open_engine(ctx, params) as engine:
            found = await engine.network(params.name)
        action = Action.DELETE if found else Action.NONE
        return Preview(changes=(Change(action=action, subject=f"network {params.name}"),))

    async def run(self, ctx: StepContext, params: ObjectParams) -> ObjectOutputs:
        """Remove it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.network(params.name)
            await engine.remove_network(params.name)
        return ObjectOutputs(name=params.name, changed=found is not None)


class VolumeParams(ObjectParams):
    """The volume as it should be."""

    driver: str = Field("local", pattern=r"^[a-z0-9_.:/-]+$", max_length=200)
    options: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)


class VolumeCreate(_OnEngine, StepType[VolumeParams, ObjectOutputs]):
    """Make a volume, unless there is one of this name. Undo removes it if it was made by this, and nobody uses it."""

    name = "volume.create"
    effect = Effect.IDEMPOTENT
    Params = VolumeParams
    Outputs = ObjectOutputs

    async def preview(self, ctx: StepContext, params: VolumeParams) -> Preview:
        """Say whether it is there."""
        async with open_engine(ctx, params) as engine:
            found = await engine.volume(params.name)
        action = Action.NONE if found else Action.CREATE
        return Preview(changes=(Change(action=action, subject=f"volume {params.name}"),))

    async def run(self, ctx: StepContext, params: VolumeParams) -> ObjectOutputs:
        """Make it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.volume(params.name)
            if found is not None and found["Driver"] != params.driver:
                raise TargetFailed(f"there is a volume {params.name} of the driver {found['Driver']} already")
            if found is not None:
                return ObjectOutputs(name=params.name, changed=_made_by(found, ctx))
            labels = {**params.labels, STEP_RUN: ctx.step_run}
            await engine.create_volume(
                {"Name": params.name, "Driver": params.driver, "DriverOpts": params.options, "Labels": labels}
            )
        return ObjectOutputs(name=params.name, changed=True)

    async def undo(self, ctx: StepContext, params: VolumeParams, outputs: ObjectOutputs) -> None:
        """Remove it if it was made by this; one that is in use is refused by the engine."""
        async with open_engine(ctx, params) as engine:
            if outputs.changed:
                await engine.remove_volume(params.name)


class VolumeRemove(_OnEngine, StepType[ObjectParams, ObjectOutputs]):
    """Remove a volume and all that is in it; nothing happens when it is not there. One in use is refused.

    There is no way back but a backup.
    """

    name = "volume.remove"
    effect = Effect.IDEMPOTENT
    destructive = True
    Params = ObjectParams
    Outputs = ObjectOutputs

    async def preview(self, ctx: StepContext, params: ObjectParams) -> Preview:
        """Say whether it is there."""
        async with open_engine(ctx, params) as engine:
            found = await engine.volume(params.name)
        action = Action.DELETE if found else Action.NONE
        return Preview(changes=(Change(action=action, subject=f"volume {params.name}"),))

    async def run(self, ctx: StepContext, params: ObjectParams) -> ObjectOutputs:
        """Remove it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.volume(params.name)
            await engine.remove_volume(params.name)
        return ObjectOutputs(name=params.name, changed=found is not None)


def _must_fit(params: NetworkParams, found: dict[str, Any] | None) -> None:
    """Raise TargetFailed when there is another network of this name."""
    if found is None:
        return
    subnets = [one.get("Subnet") for one in (found.get("IPAM") or {}).get("Config") or ()]
    if found["Driver"] != params.driver or (params.subnet and params.subnet not in subnets):
        raise TargetFailed(
            f"there is a network {params.name} already, of the driver {found['Driver']} with {subnets}:"
            " choose another name or remove it"
        )


def _made_by(found: dict[str, Any], ctx: StepContext) -> bool:
    """Whether an earlier attempt of this step run made it, so that undo may remove it."""
    return (found.get("Labels") or {}).get(STEP_RUN) == ctx.step_run
