"""Processes as /proc shows them: who they are, whose children, and how to end a whole tree of them.

Workers are child subreapers, so whatever a step leaves behind stays in its worker's tree however often it forks;
and the zygote is one above them, so what a killed worker leaves comes to the zygote.
"""

import contextlib
import ctypes
import functools
import gc
import os
import signal
import time
from pathlib import Path
from typing import Final

from pilotage_agent.ledger import WorkerIdentity

_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36

GONE_WITHIN_SECONDS: Final = 5.0
"""How long a killed tree may take to vanish before we go on without it."""


def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """Return field 22 of /proc/PID/stat, ticks since boot; None for a process that is gone or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[19])


def is_alive(worker: WorkerIdentity, this_boot: str) -> bool:
    """Whether this very process still runs."""
    return worker.boot_id == this_boot and start_time(worker.pid) == worker.start_time


def become_subreaper(name: str) -> None:
    """Adopt orphaned descendants of this process, and show it under `name` in lists of processes."""
    libc = _libc()
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def return_free_memory() -> None:
    """Give memory that is free inside this process back to the system; after work that comes seldom and needs much."""
    gc.collect()
    with contextlib.suppress(AttributeError):
        _libc().malloc_trim(0)


@functools.cache
def _libc() -> ctypes.CDLL:
    """Return the C library; loading it costs as much as a fork, so a zygote's workers inherit it."""
    return ctypes.CDLL(None)


def children_of(pid: int) -> list[int]:
    """Return the pids of the children of every thread of a process, zombies included."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += children_of_thread(pid, int(thread.name))
    return found


def children_of_thread(pid: int, thread: int) -> list[int]:
    """Return the pids of the children of one thread, zombies included; a process's first thread has its pid."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    except OSError:
        return []


def descendants_of(pid: int) -> list[int]:
    """Return the living descendants of a process, parents first."""
    found: list[int] = []
    queue = children_of(pid)
    while queue:
        child = queue.pop()
        if start_time(child) is not None:
            found.append(child)
        queue += children_of(child)
    return found


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def kill_descendants(pid: int) -> bool:
    """End every descendant of a process that itself lives on or is stopped; says whether none is left.

    Everything is stopped first, so that nothing can fork away between looking and killing.
    """
    give_up = time.monotonic() + GONE_WITHIN_SECONDS
    while living := descendants_of(pid):
        for child in living:
            _signal(child, signal.SIGSTOP)
        for child in descendants_of(pid):
            _signal(child, signal.SIGKILL)
        if time.monotonic() > give_up:
            return False
        time.sleep(0.002)
    return True


def kill_tree(worker: WorkerIdentity, this_boot: str) -> None:
    """End a worker and everything below it. Blocks for milliseconds, five seconds at most: call it on a thread."""
    if not is_alive(worker, this_boot):
        return
    _signal(worker.pid, signal.SIGSTOP)
    kill_descendants(worker.pid)
    if is_alive(worker, this_boot):
        _signal(worker.pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    if pid > 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()
