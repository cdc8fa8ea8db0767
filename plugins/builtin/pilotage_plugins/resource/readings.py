"""What a host has now, read from the kernel."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pilotage_plugin_api import TargetFailed

from pilotage_plugins.resource.share import Level, Readings
from pilotage_plugins.snapshot.place import MOUNTS, mount_of, read_mounts

PROC: Final = Path("/proc")
_LISTENING: Final = "0A"
_SOCKETS: Final = {"tcp": True, "tcp6": True, "udp": False, "udp6": False}
"""Tables of sockets: those of TCP count when they listen, those of UDP always."""

_MEMORY: Final = re.compile(r"^(MemTotal|MemAvailable):\s+(\d+) kB$", re.MULTILINE)


def read_host(disk_path: str, other_paths: Iterable[str]) -> Readings:
    """Read everything; blocking. Raises TargetFailed when there is no such folder, or the kernel does not tell."""
    if not Path(disk_path).is_dir():
        raise TargetFailed(f"disk_path: there is no folder {disk_path!r}")
    mounts = read_mounts(MOUNTS.read_bytes())
    paths = {disk_path, *other_paths}
    return Readings(
        cores=float(os.cpu_count() or 1),
        memory=read_memory((PROC / "meminfo").read_text()),
        disk=_read_disk(disk_path),
        disk_of={path: mount_of(os.path.realpath(path), mounts).point for path in paths},
        taken_ports=frozenset(port for name in _SOCKETS for port in _ports_of(name)),
    )


def read_memory(content: str) -> Level:
    """Read /proc/meminfo."""
    found = {name: int(size) * 1024 for name, size in _MEMORY.findall(content)}
    if len(found) != 2:
        raise TargetFailed("/proc/meminfo does not tell MemTotal and MemAvailable")
    return Level(found["MemTotal"], found["MemAvailable"])


def read_ports(table: str, *, listening_only: bool) -> list[int]:
    """Read a table of sockets, such as /proc/net/tcp."""
    ports = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and (not listening_only or fields[3] == _LISTENING):
            ports.append(int(fields[1].rpartition(":")[2], 16))
    return ports


def _read_disk(path: str) -> Level:
    status = os.statvfs(path)
    return Level(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


def _ports_of(name: str) -> list[int]:
    try:
        table = (PROC / "net" / name).read_text()
    except FileNotFoundError:
        return []  # a kernel without IPv6
    return read_ports(table, listening_only=_SOCKETS[name])
