"""Putting one container in another's place, so that a crash at any point leaves a way back that can be seen.

Nothing is remembered outside the engine: the new container carries a record of the swap as labels, and names say how
far it is. NAME is the container's name.

    candidate made:   new is NAME.pilotage-new    old is NAME
    on trial:         new is NAME                 old is NAME.pilotage-old
    retiring:         new is NAME                 old is NAME.pilotage-ending    (blue-green only)
    settled:          new is NAME                 old is NAME.pilotage-previous, or removed
    taken back:       new is removed              old is NAME

With rolling, the old one is stopped as soon as it is on trial; with blue-green it runs on, and is stopped when it
retires. Renaming the old one to its last name is the one moment from which the swap counts. The way back
(`way_back.py`) starts from everywhere before it and after it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pilotage_plugins.container.configuration import LABEL_PREFIX, endpoints_of
from pilotage_plugins.container.mark import own_mark

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

Json = dict[str, Any]

ATTEMPT: Final = f"{LABEL_PREFIX}attempt"
NAME: Final = f"{LABEL_PREFIX}upgrade"
_OLD: Final = f"{LABEL_PREFIX}previous"
_RESTART: Final = f"{LABEL_PREFIX}previous.restart"
_WORKER: Final = f"{LABEL_PREFIX}worker"
_RUNNING: Final = f"{LABEL_PREFIX}previous.running"
_NETWORKS: Final = f"{LABEL_PREFIX}previous.networks"
_BESIDE: Final = f"{LABEL_PREFIX}beside"
_DRAIN: Final = f"{LABEL_PREFIX}drain"

NEVER: Final = {"Name": "no", "MaximumRetryCount": 0}
"""The restart policy of a container that gives way: the engine would start it again, beside the new one."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One container in another's place. Containers by id; `restart`, `running` and `networks` are the old one's, from
    before; `worker` marks the process that makes the swap. `beside`: both run while traffic is switched. `drain`: when
    one of them leaves its names, so many seconds pass until it is stopped; None when names are left as they are."""

    name: str
    attempt: str
    old: str
    new: str
    restart: Mapping[str, Any]
    running: bool
    networks: Mapping[str, Json]
    beside: bool
    drain: float | None
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
    def ending_name(self) -> str:
        """What the old one is called from just before its stop, when it ran beside the new one."""
        return f"{self.name}.pilotage-ending"

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


def record(attempt: str, old: Json, *, beside: bool, drain: float | None) -> dict[str, str]:
    """Return the labels that the new container carries."""
    return {
        ATTEMPT: attempt,
        NAME: name_of(old),
        _OLD: old["Id"],
        _RESTART: json.dumps(old["HostConfig"]["RestartPolicy"]),
        _RUNNING: "yes" if old["State"]["Running"] else "no",
        _NETWORKS: json.dumps(endpoints_of(old)),
        _BESIDE: "yes" if beside else "no",
        _DRAIN: json.dumps(drain),
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
        networks=json.loads(labels[_NETWORKS]),
        beside=labels[_BESIDE] == "yes",
        drain=json.loads(labels[_DRAIN]),
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
    return [(swap, await _is_settled(engine, swap, name_of(new))) for swap, new in swaps if swap.new not in replaced]


async def _is_settled(engine: "Engine", swap: Swap, new_name: str) -> bool:
    old = await engine.find(swap.old)
    if old is None:
        return True
    return new_name == swap.name and name_of(old) not in (swap.trial_name, swap.ending_name, swap.name)


async def remove_if_made_by(engine: "Engine", name: str, attempt: str) -> None:
    """Remove the container of this name if the attempt made it; a stranger's is left alone."""
    found = await engine.find(name)
    if found is not None and (found["Config"].get("Labels") or {}).get(ATTEMPT) == attempt:
        await engine.remove(found["Id"], force=True, volumes=True)


def name_of(found: Json) -> str:
    """Return a container's name from its inspection."""
    return str(found["Name"]).lstrip("/")
