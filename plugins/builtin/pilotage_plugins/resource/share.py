"""A share of a host, and whether it fits beside what is promised and what is used. Nothing here reads a host."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pilotage_plugin_api import StepOutputs

GIGABYTE: Final = 1_000_000_000


class Allocation(StepOutputs):
    """A share that is promised. Bytes; `disk_path` says on which file system.

    `memory_outside` and `disk_outside` are what was used by others when it was promised: what the share's own workload
    uses later is known by the difference.
    """

    name: str
    owner: str
    cpu_cores: float = 0.0
    memory_bytes: int = 0
    disk_bytes: int = 0
    disk_path: str = "/"
    ports: tuple[int, ...] = ()
    made_at: str = ""
    memory_outside: int = 0
    disk_outside: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """How much of a thing there is, and how much of it is free now."""

    total: int
    free: int

    @property
    def used(self) -> int:
        """What is not free."""
        return max(0, self.total - self.free)


@dataclass(frozen=True, slots=True)
class Readings:
    """What a host has now. `disk_of` names the file system of each path that any share is on."""

    cores: float
    memory: Level
    disk: Level
    disk_of: Mapping[str, str]
    taken_ports: frozenset[int]


@dataclass(frozen=True, slots=True)
class Room:
    """What is left for another share, and what others use of memory and disk outside of all shares."""

    cores: float
    memory: int
    disk: int
    memory_outside: int
    disk_outside: int


def room_left(readings: Readings, others: Iterable[Allocation], disk_path: str) -> Room:
    """Return what is left beside the shares of others.

    Never more than is free now, and never more than the whole without what is promised and what is used outside of the
    promises. That outside use is the most that was seen: when each share was promised, and now, were every promise used
    up. So what is promised and not used yet counts, and what is promised and used counts once.
    """
    shares = list(others)
    here = [share for share in shares if readings.disk_of.get(share.disk_path) == readings.disk_of.get(disk_path)]
    memory, memory_outside = _left(
        readings.memory, [share.memory_bytes for share in shares], [share.memory_outside for share in shares]
    )
    disk, disk_outside = _left(
        readings.disk, [share.disk_bytes for share in here], [share.disk_outside for share in here if share.disk_bytes]
    )
    cores = readings.cores - sum(share.cpu_cores for share in shares)
    return Room(max(0.0, cores), memory, disk, memory_outside, disk_outside)


def unpromised(readings: Readings, others: Iterable[Allocation], disk_path: str) -> Room:
    """Return what nobody was promised, whoever uses it: for a share whose workload may be there still."""
    shares = list(others)
    here = [share for share in shares if readings.disk_of.get(share.disk_path) == readings.disk_of.get(disk_path)]
    return Room(
        cores=max(0.0, readings.cores - sum(share.cpu_cores for share in shares)),
        memory=max(0, readings.memory.total - sum(share.memory_bytes for share in shares)),
        disk=max(0, readings.disk.total - sum(share.disk_bytes for share in here)),
        memory_outside=0,
        disk_outside=0,
    )


def _left(level: Level, promised: list[int], seen: list[int]) -> tuple[int, int]:
    outside = max([level.used - sum(promised), *seen, 0])
    return max(0, min(level.free, level.total - outside - sum(promised))), outside


def lacks(wanted: Allocation, room: Room, readings: Readings, others: Iterable[Allocation]) -> list[str]:
    """Return what there is not enough of, in words; nothing when the share fits."""
    found = []
    if wanted.cpu_cores > room.cores + 1e-9:
        found.append(f"cpu_cores {wanted.cpu_cores:g} of which {room.cores:g} are left")
    if wanted.memory_bytes > room.memory:
        found.append(f"memory_gb {wanted.memory_bytes / GIGABYTE:g} of which {room.memory / GIGABYTE:.2f} are left")
    if wanted.disk_bytes > room.disk:
        found.append(
            f"disk_gb {wanted.disk_bytes / GIGABYTE:g} of which {room.disk / GIGABYTE:.2f} are left at"
            f" {wanted.disk_path!r}"
        )
    for port in wanted.ports:
        holder = next((share.name for share in others if port in share.ports), None)
        if holder is not None:
            found.append(f"port {port}, which is promised to {holder}")
        elif port in readings.taken_ports:
            found.append(f"port {port}, on which something listens")
    return found
