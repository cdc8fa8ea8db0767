"""What proves that a host's data would survive the host: backups that were made of it, and drills that restored them.

Only what a host reported itself counts; a person who calls an unknown step done proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pilotage_coordinator.domain.plan import Json


class ProofKind(StrEnum):
    """What was done."""

    BACKUP = "backup"
    DRILL = "drill"


KINDS: Final[Mapping[str, ProofKind]] = {
    "backup.create": ProofKind.BACKUP,
    "backup.database": ProofKind.BACKUP,
    "restore.drill": ProofKind.DRILL,
}
"""The step types that count, by name."""

_TOLD: Final = ("snapshot_id", "path", "files_processed", "bytes_processed", "rto_s", "rpo_s", "files_identical")
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Proof:
    """One step run that ended. `at`: when it began, UTC microseconds, by the coordinator's clock where the two differ:
    data that changed after that is not in it."""

    kind: ProofKind
    passed: bool
    at: int
    execution: str
    path: str
    item: str = ""
    detail: Mapping[str, Json] = field(default_factory=dict)


def subject(kind: ProofKind, host: str, parameters: Mapping[str, Json]) -> str:
    """Return the name of the host whose data it is about: a drill may restore another one's backups."""
    other = parameters.get("host") if kind is ProofKind.DRILL else None
    return other if isinstance(other, str) and other else host


def told(outputs: Mapping[str, Json]) -> dict[str, Json]:
    """Return what is worth showing beside the time: short values of the outputs, by name."""
    return {name: outputs[name] for name in _TOLD if _short(outputs.get(name))}


def _short(value: Json) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST_TEXT
    return isinstance(value, int | float) and not isinstance(value, bool)
