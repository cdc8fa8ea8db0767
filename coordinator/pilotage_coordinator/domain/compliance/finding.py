"""What a check found: for each thing that a rule asks for, whether it holds, and what was looked at."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pilotage_coordinator.domain.compliance.rule import Enforce
from pilotage_coordinator.domain.plan import FailureKind, Json
from pilotage_coordinator.domain.planning.errors import PlanProblem


class Result(StrEnum):
    """Whether what a rule asks for holds. What is not known never counts as if it held."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What a whole check comes to."""

    PASSED = "passed"
    WARNED = "warned"
    BLOCKED = "blocked"
    NOTHING = "nothing"
    """No rule is about it."""


MOST_EVIDENCE: Final = 50
"""Hosts or steps that one finding names as evidence of each result; `left_out` counts the others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that one rule asks for."""

    rule: str
    enforce: Enforce
    requirement: str
    """Such as `owner` or `backup_within`."""
    result: Result
    message: str
    """In words: what was found, or why it is not known."""
    fix: str = ""
    evidence: tuple[Mapping[str, Json], ...] = ()
    """What was looked at: hosts with their backups (execution, snapshot, when), steps, who owns it."""
    left_out: int = 0
    """How many more were looked at than the evidence names."""

    @property
    def held(self) -> bool:
        """Return whether what it is about holds."""
        return self.result is Result.PASSED

    @property
    def blocks(self) -> bool:
        """Return whether nothing may be started because of it."""
        return not self.held and self.enforce is Enforce.BLOCK


@dataclass(frozen=True, slots=True)
class Checked:
    """A check: by which version of the policy, when (UTC microseconds), and what was found."""

    policy: int
    at: int
    findings: tuple[Finding, ...] = field(default=())

    @property
    def outcome(self) -> Outcome:
        """Return what it comes to."""
        return outcome_of(self.findings)


def blocking(checked: Checked) -> Iterator[PlanProblem]:
    """Yield what blocks a plan, as its problems."""
    for each in checked.findings:
        if each.blocks:
            message = f"the rule of compliance {each.rule} asks for {each.requirement}: {each.message}"
            yield PlanProblem(FailureKind.POLICY, message, each.fix)


def outcome_of(findings: Iterable[Finding]) -> Outcome:
    """Return what findings come to together."""
    found = tuple(findings)
    if any(each.blocks for each in found):
        return Outcome.BLOCKED
    if any(not each.held for each in found):
        return Outcome.WARNED
    return Outcome.PASSED if found else Outcome.NOTHING
