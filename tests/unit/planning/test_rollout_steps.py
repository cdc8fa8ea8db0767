"""Health gates, analyses and computed orders in a plan."""

import json

import pytest
from pilotage_coordinator.domain.plan import Health, Place, PlannedStep, RolloutFailure, StepKind
from pilotage_coordinator.domain.planning.codec import from_json, to_json
from pilotage_coordinator.domain.values import MINUTE, SECOND

from tests.unit.planning.fleet import plan, problems, step

GROUP = """
targets: {hosts: [db1, db2]}
steps:
  - id: upgrade
    rollout:
      strategy: canary
      auto_revert: true
      health:
        for: 30s
        within: 5m
        steps:
          - {id: up, type: http.check, parameters: {url: "http://${{ host.address }}/"}}
          - {id: ready, dependencies: [up], timeout: 1h, type: http.check, parameters: {url: "http://x/"}}
      analysis:
        - {id: slower, type: validation.assert, parameters: {that: "count(steps.after.results) == count(batch.hosts)"}}
        - {id: probe, run_once: true, type: http.check, parameters: {url: "http://x/"}}
      order_by: "${{ steps.role.outputs.stdout == 'leader' ? 1 : 0 }}"
      refresh: [{id: role, type: command.run, effect: read, parameters: {argv: [role]}}]
    steps:
      - {id: swap, type: command.run, parameters: {argv: [swap]}}
      - {id: after, type: command.run, dependencies: [swap], parameters: {argv: [measure]}}
"""
LEAF = """
targets: {hosts: [db1, db2]}
steps:
  - id: swap
    type: command.run
    parameters: {argv: [swap]}
    timeout: 3m
    irreversible: true
    rollout: {max_failures: 0, health: {steps: [{id: up, type: http.check, parameters: {url: "http://x/"}}]}}
  - {id: z, type: command.run, dependencies: [swap], parameters: {argv: [echo, "${{ steps.swap.outputs.stdout }}"]}}
"""


def test_a_group_ends_with_its_health_gate() -> None:
    upgrade = step(plan(GROUP), "upgrade")
    gate = upgrade.steps[-1]
    assert (gate.path, gate.kind) == ("upgrade/!health", StepKind.HEALTH)
    assert gate.dependencies == ("upgrade/after",), "what nothing else waits for"
    assert gate.health == Health(30 * SECOND, 5 * MINUTE, 5 * SECOND)
    assert [check.path for check in gate.steps] == ["upgrade/up", "upgrade/ready"]
    assert gate.steps[1].timeout == 5 * MINUTE, "no check outlives its gate"
    assert upgrade.rollout.on_failure is RolloutFailure.REVERT_ALL


def test_the_steps_around_the_batches() -> None:
    rollout = step(plan(GROUP), "upgrade").rollout
    (role,) = rollout.refresh
    assert role.hosts == ("db1", "db2")
    assert rollout.order_by.startswith("${{")
    slower, probe = rollout.analysis
    assert slower.place is Place.COORDINATOR
    assert slower.hosts == ()
    assert probe.hosts == ("db1",)


def test_a_leaf_with_a_health_gate_becomes_a_group_of_its_name() -> None:
    planned = plan(LEAF)
    swap = step(planned, "swap")
    assert swap.kind is StepKind.GROUP
    assert swap.hosts == ("db1", "db2")
    assert not swap.irreversible
    leaf, gate = swap.steps
    assert (leaf.path, leaf.type.name if leaf.type else "") == ("swap/swap", "command.run")
    assert leaf.irreversible
    assert leaf.timeout == 3 * MINUTE
    assert gate.dependencies == ("swap/swap",)


def test_a_plan_with_a_rollout_there_and_back() -> None:
    made = plan(GROUP).plan
    again = from_json(json.loads(json.dumps(to_json(made))))
    assert again == made


@pytest.mark.parametrize("word", ["30s", "after", "leader", "ready", "slower"])
def test_every_part_of_a_rollout_is_in_the_digest(word: str) -> None:
    changed = GROUP.replace(word, {"30s": "31s", "leader": "primary"}.get(word, f"{word}x"))
    assert plan(changed).plan.digest != plan(GROUP).plan.digest


def test_a_check_that_changes_something_is_refused() -> None:
    text = LEAF.replace(
        'type: http.check, parameters: {url: "http://x/"}', "type: command.run, parameters: {argv: [x]}"
    )
    (problem,) = problems(text)
    assert problem.path == "swap/up"
    assert "again and again" in problem.message
    assert "`once`" in problem.message


def test_a_refresh_that_changes_something_is_refused() -> None:
    (problem,) = problems(GROUP.replace("effect: read, ", ""))
    assert problem.path == "upgrade/role"


def test_an_analysis_on_each_host_is_refused() -> None:
    (problem,) = problems(GROUP.replace("run_once: true, ", ""))
    assert problem.path == "upgrade/probe"
    assert problem.fix == "add run_once: true"


def test_hosts_and_steps_inside_a_rollout_are_counted() -> None:
    made = plan(GROUP)
    paths: list[str] = []

    def visit(each: PlannedStep) -> None:
        paths.append(each.path)
        for inner in each.inside:
            visit(inner)

    visit(step(made, "upgrade"))
    assert paths == [
        "upgrade",
        "upgrade/role",
        "upgrade/swap",
        "upgrade/after",
        "upgrade/!health",
        "upgrade/up",
        "upgrade/ready",
        "upgrade/slower",
        "upgrade/probe",
    ]
