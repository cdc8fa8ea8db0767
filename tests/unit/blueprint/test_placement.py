"""What a step may say where it stands: refused when the blueprint is loaded, with its place and what to write."""
# ruff: noqa: E501 - a case is one line of YAML

import pytest
from pilotage_coordinator.domain.blueprint.features import ALL, BUILT

from tests.unit.blueprint.writing import load, only_problem, rich, with_steps

INNER = [
    "for_each: '${{ targets }}', key: '${{ item }}'",
    "targets: {hosts: [db1]}",
    "run_once: true",
    "rollout: {health: {steps: [{id: up, type: a.b}]}}",
    "for_each: '${{ targets }}', rollout: {max_parallel: 2}",
    "targets: {from: before, exclude: [db1]}",
]


def inside(step: str) -> str:
    return with_steps("{id: before, type: a.b}", f"{{id: g, dependencies: [before], steps: [{step}]}}")


@pytest.mark.parametrize("keys", INNER)
def test_what_means_something_inside_a_group(keys: str) -> None:
    load(inside(f"{{id: a, type: a.b, {keys}}}"))


@pytest.mark.parametrize(
    "step",
    [
        "{id: g, for_each: '${{ targets }}', rollout: {max_parallel: 1}, steps: [{id: a, type: a.b, when: 'item != host.name'}]}",
        "{id: c, for_each: '${{ targets }}', rollout: {max_parallel: 1}, blueprint: x@1, parameters: {h: '${{ item }}'}}",
        "{id: g, steps: [{id: c, blueprint: x@1, parameters: {h: '${{ host.name }}'}, for_each: '${{ targets }}'}]}",
        "{id: c, blueprint: x@1, dependencies: [before], parameters: {n: '${{ count(steps.before.results) }}'}}",
    ],
)
def test_groups_and_calls_loop_and_stand_inside_each_other(step: str) -> None:
    load(with_steps("{id: before, type: a.b}", step), BUILT)


REFUSED = [
    (with_steps("{id: c, blueprint: x@1, rollout: {max_parallel: 1}}"), "rollout", "a call step has no `rollout`"),
    (
        with_steps("{id: c, for_each: '${{ targets }}', blueprint: x@1, rollout: {batches: [1]}}"),
        "",
        "beside for_each a rollout has max_parallel only",
    ),
    (inside("{id: a, type: a.b, rollout: {max_parallel: 1}}"), "rollout", "has only `health`"),
    (inside("{id: a, rollout: {batches: [1]}, steps: [{id: i, type: a.b}]}"), "rollout", "has only `health`"),
    (inside("{id: a, type: a.b, targets: {from: before, limit: 1}}"), "targets", "neither order nor limit"),
    (inside("{id: a, type: a.b, targets: {from: before, order: random}}"), "targets", "neither order nor limit"),
    (
        with_steps("{id: g, for_each: '${{ targets }}', steps: [{id: a, type: a.b, run_once: true}]}"),
        "run_once",
        "`g` around this step has a for_each",
    ),
    (
        with_steps("{id: a, type: a.b, undo: [{id: u, type: a.b, targets: {hosts: [x]}}]}"),
        "targets",
        "an undo step runs where its step ran",
    ),
    (with_steps("{id: a, type: a.b, undo: [{id: u, blueprint: x@1}]}"), "blueprint", "an undo step runs where"),
    (
        with_steps("{id: a, type: a.b, undo: [{id: g, steps: [{id: u, type: a.b, run_once: true}]}]}"),
        "run_once",
        "an undo step runs where",
    ),
    (
        with_steps("{id: a, type: a.b, rollout: {health: {steps: [{id: h, type: a.b, run_once: true}]}}}"),
        "run_once",
        "runs on the gate's host",
    ),
    (
        with_steps("{id: a, type: a.b, rollout: {health: {steps: [{id: h, steps: [{id: i, type: a.b}]}]}}}"),
        "steps",
        "holds plain steps",
    ),
    (
        with_steps("{id: a, type: a.b, rollout: {health: {steps: [{id: h, type: a.b, for_each: '${{ targets }}'}]}}}"),
        "for_each",
        "holds plain steps",
    ),
    (
        with_steps("{id: a, type: a.b, rollout: {order_by: '${{ host.name }}', refresh: [{id: r, blueprint: x@1}]}}"),
        "blueprint",
        "not by a call",
    ),
    (with_steps("{id: a, type: a.b, at_plan: true, sensitive_outputs: [x]}"), "sensitive_outputs", "stands in"),
    (
        with_steps("{id: a, type: a.b, at_plan: true, rollout: {health: {steps: [{id: h, type: a.b}]}}}"),
        "rollout",
        "no health gate",
    ),
]


@pytest.mark.parametrize(("text", "key", "words"), REFUSED)
def test_what_means_nothing_where_it_stands_is_refused_with_its_place(text: str, key: str, words: str) -> None:
    problem = only_problem(text, ALL)
    assert words in problem.message
    assert problem.path.endswith(key)
    if not key:
        return
    assert problem.hint
    written = text.splitlines()[problem.line - 1][problem.column - 1 :]
    assert written.startswith((key, "{", "[", "true", "x@1", "'"))


def test_the_rules_hold_in_finally_and_in_the_rollback_plan() -> None:
    group = "[{id: g, steps: [{id: a, type: a.b, rollout: {max_parallel: 1}}]}]"
    for body in (f"    finally: {group}", f"    rollback_plan: {{enabled: true, actions: {group}}}"):
        assert "has only `health`" in only_problem(rich(body, "      - {id: z, type: a.b}")).message


def test_loops_do_not_nest_in_the_rollback_plan_either() -> None:
    loops = "{id: g, for_each: '${{ targets }}', steps: [{id: a, type: a.b, for_each: '${{ targets }}'}]}"
    body = f"    rollback_plan: {{enabled: true, actions: [{loops}]}}"
    assert "loops do not nest" in only_problem(rich(body, "      - {id: z, type: a.b}"), ALL).message
