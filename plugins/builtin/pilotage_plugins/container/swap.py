"""Putting one container in another's place, so that a crash at any point leaves a way back that can be seen.

Nothing is remembered outside the engine: the new container carries a record of the swap as labels, and names say how
far it is. NAME is the container's name.

    candidate made:   new is NAME.pilotage-new    old is NAME
    on trial:         new is NAME                 old is NAME.pilotage-old
    settled:          new is NAME                 old is NAME.pilotage-previous, or removed
    taken back:       new is removed              old is NAME

Renaming the old one to its last name is the one moment from which the swap counts. The way back is the same from
everywhere before it and after it.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pilotage_plugin_api import TargetFailed

from pilotage_plugins.container.configuration import LABEL_PREFIX
from pilotage_plugins.container.mark import is_at_work, own_mark

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

Json = dict[str, Any]

ATTEMPT: Final = f"{LABEL_PREFIX}attempt"
NAME: Final = f"{LABEL_PREFIX}upgrade"
_OLD: Final = f"{LABEL_PREFIX}previous"
_RESTART: Final = f"{LABEL_PREFIX}previous.restart"
_WORKER: Final = f"{LABEL_PREFIX}worker"
_RUNNING: Final = f"{LABEL_PREFIX}previous.running"
_NEVER: Final = {"Name": "no", "MaximumRetryCount": 0}


@dataclass(frozen=True, slots=True)
class Swap:
    """One container in another's place. Containers by id; `restart` and `running` are the old one's, from before;
    `worker` marks the process that makes the swap."""

    name: str
    attempt: str
    old: str
    new: str
    restart: Mapping[str, Any]
    running: bool
    worker: str

    @property
    def candidate_name(self) -> str:
        """What the new one is called before it takes over, and after it was taken back."""
        return candidate_name(self.name)

    @property
    def trial_name(self) -> str:
        """What the old one is called while the new one is on trial."""
        return f"{self.name}.pilotage-old"

    @property
    def previous_name(self) -> str:
        """What the old one is called when the swap is settled and it is kept."""
        return previous_name(self.name)


def candidate_name(name: str) -> str:
    """Return the name of a container that is to take this one's place."""
    return f"{name}.pilotage-new"


def previous_name(name: str) -> str:
    """Return the name of the container whose place this one took."""
    return f"{name}.pilotage-previous"


def record(attempt: str, old: Json) -> dict[str, str]:
    """Return the labels that the new container carries."""
    return {
        ATTEMPT: attempt,
        NAME: _name_of(old),
        _OLD: old["Id"],
        _RESTART: json.dumps(old["HostConfig"]["RestartPolicy"]),
        _RUNNING: "yes" if old["State"]["Running"] else "no",
        _WORKER: own_mark(),
    }


def read_swap(new: Json) -> Swap | None:
    """Read the record back from the inspection of the new container; None when it carries none."""
    labels = new["Config"].get("Labels") or {}
    if _OLD not in labels:
        return None
    return Swap(
        name=labels[NAME],
        attempt=labels[ATTEMPT],
        old=labels[_OLD],
        new=new["Id"],
        restart=json.loads(labels[_RESTART]),
        running=labels[_RUNNING] == "yes",
        worker=labels[_WORKER],
    )


async def swaps_of(engine: "Engine", name: str) -> list[tuple[Swap, bool]]:
    """Return the swaps in which this name is at stake, newest last, each with whether it is settled.

    One that was itself replaced since is history and left out.
    """
    listed = await engine.containers(labels=[f"{NAME}={name}"])
    found = [await engine.find(one["Id"]) for one in sorted(listed, key=lambda one: int(one["Created"]))]
    swaps = [(swap, one) for one in found if one is not None and (swap := read_swap(one))]
    replaced = {swap.old for swap, _ in swaps}
    return [(swap, await _is_settled(engine, swap, _name_of(new))) for swap, new in swaps if swap.new not in replaced]


