"""Blueprints against what the step types of the fleet say."""
# ruff: noqa: E501 - a case is one line of YAML

from typing import Any

import pytest
from pilotage_coordinator.domain.blueprint.json_schema import violations
from pilotage_coordinator.domain.blueprint.step_types import check_step_types, effect_of, parameters_with_defaults
from pilotage_coordinator.domain.plan import Effect, Place
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pydantic import BaseModel, ConfigDict, Field

from tests.unit.blueprint.writing import load, rich, with_steps


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    depth: int = Field(ge=1, le=3)


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: str = Field(min_length=1, pattern="^/")
    count: int | None = None
    inner: Inner | None = None
    many: list[Inner] = Field(default=[], max_length=2)
    words: dict[str, int] = {}
    user: str | None = None
    env: dict[str, str] = {}


class Outputs(BaseModel):
    digest: str


CATALOGUE = {
    each.name: each
    for each in (
        StepTypeInfo(
            "file.put",
            Effect.IDEMPOTENT,
            params_schema=Params.model_json_schema(),
            outputs_schema=Outputs.model_json_schema(),
        ),
        StepTypeInfo("command.run", Effect.ONCE, author_effects=(Effect.READ, Effect.IDEMPOTENT)),
        StepTypeInfo("gate.pause", Effect.READ, place=Place.COORDINATOR),
    )
}


def told(step: str) -> list[str]:
    return [f"{each.path.partition('steps[0].')[2]}: {each.message} {each.hint}" for each in
            check_step_types(load(with_steps(step)), CATALOGUE)]  # fmt: skip


@pytest.mark.parametrize(
    "step",
    [
        "{id: a, type: file.put, parameters: {path: /x, count: 3, inner: {depth: 2}, many: [{depth: 1}], words: {a: 1}}}",
        "{id: a, type: file.put, parameters: {path: '${{ host.name }}', count: '${{ targets }}', inner: '${{ targets }}'}}",
        "{id: a, type: file.put, parameters: {path: '{{ parameters.p }}'}}".replace("{{ parameters.p }}", "/p"),
        "{id: a, type: command.run, effect: read, at_plan: true}",
        "{id: a, type: gate.pause, place: coordinator}",
        "{id: a, type: file.put, sensitive_outputs: [digest], parameters: {path: /x}}",
    ],
)
def test_a_step_that_fits(step: str) -> None:
    assert told(step) == []


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("{id: a, type: file.putt}", "type: there is no step type `file.putt` did you mean `file.put`?"),
        ("{id: a, type: other.thing}", "no connected host and no built-in offers it"),
        ("{id: a, type: file.put}", "parameters: `path` is missing"),
        ("{id: a, type: file.put, parameters: {path: /x, cuont: 1}}", "parameters.cuont: there is no `cuont` here did you mean `count`?"),
        ("{id: a, type: file.put, parameters: {path: 5}}", 'parameters.path: expected string, not `5` quote it: "5"'),
        ("{id: a, type: file.put, parameters: {path: x}}", "parameters.path: `x` does not match ^/"),
        ("{id: a, type: file.put, parameters: {path: ''}}", "parameters.path: this text is empty"),
        ("{id: a, type: file.put, parameters: {path: /x, count: few}}", "parameters.count: expected integer, not `few` or null"),
        ("{id: a, type: file.put, parameters: {path: /x, inner: {depth: 9}}}", "parameters.inner.depth: expected at most 3, not 9"),
        ("{id: a, type: file.put, parameters: {path: /x, many: [{depth: 1}, {deep: 1}]}}", "parameters.many[1].deep: there is no `deep`"),
        ("{id: a, type: file.put, parameters: {path: /x, many: [{depth: 1}, {depth: 1}, {depth: 1}]}}", "at most 2 items, not 3"),
        ("{id: a, type: file.put, parameters: {path: /x, words: {a: b}}}", "parameters.words.a: expected integer"),
        ("{id: a, type: file.put, effect: read, parameters: {path: /x}}", "effect: `file.put` is never read it is always idempotent"),
        ("{id: a, type: file.put, at_plan: true, parameters: {path: /x}}", "`at_plan` needs effect read"),
        ("{id: a, type: file.put, place: coordinator, parameters: {path: /x}}", "place: `file.put` runs on hosts"),
        ("{id: a, type: gate.pause, place: host}", "place: `gate.pause` runs on the coordinator"),
        ("{id: a, type: file.put, sensitive_outputs: [digset], parameters: {path: /x}}", "no output `digset` did you mean `digest`?"),
    ],
)  # fmt: skip
def test_a_step_that_does_not_fit(step: str, words: str) -> None:
    assert any(words in each for each in told(step)), told(step)


