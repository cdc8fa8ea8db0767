"""`resource.allocate`: promise a share of a host to one workload."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    Refused,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
    TargetFailed,
)
from pydantic import Field, model_validator

from pilotage_plugins.backup.moment import format_time
from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.resource.ledger import Ledger, locked, read_ledger, write_ledger
from pilotage_plugins.resource.readings import read_host
from pilotage_plugins.resource.share import GIGABYTE, Allocation, Readings, Room, lacks, room_left

AllocationName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$",
        description="Its name, unique on the host; without one it is named after the execution",
    ),
]


class ResourceAllocateParams(StepParams):
    """How much of the host. At least one of these must be given."""

    name: AllocationName | None = None
    cpu_cores: float = Field(0.0, ge=0, le=4096, description="Of the host's cores; parts of one may be promised")
    memory_gb: float = Field(0.0, ge=0, le=1_000_000, description="In 10^9 bytes")
    disk_gb: float = Field(0.0, ge=0, le=1_000_000_000, description="In 10^9 bytes, on the file system of disk_path")
    disk_path: PlainPath = Field("/", description="A folder of the file system that is meant")
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (), max_length=1000, description="On which nothing may listen yet, and which nobody else was promised"
    )

    @model_validator(mode="after")
    def _something(self) -> "ResourceAllocateParams":
        if not (self.cpu_cores or self.memory_gb or self.disk_gb or self.ports):
            raise ValueError("asks for nothing: give cpu_cores, memory_gb, disk_gb or ports")
        return self


class ResourceAllocateOutputs(StepOutputs):
    """The share, and what is left for others beside it."""

    name: str
    owner: str
    cpu_cores: float
    memory_gb: float
    disk_gb: float
    disk_path: str
    ports: tuple[int, ...]


class ResourceAllocate(StepType[ResourceAllocateParams, ResourceAllocateOutputs]):
    """Promise cores, memory, disk and ports of a host to one workload, if they are free beside all other promises.

    It is a promise among executions of Pilotage, kept in a ledger on the host: nothing limits what others use. It lasts
    until `resource.release`; undo releases it, too. The same step run has the same share; a name of another is refused.
    """

    name = "resource.allocate"
    effect = Effect.IDEMPOTENT
    Params = ResourceAllocateParams
    Outputs = ResourceAllocateOutputs

    async def preview(self, ctx: StepContext, params: ResourceAllocateParams) -> Preview:
        """Say what would be promised, and what is left now; refuse what does not fit."""
        ledger = await asyncio.to_thread(read_ledger)
        wanted = _wanted(ctx, params)
        if held := ledger.named(wanted.name):
            _refuse_another(held, wanted)
            return Preview(changes=(Change(action=Action.NONE, subject=wanted.name, note="is promised already"),))
        readings, room = await asyncio.to_thread(_measure, ledger, wanted)
        _refuse_lacking(wanted, room, readings, ledger)
        note = (
            f"left now: {room.cores:g} cores, {room.memory / GIGABYTE:.2f} GB of memory, {room.disk / GIGABYTE:.2f} GB"
            f" at {wanted.disk_path}"
        )
        return Preview(changes=(Change(action=Action.CREATE, subject=wanted.name, after=_told(wanted), note=note),))

    async def run(self, ctx: StepContext, params: ResourceAllocateParams) -> ResourceAllocateOutputs:
        """Measure, and write it down, with the ledger locked."""
        wanted = _wanted(ctx, params)
        async with locked(ctx):
            await asyncio.to_thread(_enter, wanted)
        return ResourceAllocateOutputs(
            name=wanted.name,
            owner=wanted.owner,
            cpu_cores=wanted.cpu_cores,
            memory_gb=params.memory_gb,
            disk_gb=params.disk_gb,
            disk_path=wanted.disk_path,
            ports=wanted.ports,
        )

    async def undo(self, ctx: StepContext, params: ResourceAllocateParams, outputs: ResourceAllocateOutputs) -> None:
        """Release it, unless the name is another's by now."""
        async with locked(ctx):
            await asyncio.to_thread(_strike, outputs)


def default_name(ctx: StepContext) -> str:
    """Return the name of an allocation without one: the execution's."""
    return ctx.attempt_key.partition("/")[0].lower()


def _wanted(ctx: StepContext, params: ResourceAllocateParams) -> Allocation:
    return Allocation(
        name=params.name or default_name(ctx),
        owner=ctx.step_run,
        cpu_cores=params.cpu_cores,
        memory_bytes=round(params.memory_gb * GIGABYTE),
        disk_bytes=round(params.disk_gb * GIGABYTE),
        disk_path=params.disk_path,
        ports=tuple(sorted(set(params.ports))),
    )


def _enter(wanted: Allocation) -> None:
    ledger = read_ledger()
    if held := ledger.named(wanted.name):
        _refuse_another(held, wanted)
        return
    readings, room = _measure(ledger, wanted)
    _refuse_lacking(wanted, room, readings, ledger)
    more = {
        "made_at": format_time(datetime.now(UTC)),
        "memory_outside": room.memory_outside,
        "disk_outside": room.disk_outside,
    }
    write_ledger(ledger.having(wanted.model_copy(update=more)))


def _strike(outputs: ResourceAllocateOutputs) -> None:
    ledger = read_ledger()
    held = ledger.named(outputs.name)
    if held is not None and held.owner == outputs.owner:
        write_ledger(ledger.without(outputs.name))


def _measure(ledger: Ledger, wanted: Allocation) -> tuple[Readings, Room]:
    readings = read_host(wanted.disk_path, [share.disk_path for share in ledger.allocations])
    return readings, room_left(readings, ledger.allocations, wanted.disk_path)


def _refuse_another(held: Allocation, wanted: Allocation) -> None:
    if held.owner != wanted.owner:
        raise Refused(
            f"name: an allocation {wanted.name!r} is there already, made by {held.owner} at {held.made_at}: give this"
            " one another name, or release that one with resource.release"
        )


def _refuse_lacking(wanted: Allocation, room: Room, readings: Readings, ledger: Ledger) -> None:
    if missing := lacks(wanted, room, readings, ledger.allocations):
        holders = ", ".join(share.name for share in ledger.allocations[:10])
        promised = f" Promised to: {holders}" if holders else " Nothing is promised to anybody"
        raise TargetFailed(f"this host cannot give {'; '.join(missing)}.{promised}")


def _told(share: Allocation) -> str:
    parts = [f"{share.cpu_cores:g} cores"] if share.cpu_cores else []
    parts += [f"{share.memory_bytes / GIGABYTE:g} GB of memory"] if share.memory_bytes else []
    parts += [f"{share.disk_bytes / GIGABYTE:g} GB at {share.disk_path}"] if share.disk_bytes else []
    parts += [f"ports {', '.join(map(str, share.ports))}"] if share.ports else []
    return "; ".join(parts)[:4096]
