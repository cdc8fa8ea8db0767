"""On what it was measured: everything that one must know to compare two reports."""

import os
import platform
import sqlite3
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.disk import probe


def machine(folder: Path) -> Mapping[str, str]:
    """Return the facts by name; the disk is the one of `folder`."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "memory": f"{_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {_file_system(folder)}",
        "programs": f"Python {platform.python_version()}, grpcio {version('grpcio')}, SQLite {sqlite3.sqlite_version}",
        "disk": str(probe(folder)),
        "load before": load,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder."""
    path = str(folder.resolve())
    best, kind = "", "unknown file system"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, found
    return kind
