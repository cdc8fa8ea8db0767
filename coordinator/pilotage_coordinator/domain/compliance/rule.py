"""A rule of compliance: which runs it is about, and what must be true of them. Values alone; `checking` decides.

It stands in the policy's file and has its versions. The policy says what somebody may do; a rule of compliance says
what must be so, whoever does it. All durations are microseconds.
"""

from dataclasses import dataclass
from enum import StrEnum


class Enforce(StrEnum):
    """What happens where something that a rule asks for does not hold, or is not known."""

    WARN = "warn"
    BLOCK = "block"


class Approved(StrEnum):
    """Which steps somebody must have agreed to."""

    DESTRUCTIVE = "destructive"
    IRREVERSIBLE = "irreversible"
    CHANGING = "changing"
    """Every step that may change anything."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What must be true. What is false, None or empty asks for nothing."""

    stored: bool = False
    """The blueprint is a stored version, and not a text that somebody sent, or a command."""
    owner: bool = False
    documentation: bool = False
    description: bool = False
    rollback_plan: bool = False
    """The blueprint says what a rollback does: `rollback_plan` with actions."""
    approval: tuple[Approved, ...] = ()
    """An approval is asked before each such step."""
    backup_within: int | None = None
    """Every host has a good backup that is no older."""
    drill_within: int | None = None
    """Every host has backups that a drill has restored, no longer ago."""
    that: tuple[str, ...] = ()
    """Conditions (CEL) over blueprint, steps, asker, change and host; one that names host is asked for each."""


@dataclass(frozen=True, slots=True)
class ComplianceRule:
    """One rule. What is empty restricts nothing; of everything else, all must hold for it to apply."""

    name: str
    enforce: Enforce
    require: Requirements
    description: str = ""
    blueprints: tuple[str, ...] = ()
    """Ids of the blueprint that was asked for; with `*` and `?`."""
    categories: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    """Runs with steps of these types; `*` and `?` stand for letters. Then it is about the hosts of these steps."""
    hosts: str = ""
    """A selector: it is about these hosts."""
    when: str = ""
    """A condition (CEL) over blueprint, steps, asker and change."""
