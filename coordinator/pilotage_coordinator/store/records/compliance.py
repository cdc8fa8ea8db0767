"""Rows of checks of compliance: the evidence that reports are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilotage_coordinator.domain.plan import Json


@dataclass(frozen=True, slots=True)
class ComplianceRecord:
    """One check: of an execution before it began, or of a plan that was kept from being made or started."""

    at: int
    """UTC microseconds."""
    stage: str
    """`plan` or `start`."""
    execution: str
    """Empty where nothing was started."""
    blueprint: str
    version: str
    digest: str
    plan_digest: str
    principal: str
    """Who asked."""
    principal_kind: str
    policy: int
    """The version of the policy whose rules were asked."""
    outcome: str
    """`passed`, `warned`, `blocked`, or `nothing`: no rule is about it."""
    content: Mapping[str, Json]
    """All that was found (`runtime.compliance_record`)."""


@dataclass(frozen=True, slots=True)
class ComplianceFilter:
    """Which checks to list. `since` counts, `until` does not; empty fields filter nothing."""

    blueprint: str = ""
    since: int = 0
    until: int = 2**62


@dataclass(frozen=True, slots=True)
class UncheckedRuns:
    """How many executions of a blueprint began without a check."""

    blueprint: str
    count: int
