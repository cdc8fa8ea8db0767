"""Where in a file something was written."""

import re
from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the root of a file to a node."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file: line and column count from 1; 0 where the thing was not written but implied."""

    file: str = "<none>"
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return `file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Position()


def write_path(path: Path) -> str:
    """Write a path as people read it: `workflows.nightly.steps[2].timeout`."""
    parts: list[str] = []
    for each in path:
        if isinstance(each, int):
            parts.append(f"[{each}]")
        elif _PLAIN_KEY.fullmatch(each):
            parts.append(f".{each}" if parts else each)
        else:
            parts.append(f"[{each[:60]!r}]")
    return "".join(parts)
