"""Rows of blueprints and plans."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.plan import Json


@dataclass(frozen=True, slots=True)
class BlueprintRecord:
    """One stored version of a blueprint: (id, semantic version, digest of its content)."""

    id: str
    version: str
    """MAJOR.MINOR.PATCH[-PRERELEASE]; anything else is Refused."""
    digest: str
    source: str
    """The YAML as its author wrote it."""
    normalised: Mapping[str, Json]
    added_at: int
    added_by: str
    draft: bool = False
    """A draft may be replaced under the same version; a published version never."""


@dataclass(frozen=True, slots=True)
class BlueprintSummary:
    """A line in the list of blueprints: the newest version of each."""

    id: str
    version: str
    digest: str
    draft: bool
    added_at: int
    added_by: str
    versions: int
    name: str = ""
    """`name` of the normalised form."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan under its digest. Stored once; the same digest again is no change."""

    digest: str
    content: Mapping[str, Json]
    """What the digest was taken over."""
    view: Mapping[str, Json] = field(default_factory=dict)
    """What people are shown: previews, names, times. Not part of the digest."""
    created_at: int = 0
