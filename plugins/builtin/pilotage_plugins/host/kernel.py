"""Which kernels are installed, and whether the one that runs is the newest of its kind."""

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext

from pilotage_plugins.host.version import version_key

BOOT: Final = Path("/boot")
_IN_A_CONTAINER: Final = Path("/run/systemd/container")
_KIND: Final = re.compile(r"^(?P<version>\d[^-]*(?:-\d[^-]*)*)-(?P<kind>[a-z].*)$")
_HEADER: Final = slice(0x202, 0x210)


async def waiting_kernel(ctx: StepContext) -> str | None:
    """Return the newer kernel that a reboot would bring; None when there is none, or nobody can know.

    needrestart decides where it is installed and sure, as it has the host's own settings; else we look ourselves.
    """
    state, expected = await _needrestart(ctx)
    if state == "1":
        return None
    if state in ("2", "3") and expected:
        return expected
    return await asyncio.to_thread(newer_kernel, os.uname().release, os.uname().version)


def newer_kernel(release: str, build: str, boot: Path = BOOT, container: Path = _IN_A_CONTAINER) -> str | None:
    """Return the newest installed kernel of the running one's kind if it is another one; blocking.

    `release` and `build` are what `uname -r` and `uname -v` tell. A kind is what stands behind the numbers: amd64,
    cloud-amd64, generic. The same release built anew is told by the image itself, on PCs alone. A container runs the
    kernel of its host, and a kernel that does not lie in `boot` came from elsewhere: None.
    """
    running = _KIND.match(release)
    if running is None or container.exists() or not (boot / f"vmlinuz-{release}").exists():
        return None
    found = (_KIND.match(image.name.removeprefix("vmlinuz-")) for image in boot.glob("vmlinuz-*"))
    same_kind = [each for each in found if each and each["kind"] == running["kind"]]
    newest = max(same_kind, key=lambda each: version_key(each["version"]))[0]
    if newest != release:
        return newest
    installed = _build_of(boot / f"vmlinuz-{release}")
    same = installed.startswith(build.strip()) or build.strip().startswith(installed)
    return None if same else f"{release} ({installed})"


def kernel_state(told: str) -> tuple[str, str]:
    """Read what `needrestart -b -k` tells: its state (1 none, 2 same ABI, 3 another version), and what to expect."""
    fields = dict(re.findall(r"^NEEDRESTART-(KSTA|KEXP): (\S+)$", told, re.MULTILINE))
    return fields.get("KSTA", ""), fields.get("KEXP", "")


async def _needrestart(ctx: StepContext) -> tuple[str, str]:
    if await asyncio.to_thread(shutil.which, "needrestart") is None:
        return "", ""
    lines: list[bytes] = []
    result = await ctx.program(["needrestart", "-b", "-k"], on_stdout=lines.append, on_stderr=lambda line: None)
    return kernel_state(b"\n".join(lines).decode("utf-8", "replace")) if result.exit_code == 0 else ("", "")


def _build_of(image: Path) -> str:
    """Return which build an image is ("#1 SMP Debian 6.1.76-1"), by the boot protocol of PCs; "" where it has none."""
    try:
        with image.open("rb") as file:
            header = file.read(0x210)[_HEADER]
            if header[:4] != b"HdrS" or len(header) < 14:
                return ""
            file.seek(int.from_bytes(header[12:14], "little") + 0x200)
            text = file.read(512).partition(b"\0")[0].decode("ascii", "replace")
    except OSError:
        return ""
    _, mark, build = text.partition(" #")
    return f"#{build}".strip() if mark else ""
