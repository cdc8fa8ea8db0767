"""Which units run code of packages that are to be changed: they go on with the old one until they are restarted."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

MOST_UNITS: Final = 200
_MOST_FILES: Final = 100_000
_LONGEST_MAPS: Final = 8 * 1024 * 1024
_DATA: Final = ("/usr/share/", "/etc/", "/boot/", "/lib/modules/", "/usr/lib/modules/", "/var/", "/usr/include/")


def units_that_run(files: Iterable[str], proc: Path = Path("/proc")) -> list[str] | None:
    """Return the systemd units whose processes have one of these files mapped as code; blocking.

    Processes with another root, as in containers, have files of their own and do not count. None when we may not look
    at all processes, so that nobody takes a part for the whole.
    """
    code = {os.path.realpath(file) for file, _ in zip(_code_of(files), range(_MOST_FILES), strict=False)}
    if not code:
        return []
    root = (proc / "self" / "root").stat()
    units: set[str] = set()
    for process in _processes(proc):
        try:
            theirs = (process / "root").stat()
            if (theirs.st_dev, theirs.st_ino) == (root.st_dev, root.st_ino) and not code.isdisjoint(_mapped(process)):
                units.add(_unit(process))
        except PermissionError:
            return None
        except OSError:
            continue
    return sorted(units - {""})[:MOST_UNITS]


def _code_of(files: Iterable[str]) -> Iterator[str]:
    return (file for file in files if not file.startswith(_DATA))


def _processes(proc: Path) -> Iterator[Path]:
    return (entry for entry in proc.iterdir() if entry.name.isdigit())


def _mapped(process: Path) -> set[str]:
    """Return the files that a process has mapped as code."""
    with (process / "maps").open("rb") as maps:
        text = maps.read(_LONGEST_MAPS)
    found = set()
    for line in text.split(b"\n"):
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and b"x" in fields[1] and fields[5].startswith(b"/"):
            found.add(os.fsdecode(fields[5]))
    return found


def _unit(process: Path) -> str:
    """Return the service or scope that a process belongs to; "" for one outside of any."""
    lines = (process / "cgroup").read_text().splitlines()
    paths = [line.split(":", 2)[2] for line in lines if line.startswith(("0::", "1:name=systemd:"))]
    parts = [part for path in paths for part in path.split("/") if part.endswith((".service", ".scope"))]
    return parts[-1] if parts else ""
