"""Toolsets: which part of the tools a client asks to be shown, as every tool shown costs it attention.

A toolset is no permission: what a credential may not do is not offered, whatever is asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final


class Toolset(StrEnum):
    """Tools that belong together."""

    READ = "read"
    """Look at blueprints, executions, logs and hosts."""
    RUN = "run"
    """Plan, start, and steer executions."""
    SCHEDULE = "schedule"
    """See and make what runs at certain times."""
    AUTHOR = "author"
    """Check blueprints that are being written."""
    ADMIN = "admin"
    """Look at the coordinator itself."""


DEFAULT: Final = frozenset({Toolset.READ, Toolset.RUN})
NAMES: Final = ", ".join(Toolset)


class ViewRefused(ValueError):
    """What a client asks to be shown makes no sense."""


@dataclass(frozen=True, slots=True)
class View:
    """What a client asks to be shown. `read_only` wins over all else: nothing that changes anything is offered."""

    toolsets: frozenset[Toolset] = DEFAULT
    read_only: bool = False


def view_of(query: Iterable[tuple[str, str]]) -> View:
    """Read a view from the query of the address, `toolsets=read,run&read_only=true`; raises ViewRefused."""
    given: dict[str, str] = {}
    for name, value in query:
        if name not in _READERS:
            raise ViewRefused(f"the address has `{name[:60]}`, which is not known: there are {', '.join(_READERS)}")
        if name in given:
            raise ViewRefused(f"the address has `{name}` twice")
        given[name] = value
    toolsets = given.get("toolsets")
    return View(
        _toolsets(toolsets) if toolsets is not None else DEFAULT,
        _flag(given.get("read_only", "false")),
    )


_READERS: Final[Mapping[str, str]] = {"toolsets": "names", "read_only": "true or false"}


def _toolsets(text: str) -> frozenset[Toolset]:
    if text == "all":
        return frozenset(Toolset)
    found = set()
    for name in text.split(","):
        try:
            found.add(Toolset(name.strip()))
        except ValueError as error:
            near = get_close_matches(name.strip(), list(Toolset), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ViewRefused(f"there is no toolset `{name[:60]}`: there are {NAMES}, and all{hint}") from error
    return frozenset(found)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ViewRefused(f"`read_only` is true or false, not `{text[:60]}`")
    return text == "true"
