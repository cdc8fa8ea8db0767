"""What can be checked of this machine without a coordinator."""

import platform
import shutil
import sys
from collections.abc import Iterator

from pilotage_client.answers import Finding
from pilotage_client.place import state_dir


def findings() -> Iterator[Finding]:
    """Yield what was found on this machine."""
    yield _python()
    yield _disk()
    for program, use in (
        ("restic", "the backup and restore steps"),
        ("systemctl", "installing the agent as a service"),
    ):
        yield _program(program, use)


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    return Finding(check="python", verdict="ok", detail=found, fix="")


def _disk() -> Finding:
    place = state_dir()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    detail = f"{free / 2**30:.1f} GiB free at {place}"
    if free < 256 * 2**20:
        return Finding(check="local disk", verdict="failure", detail=detail, fix=f"free at least 256 MiB at {place}")
    if free < 2 * 2**30:
        return Finding(
            check="local disk", verdict="warning", detail=detail, fix=f"2 GiB at {place} leave room for logs"
        )
    return Finding(check="local disk", verdict="ok", detail=detail, fix="")


def _program(program: str, use: str) -> Finding:
    found = shutil.which(program)
    if found:
        return Finding(check=program, verdict="ok", detail=found, fix="")
    return Finding(
        check=program, verdict="warning", detail="not on this machine", fix=f"install it if you want {use} here"
    )
