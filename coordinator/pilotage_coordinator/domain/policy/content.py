"""Rules and policies as JSON and back: for the store, and for the plans that keep the rules that decided about them."""

from collections.abc import Mapping
from typing import Any

from pilotage_coordinator.domain.compliance.rule import ComplianceRule
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.json_form import plain, read, written
from pilotage_coordinator.domain.policy.rule import Policy, Rule


def rule_content(rule: Rule) -> dict[str, Json]:
    """Return a rule as JSON values, what it says of people left out: `description` decides nothing."""
    content: dict[str, Json] = plain(written(rule))
    content.pop("description", None)
    return content


def compliance_content(rule: ComplianceRule) -> dict[str, Json]:
    """Return a rule of compliance as JSON values, without its description."""
    content: dict[str, Json] = plain(written(rule))
    content.pop("description", None)
    return content


def policy_content(policy: Policy) -> dict[str, Json]:
    """Return a policy as JSON values."""
    content: dict[str, Json] = plain(written(policy))
    return content


def read_policy(content: Mapping[str, Any]) -> Policy:
    """Return the policy that `policy_content` wrote; raises PlanUnreadable for one of another form."""
    return read(Policy, content, "policy")
