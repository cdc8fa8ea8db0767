"""Checks of compliance as people are shown them."""

from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

from pilotage_coordinator.domain.compliance.finding import Checked, Finding
from pilotage_coordinator.service.wire import Answer


class ComplianceFinding(Answer):
    """One thing that a rule asks for: passed, failed or unknown. What is unknown counts as if it had failed."""

    rule: str
    enforce: str
    """`warn` or `block`."""
    requirement: str
    result: str
    message: str
    fix: str
    evidence: list[dict[str, JsonValue]]
    """What was looked at, each with its own result."""
    left_out: int
    """How many more were looked at than the evidence names."""


def findings_of(checked: Checked | None) -> list[ComplianceFinding]:
    """Return what a check found."""
    found: Sequence[Finding] = checked.findings if checked is not None else ()
    return [_finding(each) for each in found]


def _finding(finding: Finding) -> ComplianceFinding:
    evidence: list[Any] = [dict(each) for each in finding.evidence]
    return ComplianceFinding(
        rule=finding.rule,
        enforce=finding.enforce.value,
        requirement=finding.requirement,
        result=finding.result.value,
        message=finding.message,
        fix=finding.fix,
        evidence=evidence,
        left_out=finding.left_out,
    )
