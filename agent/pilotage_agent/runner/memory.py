"""How much memory one attempt may use on this host, how much it uses, and what is said of both.

What counts is what the host would get back if the attempt ended: memory of its processes' own, and shared memory in
equal parts. Pages of files do not count, however large the files: the kernel takes them back by itself.
"""

import os
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pilotage_agent.runner.process import resident_bytes

SHARE: Final = (3, 4)
"""Of the host's memory, what one attempt may use unless the settings say otherwise: enough for a backup of a large
repository on a small host, and never so much that the agent and the host are left without."""

_COUNTED: Final = ("Pss_Anon:", "Pss_Shmem:")


def default_limit() -> int:
    """Return the bytes that one attempt may use when the settings do not say."""
    times, parts = SHARE
    return memory_of_host() * times // parts


def memory_of_host(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that this process and its children can get: the machine's, or what the control group
    of this process or one above it allows (systemd's MemoryMax, a container's limit)."""
    least = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for folder in _own_groups(proc, cgroups):
        try:
            least = min(least, int((folder / "memory.max").read_text()))
        except (OSError, ValueError):
            continue  # the root group has no such file, and "max" is no bound
    return least


def _own_groups(proc: Path, cgroups: Path) -> list[Path]:
    """Return the folders of the control groups (version 2) that this process is in, the innermost first."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        if line.startswith("0::/"):
            inner = cgroups / line.removeprefix("0::/")
            return [inner, *(folder for folder in inner.parents if folder.is_relative_to(cgroups))]
    return []


def used_bytes(pids: Iterable[int], limit: int) -> int:
    """Return what processes use together; exact only above `limit`, as to count exactly takes longer. Blocking."""
    pids = tuple(pids)
    most = sum(resident_bytes(pid) for pid in pids)
    return most if most <= limit else sum(_counted_bytes(pid) for pid in pids)


def _counted_bytes(pid: int) -> int:
    """Return what one process uses: its share of what it shares, and no pages of files. 0 when it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return resident_bytes(pid)
    counted = [int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith(_COUNTED)]
    return sum(counted) if counted else resident_bytes(pid)  # a kernel before 5.4 does not tell them apart


def limit_text(limit: int) -> str:
    """Say what the limit is, and where it is set."""
    return f"the {limit >> 20} MiB that one step may use on this host (memory_limit_mb in the agent's settings)"


def note_on_peak(limit: int) -> str:
    """Return what to add to the error of an attempt that failed in this process near its limit; else nothing.

    A program that is refused memory fails in words of its own, or none: only its size tells.
    """
    times, parts = SHARE
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) << 10
    if not limit or peak * parts < limit * times:
        return ""
    return f" (a process of it grew to {peak >> 20} MiB, near {limit_text(limit)})"
