"""Which containers write into a folder of their host, asked of its engine."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pilotage_plugin_api import StepContext, StepError

from pilotage_plugins.container.connection import EngineParams, open_engine
from pilotage_plugins.container.naming import name_in_list


async def containers_writing_to(ctx: StepContext, folders: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each folder, the names of the containers, running or not, that may write to something in it: by a
    mount in the folder, or by one that the folder lies in. Nothing where no engine answers, which the log says.
    """
    try:
        async with open_engine(ctx, EngineParams()) as engine:
            listed = await engine.containers()
    except StepError as error:
        ctx.log(f"which containers use the volumes is not known: {error}")
        return {}
    return {folder: _writers(os.path.realpath(folder), listed) for folder in folders}


def _writers(folder: str, listed: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    names = (name_in_list(one) for one in listed if any(_touches(folder, mount) for mount in one.get("Mounts") or ()))
    return tuple(sorted(names))


def _touches(folder: str, mount: Mapping[str, Any]) -> bool:
    source = mount.get("Source")
    if not source or not mount.get("RW", True):
        return False
    inner, outer = os.path.realpath(source), folder
    return os.path.commonpath((inner, outer)) in (inner, outer)