def test_a_problem_knows_its_place() -> None:
    (problem,) = check_step_types(
        load(rich("", "      - id: a\n        type: file.put\n        parameters:\n          path: x")), CATALOGUE
    )
    assert (problem.file, problem.line, problem.column) == ("test.yaml", 8, 17)


def test_a_file_is_looked_up_in_the_blueprint() -> None:
    schema = {"properties": {"file": {"anyOf": [{"type": "string", "format": "pilotage-file"}, {"type": "null"}]}}}
    catalogue = {"script.run": StepTypeInfo("script.run", params_schema=schema)}
    written = "      - id: a\n        type: script.run\n        parameters:\n          file: NAME"
    (problem,) = check_step_types(load(rich("    files: {a.sh: x}", written.replace("NAME", "b.sh"))), catalogue)
    assert (problem.line, problem.message, problem.hint) == (
        9, "there is no file `b.sh` under `files`", "did you mean `a.sh`?",
    )  # fmt: skip
    assert check_step_types(load(rich("    files: {a.sh: x}", written.replace("NAME", "a.sh"))), catalogue) == ()


def test_exactly_one_of_several_parameters_is_asked_for() -> None:
    schema = {"type": "object", "oneOf": [{"required": ["script"]}, {"required": ["file"]}]}
    said = [each.message for value in ({}, {"script": 1, "file": 2}) for each in violations(schema, value)]
    assert said == ["one of `script`, `file` is needed", "give only one of `script`, `file`"]
    assert violations(schema, {"script": "${{ x }}", "file": None}) == ()
    # An expression may turn out to be null.
    assert violations(schema, {"script": "${{ x }}", "file": "${{ y }}"}) == ()
    assert violations(schema, {"script": "${{ x }}", "file": 2}) == ()


def test_user_and_env_go_where_the_type_has_them() -> None:
    blueprint = load(
        rich(
            "    defaults: {user: backup, env: {LANG: C, A: b}}",
            "      - {id: a, type: file.put, parameters: {path: /x, env: {A: mine}}}\n      - {id: b, type: command.run}",
        )
    )
    put, run = (parameters_with_defaults(step, blueprint.defaults, CATALOGUE[step.type]) for step in blueprint.steps)
    assert put == {"path": "/x", "user": "backup", "env": {"LANG": "C", "A": "mine"}}
    assert run == {}


def test_the_effect_that_holds() -> None:
    step = load(with_steps("{id: a, type: command.run, effect: read}")).steps[0]
    assert effect_of(step, CATALOGUE["command.run"]) is Effect.READ
    assert effect_of(step, StepTypeInfo("command.run", Effect.ONCE)) is Effect.ONCE


def test_a_schema_that_refers_to_itself_ends() -> None:
    loop: dict[str, Any] = {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 2}}}
    assert violations(loop, {"x": 1}) == ()


def test_a_hostile_pattern_takes_no_time() -> None:
    assert len(violations({"type": "string", "pattern": "^(a+)+$"}, "a" * 10_000 + "b")) == 1


@pytest.mark.parametrize("schema", [{"type": 5}, {"enum": "x"}, {"properties": []}, {"required": "x"}, {"anyOf": {}}])
def test_a_schema_that_is_none_says_nothing(schema: dict[str, Any]) -> None:
    assert violations(schema, {"a": [1, "x"]}) == ()
