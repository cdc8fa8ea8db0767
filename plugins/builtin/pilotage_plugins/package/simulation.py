"""What apt would do: read from its own simulation, with sizes and the way back."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from pilotage_plugin_api import StepFailed

from pilotage_plugins.package.apt import Apt
from pilotage_plugins.package.system import PlannedChange

MOST_CHANGES: Final = 500
"""Packages that one step may change: their names and versions must fit its outputs, or the undo would forget some."""

_INST = re.compile(r"^Inst (?P<name>\S+)(?: \[(?P<old>[^\]]+)\])? \((?P<new>\S+) (?P<origins>.*?)\s*\[[^\]]*\]\)")
_REMV = re.compile(r"^Remv (?P<name>\S+) \[(?P<old>[^\]]+)\]")
_SECURITY = re.compile(r"-security(?::|/|,|$)", re.IGNORECASE)


def parse(text: str) -> list[PlannedChange]:
    """Read what `apt-get -s` prints; lines that it says twice (Conf) are left out."""
    changes = []
    for line in text.splitlines():
        if found := _INST.match(line):
            security = bool(_SECURITY.search(found["origins"]))
            changes.append(
                PlannedChange(package=found["name"], before=found["old"] or "", after=found["new"], security=security)
            )
        elif found := _REMV.match(line):
            changes.append(PlannedChange(package=found["name"], before=found["old"]))
    return changes


async def simulate(apt: Apt, *argv: str) -> list[PlannedChange]:
    """Ask apt what it would do; raises StepFailed when that is more than one step can keep in mind."""
    lines: list[bytes] = []
    await replace(apt, hooks=False).get("-s", *argv, on_stdout=lines.append)
    changes = parse(b"\n".join(lines).decode("utf-8", "replace"))
    if len(changes) > MOST_CHANGES:
        raise StepFailed(
            f"apt would change {len(changes)} packages, one step changes at most {MOST_CHANGES}:"
            " name some in `packages`"
        )
    return changes


async def with_details(apt: Apt, changes: Sequence[PlannedChange]) -> list[PlannedChange]:
    """Add sizes, and whether the present versions can still be had."""
    if not changes:
        return []
    sizes = _sizes(await apt.cache("show", *(f"{c.package}={c.after}" for c in changes if c.after)))
    offered = await offered_versions(apt, (change.package for change in changes if change.before))
    return [
        change.model_copy(
            update={
                "download_bytes": sizes.get((bare(change.package), change.after), 0),
                "way_back": not change.before or change.before in offered.get(bare(change.package), ()),
            }
        )
        for change in changes
    ]


async def offered_versions(apt: Apt, packages: Iterable[str]) -> dict[str, set[str]]:
    """Return the versions of each package that a repository offers now."""
    offered: dict[str, set[str]] = {}
    names = sorted({bare(package) for package in packages})
    for line in (await apt.cache("madison", *names) if names else "").splitlines():
        name, _, rest = line.partition("|")
        offered.setdefault(name.strip(), set()).add(rest.partition("|")[0].strip())
    return offered


def bare(package: str) -> str:
    """Return the name without its architecture."""
    return package.partition(":")[0]


def _sizes(text: str) -> dict[tuple[str, str], int]:
    sizes: dict[tuple[str, str], int] = {}
    for stanza in text.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in stanza.splitlines() if not line.startswith(" "))
        if "Package" in fields and fields.get("Size", "").isdigit():
            sizes[fields["Package"], fields.get("Version", "")] = int(fields["Size"])
    return sizes
