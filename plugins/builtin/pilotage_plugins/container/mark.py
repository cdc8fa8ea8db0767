"""Telling an attempt that is at work from one that died: a mark of its process, kept in a label."""

import os
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_STARTED: Final = 19
"""Where /proc/PID/stat has the start time, counted after the process's name (proc(5), field 22)."""


def own_mark() -> str:
    """Return the mark of this process: boot, pid and start time, as a pid alone is given to others later."""
    return _mark_of(os.getpid()) or ""


def is_at_work(mark: str) -> bool:
    """Whether the process of a mark lives on this machine, and is another one than this."""
    fields = mark.split()
    return len(fields) == 3 and fields[1].isdigit() and mark != own_mark() and _mark_of(int(fields[1])) == mark


def _mark_of(pid: int) -> str | None:
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        return None
    state, *rest = stat[stat.rindex(")") + 2 :].split()
    return None if state in ("Z", "X") else f"{boot} {pid} {rest[_STARTED - 1]}"
