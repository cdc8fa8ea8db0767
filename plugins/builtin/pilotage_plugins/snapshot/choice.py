"""Which backend serves a path, and which snapshot is meant."""

import asyncio
from typing import Final

from pilotage_plugin_api import StepContext, StepFailed, TargetFailed

from pilotage_plugins.snapshot.backend import Backend, Kind, Method, Snapshot, execution_of
from pilotage_plugins.snapshot.btrfs import BtrfsTrees
from pilotage_plugins.snapshot.copy import CopiedTrees
from pilotage_plugins.snapshot.kept import KeptTrees
from pilotage_plugins.snapshot.lvm import LvmSnapshots
from pilotage_plugins.snapshot.place import Place, look_at
from pilotage_plugins.snapshot.zfs import ZfsSnapshots

BACKENDS: Final[tuple[Backend, ...]] = (
    KeptTrees(BtrfsTrees()),
    ZfsSnapshots(),
    LvmSnapshots(),
    KeptTrees(CopiedTrees()),
)
"""In the order of preference: what is instant first."""

OWN: Final = "own"
LATEST: Final = "latest"


async def place_of(path: str) -> Place:
    """Look at a path in a thread."""
    return await asyncio.to_thread(look_at, path)


async def choose(ctx: StepContext, place: Place, method: Method | None) -> Backend:
    """Return the backend that was asked for, or the first that fits; raises TargetFailed with every reason."""
    if not place.there:
        raise TargetFailed(f"there is nothing at {str(place.path)!r}")
    reasons = []
    for backend in BACKENDS:
        if method is not None and backend.method is not method:
            continue
        reason = await backend.missing(ctx) or await backend.misfit(ctx, place)
        if not reason:
            return backend
        reasons.append(f"{backend.method}: {reason}")
    raise TargetFailed(f"no snapshot can be made of {str(place.path)!r}: {'; '.join(reasons)}")


def of_method(method: Method) -> Backend:
    """Return the backend of a method."""
    return next(backend for backend in BACKENDS if backend.method is method)


async def find_all(ctx: StepContext, place: Place) -> list[Snapshot]:
    """Return all that is kept of a path, by whatever backend, newest first."""
    found: list[Snapshot] = []
    for backend in BACKENDS:
        in_store = isinstance(backend, KeptTrees)
        if not in_store and (await backend.missing(ctx) or await backend.misfit(ctx, place)):
            continue
        found += await backend.snapshots(ctx, place)
    return sorted(found, key=lambda snapshot: snapshot.made_at, reverse=True)


async def find_one(ctx: StepContext, place: Place, wanted: str) -> Snapshot:
    """Return the snapshot with this id, the execution's `own`, or the `latest`; a whole one. Raises StepFailed."""
    found = await find_all(ctx, place)
    if wanted not in (OWN, LATEST):
        chosen = [each for each in found if each.id == wanted]
    else:
        execution = execution_of(ctx.attempt_key)
        chosen = [
            each
            for each in found
            if each.whole and each.kind is Kind.SNAPSHOT and (wanted == LATEST or each.execution == execution)
        ]
    if not chosen:
        which = {OWN: "no snapshot that this execution made", LATEST: "no whole snapshot"}
        raise StepFailed(
            f"there is {which.get(wanted, f'no snapshot {wanted}')} of {str(place.path)!r}: see snapshot.list, or make"
            " one with snapshot.create first"
        )
    if not chosen[0].whole:
        raise StepFailed(f"the snapshot {wanted} of {str(place.path)!r} was cut off when it was made, and is of no use")
    return chosen[0]
