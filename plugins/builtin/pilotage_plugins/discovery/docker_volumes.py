"""Where the named volumes of a host's Docker Engine lie, for a backup that must not forget them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pilotage_plugin_api import StepContext, TargetFailed

from pilotage_plugins.container.connection import EngineParams, open_engine, socket_of
from pilotage_plugins.discovery.containers import is_unnamed

LOCAL: Final = "local"


@dataclass(frozen=True, slots=True)
class DockerVolumes:
    """`folders`: where each volume lies, by name. `left_out`: those that lie in no folder of this host, with why."""

    folders: Mapping[str, str]
    left_out: Sequence[str] = ()


async def find_docker_volumes(ctx: StepContext) -> DockerVolumes:
    """Ask the engine for its named volumes; none where there is no engine at all, which the log says.

    Raises the StepError of an engine that is there and does not answer, and of one that we may not ask.
    """
    try:
        there = os.path.lexists(socket_of(None, ctx))
    except TargetFailed as error:
        ctx.log(f"Docker volumes are not looked for: {error}")
        return DockerVolumes({})
    if not there:
        ctx.log("there is no Docker Engine here, so there are no Docker volumes")
        return DockerVolumes({})
    async with open_engine(ctx, EngineParams()) as engine:
        return located([each for each in await engine.volumes() if not is_unnamed(each)])


def located(volumes: Sequence[Mapping[str, Any]]) -> DockerVolumes:
    """Say where volumes lie, from what the engine tells of them."""
    folders: dict[str, str] = {}
    left_out: list[str] = []
    for each in sorted(volumes, key=lambda volume: str(volume["Name"])):
        name, options = str(each["Name"]), each.get("Options") or {}
        device = str(options.get("device", ""))
        if each.get("Driver") != LOCAL:
            left_out.append(f"Docker volume {name}: only its driver {each.get('Driver')} knows where it lies")
        elif not device:
            folders[name] = os.path.normpath(each["Mountpoint"])
        elif "bind" in str(options.get("o", "")).split(",") and device.startswith("/"):
            # Mounted only while a container has it; the folder itself is always there.
            folders[name] = os.path.normpath(device)
        else:
            left_out.append(f"Docker volume {name}: it is {options.get('type', 'something')} from {device}")
    return DockerVolumes(folders, left_out)
