"""Ending a program really: its whole process group and session, without ever hitting a stranger.

The leader's pid is also the id of its group and session. As long as the leader has not been reaped, that number
cannot be given to another process; so every signal below is sent before the reaping (see waitid WNOWAIT).
"""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final

GONE_WITHIN_SECONDS: Final = 5.0
"""How long killed members may take to vanish (uninterruptible disk waits) before we say so."""


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to every member of the group; nothing happens when there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill_session(session: int) -> None:
    """Send SIGKILL to the group and to every process of the session, those that changed their group included."""
    signal_group(session, signal.SIGKILL)
    for pid in living_members(session):
        with contextlib.suppress(ProcessLookupError, PermissionError, OSError):
            handle = os.pidfd_open(pid)
            try:
                if pid in living_members(session, only=pid):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def living_members(session: int, only: int | None = None) -> list[int]:
    """Return the pids, zombies left out, whose session or group is this one, as /proc shows them."""
    candidates = (
        [str(only)] if only is not None else [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    )
    found = []
    for name in candidates:
        try:
            stat = Path("/proc", name, "stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _parent, group, its_session = stat[stat.rindex(b")") + 2 :].split()[:4]
        if state not in (b"Z", b"X") and session in (int(group), int(its_session)):
            found.append(int(name))
    return found


def group_exists(group: int) -> bool:
    """Whether any process, zombies included, is in the group; one system call."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def wait_until_gone(session: int) -> list[int]:
    """Wait until no living process of the session is left, at most five seconds; return those that stay.

    Costs one system call when the leader has been reaped and left nobody, the common case.
    """
    give_up = time.monotonic() + GONE_WITHIN_SECONDS
    pause = 0.001
    while group_exists(session) and (left := living_members(session)):
        if time.monotonic() > give_up:
            return left
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.1)
    return []
