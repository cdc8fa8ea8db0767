"""Which boot of the host this is, and how far it has come."""

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext

from pilotage_plugins.host.kernel import waiting_kernel

REBOOT_REQUIRED: Final = Path("/run/reboot-required")
_PROC: Final = Path("/proc")


def boot_identity() -> str:
    """Return what differs after every boot: the kernel's boot id and when process 1 began (a container that is
    started anew keeps the kernel's)."""
    boot_id = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    status = (_PROC / "1/stat").read_bytes()
    began = status[status.rindex(b")") + 2 :].split()[19].decode()
    return f"{boot_id}/{began}"


def kernel() -> str:
    """Return the release of the running kernel."""
    return os.uname().release


async def reasons_to_reboot(ctx: StepContext) -> list[str] | None:
    """Return what asks for a reboot: packages that left the system's mark, and a newer kernel. None if nothing does.

    Ubuntu makes the mark; on Debian only some programs do, so that there a new kernel must be seen by itself.
    """
    waiting = await waiting_kernel(ctx)
    marked = await asyncio.to_thread(_marked)
    if waiting is None:
        return marked
    return [*(marked or ()), f"the kernel {waiting}"]


def _marked() -> list[str] | None:
    if not REBOOT_REQUIRED.exists():
        return None
    asking = REBOOT_REQUIRED.with_name("reboot-required.pkgs")
    return sorted(set(asking.read_text().split())) if asking.exists() else []


async def system_state(ctx: StepContext) -> str:
    """Return systemd's word for the whole system: starting, running, degraded, stopping."""
    result = await ctx.program(("systemctl", "is-system-running"), on_stdout=_nowhere, on_stderr=_nowhere)
    return result.stdout.decode("utf-8", "replace").strip()


async def settled(ctx: StepContext, seconds: float) -> str:
    """Wait until the system has come up, at most this long, and return its state."""
    give_up = time.monotonic() + seconds
    while (state := await system_state(ctx)) in ("initializing", "starting", "offline") and time.monotonic() < give_up:
        await ctx.sleep(0.5)
    return state


async def reboot_is_under_way(ctx: StepContext) -> bool:
    """Whether systemd is taking the host down, or is about to."""
    if await system_state(ctx) == "stopping":
        return True
    jobs = await ctx.program(("systemctl", "--no-legend", "list-jobs"), on_stdout=_nowhere, on_stderr=_nowhere)
    return b"reboot.target" in jobs.stdout


def _nowhere(line: bytes) -> None:
    """Take a line that is not news."""
