"""The four workflows written to test the language, and the specification's own example."""

import pytest
from pilotage_coordinator.domain.blueprint.expand import content_digest, expand
from pilotage_coordinator.domain.blueprint.features import ALL, BUILT, FEATURES, RESERVED
from pilotage_coordinator.domain.blueprint.form.aliases import ALIASES
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.parameter import ParameterType
from pilotage_coordinator.domain.plan import OnFailure
from pilotage_coordinator.domain.values import MINUTE

from tests.unit.blueprint.writing import SKETCHES, load, only_problem, problems, rich, with_steps

UNBUILT = {
    "fleet-backup.yaml": {"locks"},
    "patch-cluster.yaml": {"windows", "locks"},
    "safe-upgrade.yaml": {"windows", "locks"},
}


def sketch(name: str) -> tuple[Blueprint, ...]:
    return load_blueprints((SKETCHES / name).read_text("utf-8"), name, ALL)


@pytest.mark.parametrize("name", sorted(UNBUILT))
def test_a_sketch_is_refused_by_the_names_of_what_is_not_built(name: str) -> None:
    found = problems((SKETCHES / name).read_text("utf-8"), BUILT)
    assert all("is not available yet" in each.message for each in found)
    assert {each.message.split("`")[1] for each in found} == UNBUILT[name]


def test_a_sketch_that_needs_nothing_else_is_read_as_it_is() -> None:
    assert load_blueprints((SKETCHES / "disaster-recovery.yaml").read_text("utf-8"), "it", BUILT)


@pytest.mark.parametrize("name", sorted({*UNBUILT, "disaster-recovery.yaml"}))
def test_a_sketch_is_read_whole_once_everything_is_built(name: str) -> None:
    for blueprint in sketch(name):
        (again,) = load_blueprints(expand(blueprint), "again.yaml", ALL)
        assert again == blueprint
        assert content_digest(again) == content_digest(blueprint)


BODIES = {
    "approvals": "    approvals: [{step: a, required: 1}]",
    "backup_within": "    requires: {backup_within: 1d}",
    "capacity": "    capacity: {cpu_cores: '2'}",
    "concurrency": "    concurrency: {limit: 1}",
    "locks": "    locks: [x]",
    "resource_requirements": "    resource_requirements: {memory_gb: 2}",
    "windows": "    windows: {names: [night]}",
}
STEPS = {
    "analysis": "{id: a, rollout: {analysis: [{id: j, type: a.b}]}, steps: [{id: i, type: a.b}]}",
    "health": "{id: a, rollout: {health: {steps: [{id: j, type: a.b}]}}, steps: [{id: i, type: a.b}]}",
    "order_by": "{id: a, rollout: {order_by: '${{ host.name }}'}, steps: [{id: i, type: a.b}]}",
}


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_each_feature_is_refused_by_name_until_it_is_built(feature: str) -> None:
    text = rich(BODIES[feature]) if feature in BODIES else with_steps(STEPS[feature])
    problem = only_problem(text, ALL - {feature})
    assert f"({FEATURES[feature]}) is not available yet" in problem.message
    load(text, ALL)


@pytest.mark.parametrize("key", sorted(RESERVED))
def test_each_reserved_key_is_refused_by_name(key: str) -> None:
    for text in (rich(f"    {key}: x"), with_steps(f"{{id: a, type: a.b, {key}: x}}")):
        assert only_problem(text, ALL).message == f"`{key}` is reserved and not available yet"


def test_the_example_of_the_specification() -> None:
    (blueprint,) = load_blueprints((SKETCHES / "classic.yaml").read_text("utf-8"), "classic.yaml", BUILT)
    assert blueprint.on_failure is OnFailure.ROLLBACK
    assert blueprint.parameters["container_count"].type is ParameterType.INTEGER
    assert blueprint.parameters["container_count"].default == 3
    assert not blueprint.parameters["container_count"].required
    assert blueprint.parameters["environment_name"].required
    assert [(step.type, step.timeout) for step in blueprint.steps] == [
        ("validation.assert", 5 * MINUTE),
        ("container.create", 30 * MINUTE),
    ]
    assert blueprint.rollback_plan is not None
    assert [(step.type, step.timeout) for step in blueprint.rollback_plan.actions] == [
        ("container.remove", 15 * MINUTE)
    ]


def test_classic_and_rich_form_of_the_same_are_equal() -> None:
    (classic,) = load_blueprints((SKETCHES / "classic.yaml").read_text("utf-8"), "classic.yaml", BUILT)
    printed = expand(classic)
    assert printed.startswith("pilotage: 1\n")
    assert "on_failure: rollback" in printed
    (rich_form,) = load_blueprints(printed, "rich.yaml", BUILT)
    assert rich_form == classic


def test_rollback_is_implied_only_in_the_classic_form() -> None:
    body = "  x:\n    rollback_plan: {enabled: true}\n    steps: [{id: a, type: a.b}]\n"
    (classic,) = load_blueprints(f"workflows:\n{body}", "c.yaml", BUILT)
    (other,) = load_blueprints(f"pilotage: 1\nworkflows:\n{body}", "r.yaml", BUILT)
    assert (classic.on_failure, other.on_failure) == (OnFailure.ROLLBACK, OnFailure.STOP)


def test_a_rollback_plan_that_is_not_enabled_is_none() -> None:
    assert load(rich("    rollback_plan: {enabled: false}")).rollback_plan is None


def test_classic_names_of_approvals() -> None:
    text = rich("    approvals: [{step: a, required_approvers: [alice, bob], timeout_hours: 2}]")
    gate = load(text).approvals[0].gate
    assert (gate.required, gate.of, gate.timeout) == (2, ("alice", "bob"), 120 * MINUTE)


def test_there_are_fifteen_classic_names() -> None:
    assert set(ALIASES) == {
        "validation", "resource_allocation", "container_operations", "service_deployment", "network_configuration",
        "health_validation", "backup", "restore", "snapshot", "upgrade", "testing", "configuration", "discovery",
        "transfer", "maintenance",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "action"), [(name, action) for name, alias in ALIASES.items() for action in alias.actions]
)
def test_each_classic_name_and_action(name: str, action: str) -> None:
    verb = ALIASES[name].actions[action]
    by_key = load(with_steps(f"{{id: a, type: {name}, action: {action}, parameters: {{extra: 1}}}}")).steps[0]
    by_parameter = load(with_steps(f"{{id: a, type: {name}, parameters: {{action: {action}, extra: 1}}}}")).steps[0]
    assert by_key == by_parameter
    assert by_key.type == verb.type
    assert by_key.parameters == {**verb.defaults, "extra": 1}
