"""Files written to do harm, and blueprints put together at random: each is read, or refused with problems."""

# ruff: noqa: E501, PT017 - a case is one line; that an error was refused properly is asserted where it is caught

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.blueprint.features import ALL
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.order import Order
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import BlueprintRef
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.planner import make_plan
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest, Questions, StoredBlueprint, World

from tests.unit.blueprint.writing import load, problems, rich, with_steps
from tests.unit.planning.fleet import KEY, ON_COORDINATOR, Shelf, host

MANY = 2000


def step(number: int, more: str = "") -> str:
    return f"{{id: s{number}, type: a.b{more}}}"


def when(condition: str) -> str:
    return with_steps(step(0, f", when: '{condition}'"))


HOSTILE = {
    "a cycle of many": with_steps(*(step(n, f", dependencies: [s{(n + 1) % MANY}]") for n in range(MANY))),
    "lists in lists": "[" * 10_000,
    "maps in maps": "{a: " * 10_000,
    "blocks in blocks": "\n".join(" " * n + "a:" for n in range(500)),
    "an alias bomb": "a: &a0 [1, 1]\n" + "".join(f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(20)),
    "an anchor that holds itself": "a: &a [*a]",
    "keys twice": "{" + ",".join(["a: 1"] * MANY) + "}",
    "unknown keys": rich("".join(f"    unknown{n}: 1\n" for n in range(MANY))),
    "unknown step types and keys": with_steps(*(f"{{id: s{n}, typ: a.b, dependecies: [x]}}" for n in range(MANY))),
    "parentheses": when("(" * 2000 + "1" + ")" * 2000),
    "a long sum": when("1+" * 2000 + "1 > 0"),
    "nots": when("!" * 4000 + "true"),
    "lists in an expression": when("[" * 2000 + "]" * 2000),
    "choices in choices": when("true ? " * 300 + "true" + ": true" * 300),
    "fields of fields": when("parameters" + ".a" * 2000),
    "a longer expression than any": when("a" * 100_000),
    "a text that does not end": when('"' + "a" * 2000),
    "expressions that do not end": with_steps(step(0, ', parameters: {a: "' + "${{ " * 10_000 + '"}')),
    "many expressions in one text": with_steps(step(0, ', parameters: {a: "' + "${{ 1 }}" * 10_000 + '"}')),
    "a large number": "a: " + "9" * 100_000,
    "a number beyond all": "a: 1e" + "9" * 10_000,
    "a pattern that never ends": rich(
        "    parameters: {a: {type: string, validation: {pattern: '(a|a)*$'}, default: " + "a" * 60 + "b}}"
    ),
    "groups in groups": "pilotage: 1\nworkflows: {x: {steps: " + "[{id: a, steps: " * 12 + "[]" + "}]" * 12 + "}}",
    "one id for all": with_steps(*[step(0)] * MANY),
    "documents": "---\n" * MANY,
    "a tag": "!!python/object/apply:os.system [x]",
    "nothing": "",
    "a comment": "# a\n" * MANY,
    "a zero byte": "\0",
    "another YAML": "%YAML 9.9\n---\na: 1",
    "a key that is a list": "? [a]\n: b",
    "half a letter": 'a: "\\ud800"',
    "too much": "#" * (1024 * 1024 + 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_written_to_do_harm_is_refused_with_a_problem(name: str) -> None:
    found = problems(HOSTILE[name])
    assert found
    assert len(found) <= 100
    assert all(each.message for each in found)


def test_steps_that_wait_for_each_other_end_with_an_error_even_unchecked() -> None:
    sound = load(with_steps(step(0), step(1, ", dependencies: [s0]")))
    first, second = sound.steps
    cyclic = replace(sound, steps=(replace(first, dependencies=("s1",)), second))
    with pytest.raises(BlueprintError, match="wait for each other: s0 → s1 → s0"):
        Order(cyclic)


@pytest.mark.parametrize(
    ("inner", "line"),
    [
        ("{id: b, type: a.b, for_each: '${{ [2] }}'}", 5),
        ("{id: b, steps: [{id: c, type: a.b, for_each: '${{ [2] }}'}]}", 5),
        ("{id: b, type: a.b, undo: [{id: c, type: a.b, for_each: '${{ [2] }}'}]}", 5),
    ],
)
def test_loops_do_not_nest(inner: str, line: int) -> None:
    text = with_steps(f"{{id: a, for_each: '${{{{ [1] }}}}', key: '${{{{ string(item) }}}}', steps: [{inner}]}}")
    found = [each for each in problems(text, ALL) if "loops do not nest" in each.message]
    assert len(found) == 1
    assert found[0].line == line
    assert found[0].path.endswith("for_each")
    assert "`a`" in found[0].message


EXPRESSIONS = some.sampled_from(
    [
        "true", "host.name == 'h1'", "host.facts.os == 'x'", "steps.s0.outputs.v > 1", "steps.s1.status == 'failed'",
        "item == 'a'", "count(steps.s0.results) > 0", "parameters.p", "1 / 0 > 1", "nothing.here", "has(host.labels.role)",
        "unknown(1)", "'a' + 1 == 'b'", "batch.index == 0", "(", "secret", "count(targets) > 100",
    ]
)  # fmt: skip
TEMPLATES = EXPRESSIONS.map(lambda text: "${{ " + text + " }}") | some.just("plain") | some.just("secret://x")
ODD: some.SearchStrategy[Any] = some.sampled_from(
    [None, 0, -1, True, "", "x", [], {}, [None], {"a": None}, 1e300, "s0"]
)
VALUES = some.recursive(
    TEMPLATES | ODD,
    lambda inner: some.lists(inner, max_size=2) | some.dictionaries(some.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)
TYPES = some.sampled_from(["command.run", "file.write", "discovery.data", "validation.assert", "gate.pause", "no.such"])


@some.composite
def steps(draw: some.DrawFn, depth: int = 0) -> dict[str, Any]:
    number = draw(some.integers(0, 6))
    found: dict[str, Any] = {"id": f"s{number + 10 * depth}"}
    if depth < 2 and draw(some.integers(0, 4)) == 0:
        found["steps"] = draw(some.lists(steps(depth + 1), min_size=1, max_size=3))
    else:
        found |= {
            "type": draw(TYPES),
            "parameters": draw(some.dictionaries(some.sampled_from("ab"), VALUES, max_size=2)),
        }
    optional: dict[str, some.SearchStrategy[Any]] = {
        "dependencies": some.lists(some.sampled_from(["s0", "s1", "s2", "s10"]), max_size=2),
        "when": EXPRESSIONS,
        "for_each": TEMPLATES,
        "key": TEMPLATES,
        "targets": some.sampled_from([{"select": "true"}, {"hosts": ["h1", "h9"]}, {"from": "s0"}, {"limit": "50%"}]),
        "run_once": some.booleans(),
        "at_plan": some.booleans(),
        "place": some.sampled_from(["host", "coordinator", "moon"]),
        "timeout": some.sampled_from(["1s", "0s", "x", 5]),
        "retry_policy": some.sampled_from([{"max_attempts": 3}, {"max_attempts": -1}, {}]),
        "rollout": some.sampled_from([{"strategy": "rolling"}, {"batches": [1, "50%"]}, {"max_parallel": 0}, {}]),
        "undo": some.sampled_from(["none", "auto", [{"id": "u1", "type": "command.run"}]]),
        "on_failure": some.sampled_from(["stop", "continue", "rollback", "what"]),
    }
    for name in draw(some.lists(some.sampled_from(sorted(optional)), max_size=3, unique=True)):
        found[name] = draw(optional[name] | ODD) if draw(some.integers(0, 9)) == 0 else draw(optional[name])
    return found


WORKFLOWS = some.fixed_dictionaries(
    {"steps": some.lists(steps(), min_size=1, max_size=5)},
    optional={
        "targets": some.just({"select": "true"}),
        "finally": some.lists(steps(2), max_size=1),
        "parameters": some.just({"p": {"type": "boolean", "default": True}}),
        "outputs": some.dictionaries(some.sampled_from("ab"), TEMPLATES, max_size=1),
    },
)
WORLD = World(
    inventory=Inventory([host("h1"), host("h2", online=False)]),
    library=Shelf(),
    step_types=ON_COORDINATOR,
    expressions=Expressions(),
    sensitive_key=KEY,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(WORKFLOWS)
@example({"steps": [{"id": "a", "type": "validation.assert", "at_plan": True}]})
def test_any_blueprint_is_refused_or_planned(workflow: dict[str, Any]) -> None:
    try:
        (blueprint,) = load_blueprints(json.dumps({"pilotage": 1, "workflows": {"x": workflow}}), "x.json")
    except BlueprintError as error:
        assert error.problems
        return
    try:
        made = make_plan(PlanRequest(StoredBlueprint(BlueprintRef("x", "1.0.0", "sha256:x"), blueprint)), WORLD)
    except PlanRefused as refused:
        assert refused.problems
    else:
        assert isinstance(made, Planned | Questions)
