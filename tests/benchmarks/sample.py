"""Statistics of many measurements, and what the kernel says of a process."""

import os
from collections.abc import Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of values; NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    return _status(pid, "VmRSS")


def proportional_mib(pid: int) -> float:
    """Return a process's share of the memory that it uses together with others (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def family_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, of those below it, and of what each of them has waited for."""
    total = 0.0
    for each in (pid, *descendants(pid)):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            # It ended meanwhile: then its parent has waited for it.
            continue
        total += sum(int(field) for field in fields[11:15]) / _TICKS
    return total


def children(pid: int) -> list[int]:
    """Return the pids of a process's children."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(each) for each in (task / "children").read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below one."""
    found = children(pid)
    for child in tuple(found):
        found += descendants(child)
    return found


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return float("nan")
