"""Rows of policies, and of how changes were closed."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilotage_coordinator.domain.plan import Json


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """One version of the policy."""

    version: int
    """From 1, without gaps; the highest is the one that counts."""
    source: str
    """The YAML as its author wrote it."""
    content: Mapping[str, Json]
    """What it was understood as (`domain.policy.content`)."""
    set_at: int
    set_by: str
    comment: str = ""
    restores: int | None = None
    """The earlier version that this one brought back."""


@dataclass(frozen=True, slots=True)
class ClosingRecord:
    """How the change that an execution made was closed."""

    execution: str
    outcome: str
    note: str
    closed_at: int
    closed_by: str
