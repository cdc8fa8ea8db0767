"""Which processes descend from this one, to see whether a step type left any behind."""

import os
import time
from pathlib import Path


def living_children() -> set[int]:
    """Return the pids of all living descendants of this process, zombies left out, as /proc shows them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_bytes()
        except OSError:
            continue
        state, parent = stat[stat.rindex(b")") + 2 :].split()[:2]
        if state not in (b"Z", b"X"):
            parents[int(entry.name)] = int(parent)
    found: set[int] = set()
    pending = [os.getpid()]
    while pending:
        above = pending.pop()
        below = {pid for pid, parent in parents.items() if parent == above}
        found |= below
        pending += below
    return found


def processes_marked(marker: str) -> set[int]:
    """Return the pids of living processes, orphans included, whose environment holds the marker."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def gone_within(marker: str, before: set[int], seconds: float) -> set[int]:
    """Wait until no descendant but those in `before`, and no process with the marker, lives; return who stays."""
    give_up = time.monotonic() + seconds
    while (left := (living_children() - before) | processes_marked(marker)) and time.monotonic() < give_up:
        time.sleep(0.01)
    return left
