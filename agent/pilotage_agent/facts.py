"""What this host is: facts for the inventory, as JSON values. Gathered from /proc and a few programs; nothing fails."""

import contextlib
import ipaddress
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pilotage_agent.runner.process import boot_id

_PROGRAMS: Final = {
    "docker": ("docker", "--version"),
    "restic": ("restic", "version"),
    "systemd": ("systemctl", "--version"),
}
_PROGRAM_SECONDS: Final = 5.0
_DISK_SECONDS: Final = 5.0
_MOST_LISTED: Final = 256
"""Disks and addresses that are told, each; a host may have thousands of mounts."""
_VERSION: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")

_DATA_FILESYSTEMS: Final = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "nfs", "nfs4", "cifs", "vfat")
)
_REMOTE: Final = frozenset(("nfs", "nfs4", "cifs"))


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
    """Return the mounted file systems that hold data, each device once; those that answer in time.

    Asking a file system whose server is gone blocks for ever, so each is asked on a thread that nobody waits for long.
    One that still hangs from an earlier time is not asked again: one thread for it is enough.
    """
    mounts: dict[str, tuple[str, str]] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines():
            device, mount, kind = [_unescape(field) for field in line.split()[:3]]
            if kind in _DATA_FILESYSTEMS and len(mounts) < _MOST_LISTED:
                mounts.setdefault(device, (mount, kind))
    found: dict[str, dict[str, Any]] = {}
    remote = {device: place for device, place in mounts.items() if place[1] in _REMOTE}
    local = {device: place for device, place in mounts.items() if device not in remote}
    hanging = {thread.name for thread in threading.enumerate()}
    asking = [
        threading.Thread(target=_ask_disks, args=(part, found), daemon=True, name=name)
        for name, part in (("disks", local), *((f"disk {device}", {device: remote[device]}) for device in remote))
        if name not in hanging
    ]
    give_up = time.monotonic() + _DISK_SECONDS
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(max(0.0, give_up - time.monotonic()))
    return [answer for device in mounts if (answer := found.get(device))]


def _ask_disks(mounts: Mapping[str, tuple[str, str]], found: dict[str, dict[str, Any]]) -> None:
    for device, (mount, kind) in mounts.items():
        with contextlib.suppress(OSError):
            status = os.statvfs(mount)
            found[device] = {
                "mount": _shown(mount),
                "device": _shown(device),
                "type": kind,
                "size": status.f_blocks * status.f_frsize,
                "free": status.f_bavail * status.f_frsize,
            }


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


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
    return [str(one) for one in sorted(usable, key=lambda one: (one.version, one.packed))][:_MOST_LISTED]


def _uptime() -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(float(Path("/proc/uptime").read_text().split()[0]))
    return 0


def _version_of(argv: Sequence[str]) -> str:
    """Return a program's version; empty when it is not there or does not say."""
    program = shutil.which(argv[0])
    if program is None:
        return ""
    try:
        child = subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return ""
    with child:
        try:
            printed, _ = child.communicate(timeout=_PROGRAM_SECONDS)
        except (OSError, subprocess.SubprocessError):
            printed = b""
        finally:
            # Also what it started: a wrapper that hangs does so in a child of its own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
    match = _VERSION.search(printed.decode("utf-8", "replace"))
    return match[0] if match else ""


def _free(path: Path) -> int:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path).free
    return 0
