"""What this host is: facts for the inventory, as JSON values. Gathered from /proc and a few programs; nothing fails."""

import contextlib
import ipaddress
import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pilotage_agent.runner.process import boot_id

_PROGRAMS: Final = {
    "docker": ("docker", "--version"),
    "restic": ("restic", "version"),
    "systemd": ("systemctl", "--version"),
}
_PROGRAM_SECONDS: Final = 5.0
_VERSION: Final = re.compile(r"\d+(?:\.\d+)*")

_DATA_FILESYSTEMS: Final = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "nfs", "nfs4", "cifs", "vfat")
)


def gather_facts(state_dir: Path) -> dict[str, Any]:
    """Return the facts of this host. Takes up to a few seconds when a program hangs: call it on a thread.

    Sizes in bytes. `scratch_free_bytes` is what attempts may use in the agent's state folder.
    """
    memory = _memory()
    return {
        "hostname": socket.gethostname(),
        "os": _os_release(),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "cpu_count": os.cpu_count() or 1,
        "memory_total_bytes": memory.get("MemTotal", 0),
        "memory_available_bytes": memory.get("MemAvailable", 0),
        "disks": _disks(),
        "addresses": _addresses(),
        "boot_id": boot_id(),
        "uptime_seconds": _uptime(),
        "programs": {name: version for name, argv in _PROGRAMS.items() if (version := _version_of(argv))},
        "python": platform.python_version(),
        "scratch_free_bytes": _free(state_dir),
        "root": os.geteuid() == 0,
    }


def _os_release() -> dict[str, str]:
    with contextlib.suppress(OSError):
        release = platform.freedesktop_os_release()
        return {
            "id": release.get("ID", "linux"),
            "version": release.get("VERSION_ID", ""),
            "name": release.get("PRETTY_NAME", release.get("NAME", "Linux")),
        }
    return {"id": platform.system().lower(), "version": "", "name": platform.system()}


def _memory() -> dict[str, int]:
    found = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            number = rest.split()
            if number and number[0].isdigit():
                found[name] = int(number[0]) * 1024
    return found


def _disks() -> list[dict[str, Any]]:
    """Return the mounted file systems that hold data, each device once."""
    found: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            device, mount, kind = [_unescape(field) for field in line.split()[:3]]
            if kind not in _DATA_FILESYSTEMS or device in found:
                continue
            with contextlib.suppress(OSError):
                status = os.statvfs(mount)
                found[device] = {
                    "mount": mount,
                    "device": device,
                    "type": kind,
                    "size": status.f_blocks * status.f_frsize,
                    "free": status.f_bavail * status.f_frsize,
                }
    return list(found.values())


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _addresses() -> list[str]:
    """Return the addresses of this host that others could use, IPv4 first."""
    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/fib_trie").read_text().split("Local:")[-1].split("|--")[1:]:
            address, _, rest = line.strip().partition("\n")
            if "host LOCAL" in rest.split("|--")[0]:
                found.add(ipaddress.ip_address(address.strip()))
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            found.add(ipaddress.IPv6Address(int(line.split()[0], 16)))
    usable = [one for one in found if not (one.is_loopback or one.is_link_local)]
    return [str(one) for one in sorted(usable, key=lambda one: (one.version, one.packed))]


def _uptime() -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(float(Path("/proc/uptime").read_text().split()[0]))
    return 0


def _version_of(argv: Sequence[str]) -> str:
    """Return a program's version; empty when it is not there or does not say."""
    program = shutil.which(argv[0])
    if program is None:
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [program, *argv[1:]], capture_output=True, text=True, timeout=_PROGRAM_SECONDS, check=False
        )
        if match := _VERSION.search(done.stdout):
            return match[0]
    return ""


def _free(path: Path) -> int:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path).free
    return 0
