"""How rules of compliance are written in the policy's file: the keys, each with what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.form.scalars import Condition, Duration, Flag, OneOf, Text
from pilotage_coordinator.domain.blueprint.form.shapes import Field, Reading, Record
from pilotage_coordinator.domain.blueprint.nodes import MapNode
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.compliance.rule import Approved, ComplianceRule, Enforce, Requirements
from pilotage_coordinator.domain.policy.shapes import NAMES, RULE_NAME, Selector, either_list
from pilotage_coordinator.domain.values import MINUTE


@dataclass(frozen=True, slots=True)
class WrittenRule:
    """A rule, and where it was written."""

    rule: ComplianceRule
    node: MapNode
    path: Path


def _build_requirements(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    found = Requirements(**values)
    if found == Requirements():
        return reading.refuse(node, path, "this asks for nothing", "write owner: true, backup_within: 24h, or another")
    return found


def _build_rule(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return WrittenRule(ComplianceRule(**values), node, path)


_REQUIREMENTS: Final = Record(
    "requirements",
    {
        "stored": Field(Flag(), "What is run is a stored blueprint, and not a text that somebody sent."),
        "owner": Field(Flag(), "The blueprint says who owns it."),
        "documentation": Field(Flag(), "It says where it is documented."),
        "description": Field(Flag(), "It says what it does."),
        "rollback_plan": Field(Flag(), "It has a rollback plan with actions."),
        "approval": Field(
            either_list(OneOf(tuple(each.value for each in Approved), enum=Approved), "which steps"),
            "Somebody is asked before each step that is destructive, irreversible, or changing anything.",
        ),
        "backup_within": Field(Duration(MINUTE), "Each host has a good backup that is no older: 24h."),
        "drill_within": Field(Duration(MINUTE), "A drill has restored each host's backups, no longer ago: 30d."),
        "that": Field(
            either_list(Condition(), "a condition, or a list of them"),
            "What must hold: CEL over blueprint, steps, asker, change and host (asked for each).",
        ),
    },
    _build_requirements,
)
COMPLIANCE_RULE: Final = Record(
    "rule of compliance",
    {
        "name": Field(RULE_NAME, "What every finding calls it by; one of its own.", required=True),
        "description": Field(Text(longest=2000), "What it is for, in a sentence."),
        "enforce": Field(
            OneOf(tuple(each.value for each in Enforce), enum=Enforce),
            "block: nothing is planned or started against it; warn: it is said.",
            required=True,
        ),
        "blueprints": Field(NAMES, "Only runs of these stored blueprints."),
        "categories": Field(
            either_list(Text(longest=200, empty=False), "categories"),
            "Only blueprints of these categories, also ones that were only sent and say so.",
        ),
        "operations": Field(NAMES, "Only runs with steps of these types; then only the hosts of those steps."),
        "hosts": Field(Selector(), "Only these hosts, and runs that touch one of them: env=prod."),
        "when": Field(Condition(), "Only where this holds: CEL over blueprint, steps, asker, change."),
        "require": Field(_REQUIREMENTS, "What must be true.", required=True),
    },
    _build_rule,
)
