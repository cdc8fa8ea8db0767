"""How a blueprint, and a file of them, is written."""

from collections.abc import Mapping
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.features import RESERVED
from pilotage_coordinator.domain.blueprint.form.parameter import PARAMETER
from pilotage_coordinator.domain.blueprint.form.retry import RETRY_POLICY
from pilotage_coordinator.domain.blueprint.form.rollout import GATE_FIELDS, build_gate
from pilotage_coordinator.domain.blueprint.form.scalars import (
    ID,
    ID_PATTERN,
    NAME,
    Condition,
    Duration,
    Flag,
    Matching,
    Number,
    OneOf,
    Text,
    Units,
    Version,
)
from pilotage_coordinator.domain.blueprint.form.shapes import INVALID, Field, ListOf, MapOf, Reading, Record
from pilotage_coordinator.domain.blueprint.form.step import ON_FAILURE, ON_OFFLINE, SOME_STEPS, STEPS
from pilotage_coordinator.domain.blueprint.form.targets import CAPACITY, LOCKS, NUMBERS, REQUIRES, TARGETS, WINDOWS
from pilotage_coordinator.domain.blueprint.model import Blueprint, Concurrency, RollbackPlan
from pilotage_coordinator.domain.blueprint.nodes import MapNode
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.blueprint.retry import Defaults
from pilotage_coordinator.domain.blueprint.rollout import StepApproval
from pilotage_coordinator.domain.plan import OnFailure
from pilotage_coordinator.domain.values import HOUR, MINUTE

FILE_NAME: Final = Matching(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}", "file name", "one name, no folders")
ENV_NAME: Final = Matching(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "environment variable")


def _build_defaults(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return Defaults(at=node.at, **values)


DEFAULTS: Final = Record(
    "set of defaults",
    {
        "timeout": Field(Duration(1), "Of one attempt."),
        "timeout_minutes": Field(Units(MINUTE, 0.001), "Of one attempt.", into="timeout"),
        "retry_policy": Field(RETRY_POLICY, "When a failed attempt is tried again."),
        "on_offline": Field(ON_OFFLINE, "When a host is not connected."),
        "offline_deadline": Field(Duration(1), "How long to wait for it."),
        "user": Field(Text(255, empty=False), "The user that commands run as."),
        "env": Field(MapOf(ENV_NAME, Text()), "Environment variables of commands."),
    },
    _build_defaults,
)


def _build_concurrency(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return Concurrency(**values)


CONCURRENCY: Final = Record(
    "concurrency limit",
    {
        "limit": Field(Number(1, 10_000), "So many executions at once."),
        "on_limit": Field(OneOf(("queue", "refuse", "cancel_other")), "What happens to one more."),
    },
    _build_concurrency,
)


def _build_approval(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    step = given.pop("step")
    gate = build_gate(given, node, path, reading)
    return gate if gate is INVALID else StepApproval(step, gate)


APPROVAL: Final = Record(
    "approval",
    {
        "step": Field(Matching(rf"{ID_PATTERN}|\*", "step id", 'or "*"'), "Before this step.", required=True),
        **GATE_FIELDS,
    },
    _build_approval,
)


def _build_rollback(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    return RollbackPlan(at=node.at, **given) if given.pop("enabled") else None


ROLLBACK: Final = Record(
    "rollback plan",
    {
        "enabled": Field(Flag(), "false: as if it were not written.", required=True),
        "conditions": Field(ListOf(Condition()), "All must hold."),
        "actions": Field(STEPS, "What to do instead of the steps' undo."),
    },
    _build_rollback,
)


def _build(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    if not given["steps"]:
        return reading.refuse(node.get("steps") or node, (*path, "steps"), "this blueprint has no steps")
    rollback = given.get("rollback_plan")
    if reading.classic and rollback is not None:
        given.setdefault("on_failure", OnFailure.ROLLBACK)
    return Blueprint(id=str(path[-1]), finally_=given.pop("finally", ()), at=node.at, **given)


BLUEPRINT: Final = Record(
    "blueprint",
    {
        "name": Field(Text(255), "For people."),
        "description": Field(Text(), "For people."),
        "category": Field(Text(63), "Such as backup, upgrade, maintenance."),
        "version": Field(Version(), 'Semantic version, quoted: "1.4.0".'),
        "tags": Field(ListOf(Text(63, empty=False), most=100), "For finding it."),
        "owner": Field(Text(255), "Whom to ask."),
        "documentation": Field(Text(65_536), "A text, or where it stands."),
        "estimated_duration_minutes": Field(Units(MINUTE), "How long it usually takes.", into="estimated_duration"),
        "parameters": Field(MapOf(NAME, PARAMETER), "What whoever starts it may or must give."),
        "targets": Field(TARGETS, "The hosts of every step that names none."),
        "requires": Field(REQUIRES, "What must hold when it is planned and started."),
        "resource_requirements": Field(NUMBERS, "What it needs in all.", feature="resource_requirements"),
        "locks": Field(LOCKS, "Reservations held by the execution.", feature="locks"),
        "capacity": Field(CAPACITY, "Shares of each host's capacity.", feature="capacity"),
        "windows": Field(WINDOWS, "When it may start.", feature="windows"),
        "concurrency": Field(CONCURRENCY, "How many at once.", feature="concurrency"),
        "deadline": Field(Duration(1), "Of the whole execution."),
        "deadline_hours": Field(Units(HOUR, 0.001), "Of the whole execution.", into="deadline"),
        "defaults": Field(DEFAULTS, "What leaf steps inherit."),
        "on_failure": Field(ON_FAILURE, "What a step failure that nothing absorbs does."),
        "approvals": Field(ListOf(APPROVAL), "Asked before steps.", feature="approvals"),
        "steps": Field(SOME_STEPS, "What to do.", required=True),
        "finally": Field(STEPS, "Done however it ended."),
        "rollback_plan": Field(ROLLBACK, "What rollback does."),
        "outputs": Field(MapOf(NAME, Text(empty=False)), "What a caller of this blueprint sees."),
        "files": Field(MapOf(FILE_NAME, Text(262_144), extensible=False), "Texts that steps use by name."),
    },
    _build,
    reserved=RESERVED,
    hints={"finalizers": "write `finally`", "inputs": "write `parameters`", "params": "write `parameters`"},
)


def _build_file(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return tuple(values["workflows"].values())


FILE: Final = Record(
    "file of blueprints",
    {
        "pilotage": Field(Number(1, 1), "The version of the language. Absent: the classic form."),
        "workflows": Field(MapOf(ID, BLUEPRINT), "Blueprints by their ids.", required=True),
    },
    _build_file,
    reserved=RESERVED,
    hints={
        "steps": "a blueprint stands under workflows: ID:",
        "name": "a blueprint stands under workflows: ID:",
        "workflow": "write `workflows`",
    },
)
