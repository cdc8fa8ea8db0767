"""Which boot of the host this is, and how far it has come."""

import os
import time
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext

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


def reasons_to_reboot() -> list[str] | None:
    """Return the packages that ask for a reboot; None when nothing asks for one (Debian's and Ubuntu's mark)."""
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
