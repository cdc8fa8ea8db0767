"""`resource.release`: give a share back."""

import asyncio
from dataclasses import replace

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
    TargetFailed,
)

from pilotage_plugins.note import shelf
from pilotage_plugins.resource.allocate import AllocationName, default_name
from pilotage_plugins.resource.ledger import locked, read_ledger, write_ledger
from pilotage_plugins.resource.readings import read_host
from pilotage_plugins.resource.share import Allocation, lacks, unpromised


class ResourceReleaseParams(StepParams):
    """Which."""

    name: AllocationName | None = None


class ResourceReleaseOutputs(StepOutputs):
    """What was given back; `released` is null when there was no such share."""

    name: str
    released: Allocation | None


class ResourceRelease(StepType[ResourceReleaseParams, ResourceReleaseOutputs]):
    """Give back a share that `resource.allocate` promised; nothing happens when it is not there.

    Whoever knows its name may release it. Undo promises it again, if it is still free.
    """

    name = "resource.release"
    effect = Effect.IDEMPOTENT
    Params = ResourceReleaseParams
    Outputs = ResourceReleaseOutputs

    async def preview(self, ctx: StepContext, params: ResourceReleaseParams) -> Preview:
        """Say what would be given back."""
        name = params.name or default_name(ctx)
        held = (await asyncio.to_thread(read_ledger)).named(name)
        if held is None:
            return Preview(changes=(Change(action=Action.NONE, subject=name, note="nothing is promised by this name"),))
        return Preview(changes=(Change(action=Action.DELETE, subject=name, note=f"made by {held.owner}"[:4096]),))

    async def run(self, ctx: StepContext, params: ResourceReleaseParams) -> ResourceReleaseOutputs:
        """Strike it out, with the ledger locked; what it was is noted before, for a retry's sake."""
        name = params.name or default_name(ctx)
        async with locked(ctx):
            return await asyncio.to_thread(_release, ctx.step_run, name)

    async def undo(self, ctx: StepContext, params: ResourceReleaseParams, outputs: ResourceReleaseOutputs) -> None:
        """Promise it again."""
        if outputs.released is not None:
            async with locked(ctx):
                await asyncio.to_thread(_promise_again, outputs.released)


def _release(step_run: str, name: str) -> ResourceReleaseOutputs:
    ledger = read_ledger()
    noted = shelf.find(step_run, ResourceReleaseOutputs)
    held = ledger.named(name)
    if held is None:
        return noted or ResourceReleaseOutputs(name=name, released=None)
    outputs = ResourceReleaseOutputs(name=name, released=held)
    shelf.keep(step_run, outputs)
    write_ledger(ledger.without(name))
    return outputs


def _promise_again(share: Allocation) -> None:
    ledger = read_ledger()
    held = ledger.named(share.name)
    if held == share:
        return
    if held is not None:
        raise TargetFailed(f"an allocation {share.name!r} was made by {held.owner} since: the old one stays released")
    readings = read_host(share.disk_path, [each.disk_path for each in ledger.allocations])
    readings = replace(readings, taken_ports=frozenset())  # its own workload may listen there still
    room = unpromised(readings, ledger.allocations, share.disk_path)
    if missing := lacks(share, room, readings, ledger.allocations):
        raise TargetFailed(f"{share.name!r} cannot be promised again: {'; '.join(missing)}")
    write_ledger(ledger.having(share))
