"""`container.snapshot`: a container's file system and whole configuration, as an image on its host."""

import hashlib
import json
from typing import Any

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Effect,
    Preview,
    ProbeAnswer,
    StepContext,
    StepOutputs,
    StepType,
)
from pydantic import Field

from pilotage_plugins.container.configuration import LABEL_PREFIX, configuration_of
from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.naming import ContainerName
from pilotage_plugins.container.swap import ATTEMPT

CONFIGURATION = f"{LABEL_PREFIX}configuration"
OF_CONTAINER = f"{LABEL_PREFIX}snapshot_of"


class SnapshotParams(EngineParams):
    """Which container."""

    container: ContainerName = Field(description="Name or id")
    repository: str = Field(
        "pilotage/snapshot", pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*$", max_length=200, description="Name of the image"
    )
    pause: bool = Field(True, description="Freeze the container while its files are copied")


class SnapshotOutputs(StepOutputs):
    """The snapshot. `volumes` are not in it: back them up."""

    container: str
    container_id: str
    ref: str
    image_id: str
    of_image: str
    volumes: tuple[str, ...]


class ContainerSnapshot(StepType[SnapshotParams, SnapshotOutputs]):
    """Keep a container's file system and its whole configuration as an image on the host. Volumes are not in it.

    The configuration (`docker inspect`, and the operator's settings alone) is JSON in a label of the image,
    io.pilotage.configuration, not in the outputs: environments often hold secrets. Undo removes the image.
    """

    name = "container.snapshot"
    effect = Effect.PROBE
    Params = SnapshotParams
    Outputs = SnapshotOutputs

    async def preview(self, ctx: StepContext, params: SnapshotParams) -> Preview:
        """Name the image."""
        async with open_engine(ctx, params) as engine:
            found = await engine.inspect(params.container)
        note = "frozen while its files are copied" if params.pause and found["State"]["Running"] else ""
        subject = f"{params.repository}:{_tag(ctx.step_run)}"
        return Preview(changes=(Change(action=Action.CREATE, subject=subject, note=note),))

    async def run(self, ctx: StepContext, params: SnapshotParams) -> SnapshotOutputs:
        """Commit it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.inspect(params.container)
            own = configuration_of(found, await engine.image(found["Image"]))
            kept = {"inspect": found, "settings": own.settings, "host": own.host, "networks": dict(own.endpoints)}
            labels = {ATTEMPT: ctx.attempt_key, OF_CONTAINER: _name(found), CONFIGURATION: json.dumps(kept)}
            tag = _tag(ctx.step_run)
            earlier = await engine.image(f"{params.repository}:{tag}")
            image_id = await engine.commit(found["Id"], params.repository, tag, labels, pause=params.pause)
            if earlier is not None:
                # An earlier attempt's: the tag has moved on, and nothing names it any more.
                await engine.remove_image(earlier["Id"])
        return _outputs(params, found, f"{params.repository}:{tag}", image_id)

    async def undo(self, ctx: StepContext, params: SnapshotParams, outputs: SnapshotOutputs) -> None:
        """Remove the image."""
        async with open_engine(ctx, params) as engine:
            await engine.remove_image(outputs.ref)

    async def probe(self, ctx: StepContext, params: SnapshotParams, key: str) -> ProbeAnswer[SnapshotOutputs]:
        """Look for the image that the attempt made."""
        async with open_engine(ctx, params) as engine:
            made = await engine.images([f"{ATTEMPT}={key}", OF_CONTAINER])
            if not made:
                return ProbeAnswer.not_done("no image carries the attempt's label")
            image = await engine.image(made[0]["Id"])
        assert image is not None
        kept = json.loads(image["Config"]["Labels"][CONFIGURATION])
        ref = (image.get("RepoTags") or [image["Id"]])[0]
        return ProbeAnswer.done(_outputs(params, kept["inspect"], ref, image["Id"]))

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


def _outputs(params: SnapshotParams, found: dict[str, Any], ref: str, image_id: str) -> SnapshotOutputs:
    return SnapshotOutputs(
        container=_name(found),
        container_id=found["Id"],
        ref=ref,
        image_id=image_id,
        of_image=found["Image"],
        volumes=tuple(one["Name"] for one in found.get("Mounts") or () if one["Type"] == "volume"),
    )


def _tag(step_run: str) -> str:
    """Return the tag of a step run's snapshot: the same for every attempt, so that a repetition leaves no litter."""
    return hashlib.sha256(step_run.encode()).hexdigest()[:16]


def _name(found: dict[str, Any]) -> str:
    return str(found["Name"]).lstrip("/")