async def _is_settled(engine: "Engine", swap: Swap, new_name: str) -> bool:
    old = await engine.find(swap.old)
    if old is None:
        return True
    return new_name == swap.name and _name_of(old) not in (swap.trial_name, swap.name)


async def take_over(engine: "Engine", swap: Swap, stop_seconds: int | None) -> None:
    """Stop the old one and start the new one under its name: on trial.

    Names first: a stop goes on in the engine when nobody waits for it any more, so it must be seen that there was one.
    """
    # The engine would start it again by itself when it restarts, beside the new one.
    await engine.set_restart_policy(swap.old, _NEVER)
    await engine.rename(swap.old, swap.trial_name)
    await engine.rename(swap.new, swap.name)
    await engine.stop(swap.old, stop_seconds)
    await engine.start(swap.new)


async def settle(engine: "Engine", swap: Swap, *, keep: bool) -> None:
    """Let the swap count; the container kept from the swap before this one goes."""
    if (before := await engine.find(swap.previous_name)) and before["Id"] != swap.old:
        await engine.remove(before["Id"], force=True)
    if keep:
        await engine.rename(swap.old, swap.previous_name)
    else:
        await engine.remove(swap.old, force=True)


async def take_back(engine: "Engine", swap: Swap, stop_seconds: int | None) -> None:
    """Put the old one back as it was, whatever the swap had come to. Repeating it after a crash is fine.

    Raises TargetFailed, having changed nothing, when there is no way back: the old one is gone, or its name belongs to
    a third one.
    """
    old, holder = await engine.find(swap.old), await engine.find(swap.name)
    if old is None:
        raise TargetFailed(f"the previous container of {swap.name} ({swap.old[:12]}) is gone, so it cannot be put back")
    if holder is not None and holder["Id"] not in (swap.old, swap.new):
        raise TargetFailed(
            f"the name {swap.name} belongs to another container now ({holder['Id'][:12]}): nothing was changed"
        )
    new = await engine.find(swap.new)
    if new is not None and _name_of(old) != swap.name:
        await engine.stop(swap.new, stop_seconds)
        if _name_of(new) == swap.name:
            await engine.rename(swap.new, swap.candidate_name)
    if _name_of(old) == swap.trial_name:
        # Its stop may be under way, and a start before its end would be lost.
        await engine.stop(swap.old, stop_seconds)
    if old["HostConfig"]["RestartPolicy"] != swap.restart:
        await engine.set_restart_policy(swap.old, swap.restart)
    if _name_of(old) != swap.name:
        await engine.rename(swap.old, swap.name)
    if swap.running:
        await engine.start(swap.old)
    # It goes last: as long as it is there, what has to be done can be read from it.
    await engine.remove(swap.new, force=True, volumes=True)


async def restore_interrupted(engine: "Engine", name: str, stop_seconds: int | None) -> list[Swap]:
    """Take back every swap of this name that an interrupted attempt left unsettled; returns them.

    Raises TargetFailed, having changed nothing, when one of them is still being made by another process.
    """
    unsettled = [swap for swap, settled in await swaps_of(engine, name) if not settled]
    for swap in unsettled:
        if is_at_work(swap.worker):
            raise TargetFailed(
                f"another step is upgrading {name} at this moment ({swap.attempt}): give both a lock, such as"
                f" locks: [container:{name}]"
            )
    for swap in reversed(unsettled):
        await take_back(engine, swap, stop_seconds)
    return unsettled


async def whatever_comes(work: Awaitable[None]) -> None:
    """Do the work to its end though this task is cancelled meanwhile, as at a deadline that passes during a revert.

    The cancellation is swallowed: the caller is about to raise what ends the attempt anyway.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    task.result()


async def remove_if_made_by(engine: "Engine", name: str, attempt: str) -> None:
    """Remove the container of this name if the attempt made it; a stranger's is left alone."""
    found = await engine.find(name)
    if found is not None and (found["Config"].get("Labels") or {}).get(ATTEMPT) == attempt:
        await engine.remove(found["Id"], force=True, volumes=True)


def _name_of(found: Json) -> str:
    return str(found["Name"]).lstrip("/")
