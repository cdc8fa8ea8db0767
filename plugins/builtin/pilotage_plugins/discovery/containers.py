"""`discovery.containers` and `discovery.volumes`: what a host's Docker Engine holds."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pilotage_plugin_api import Availability, Effect, StepContext, StepOutputs, StepType
from pydantic import Field

from pilotage_plugins.compose.standing import PROJECT, SERVICE
from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.naming import name_in_list
from pilotage_plugins.discovery.room import fitting

ANONYMOUS: Final = "com.docker.volume.anonymous"

Json = Mapping[str, Any]


class _OnEngine:
    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


class ContainersParams(EngineParams):
    """Which containers."""

    all: bool = Field(True, description="Those that do not run, too")
    labels: tuple[str, ...] = Field((), max_length=20, description="Only those with all of these: key or key=value")


class FoundContainer(StepOutputs):
    """A container. `volumes`: the names of its volumes; `project` and `service` of a compose project, else empty."""

    name: str
    id: str
    image: str
    status: str
    running: bool
    project: str
    service: str
    volumes: tuple[str, ...]


class ContainersOutputs(StepOutputs):
    """By name; `left_out`: how many more there were than fit."""

    containers: tuple[FoundContainer, ...]
    left_out: int


class DiscoveryContainers(_OnEngine, StepType[ContainersParams, ContainersOutputs]):
    """Find the containers of a host, with their images, volumes and compose projects."""

    name = "discovery.containers"
    effect = Effect.READ
    Params = ContainersParams
    Outputs = ContainersOutputs

    async def run(self, ctx: StepContext, params: ContainersParams) -> ContainersOutputs:
        """Ask the engine."""
        async with open_engine(ctx, params) as engine:
            found = await engine.containers(all=params.all, labels=params.labels)
        told, left_out = fitting(sorted((_container(each) for each in found), key=lambda each: each.name))
        return ContainersOutputs(containers=told, left_out=left_out)


class VolumesParams(EngineParams):
    """Which volumes, and what is asked of them."""

    sizes: bool = Field(True, description="Have the engine measure them; takes its time where they hold many files")
    unnamed: bool = Field(False, description="Also those that nobody gave a name")


class FoundVolume(StepOutputs):
    """A volume. `bytes`: null when it was not measured, or its driver cannot. `containers`: who has it, running or not;
    `running` only those that run."""

    name: str
    path: str
    driver: str
    bytes: int | None
    containers: tuple[str, ...]
    running: tuple[str, ...]
    project: str


class VolumesOutputs(StepOutputs):
    """By name; `left_out`: how many more there were than fit."""

    volumes: tuple[FoundVolume, ...]
    left_out: int


class DiscoveryVolumes(_OnEngine, StepType[VolumesParams, VolumesOutputs]):
    """Find the Docker volumes of a host: where they lie, how large they are, and which containers have them."""

    name = "discovery.volumes"
    effect = Effect.READ
    Params = VolumesParams
    Outputs = VolumesOutputs

    async def run(self, ctx: StepContext, params: VolumesParams) -> VolumesOutputs:
        """Ask the engine."""
        async with open_engine(ctx, params) as engine:
            found = await engine.volumes()
            users = await engine.containers(all=True)
            sizes = await engine.volume_sizes() if params.sizes else {}
        volumes = [_volume(each, users, sizes) for each in found if params.unnamed or not is_unnamed(each)]
        told, left_out = fitting(sorted(volumes, key=lambda each: each.name))
        return VolumesOutputs(volumes=told, left_out=left_out)


def _container(found: Json) -> FoundContainer:
    return FoundContainer(
        name=name_in_list(found),
        id=found["Id"],
        image=found["Image"],
        status=found["State"],
        running=found["State"] == "running",
        project=_label(found, PROJECT),
        service=_label(found, SERVICE),
        volumes=tuple(sorted(_volume_names(found))),
    )


def _volume(found: Json, containers: Sequence[Json], sizes: Mapping[str, int]) -> FoundVolume:
    users = [each for each in containers if found["Name"] in _volume_names(each)]
    return FoundVolume(
        name=found["Name"],
        path=found["Mountpoint"],
        driver=found["Driver"],
        bytes=sizes.get(found["Name"]),
        containers=tuple(sorted(map(name_in_list, users))),
        running=tuple(sorted(name_in_list(each) for each in users if each["State"] == "running")),
        project=_label(found, PROJECT),
    )


def _volume_names(container: Json) -> set[str]:
    return {str(each["Name"]) for each in container.get("Mounts") or () if each.get("Type") == "volume"}


def is_unnamed(volume: Json) -> bool:
    """Whether nobody named it; engines before 23 do not say so, but name it by 64 random digits."""
    return ANONYMOUS in (volume.get("Labels") or {}) or re.fullmatch(r"[0-9a-f]{64}", volume["Name"]) is not None


def _label(found: Json, name: str) -> str:
    return str((found.get("Labels") or {}).get(name, ""))
