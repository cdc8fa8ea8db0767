"""`choices_from`: how it is written, what it belongs to, and what the step types say of it."""
# ruff: noqa: E501 - a case is one line of YAML

import pytest
from pilotage_coordinator.domain.blueprint.expand import expand
from pilotage_coordinator.domain.blueprint.parameter import ChoicesFrom
from pilotage_coordinator.domain.blueprint.step_types import check_step_types
from pilotage_coordinator.domain.plan import Effect, Place
from pilotage_coordinator.domain.step_type import StepTypeInfo

from tests.unit.blueprint.writing import load, only_problem, problems, rich

LISTED = {"type": "object", "properties": {"containers": {"type": "array"}, "left_out": {"type": "integer"}}}
ASKED = {"type": "object", "properties": {"all": {"type": "boolean"}}, "additionalProperties": False}
CATALOGUE = {
    each.name: each
    for each in (
        StepTypeInfo("dummy.sleep"),
        StepTypeInfo("discovery.containers", Effect.READ, params_schema=ASKED, outputs_schema=LISTED),
        StepTypeInfo("gate.pause", Effect.READ, place=Place.COORDINATOR),
    )
}
SOURCE = "{type: discovery.containers, values: containers.name, parameters: {all: false}}"


def written(parameter: str) -> str:
    return rich(f"    parameters: {{p: {parameter}}}")


@pytest.mark.parametrize(
    "parameter",
    [
        "{type: string, %s}",
        "{type: image, %s}",
        "{type: list, items: string, %s}",
        "{type: string, required: true, %s}",
    ],
)
def test_it_is_read_and_written_again(parameter: str) -> None:
    text = written(parameter % f"choices_from: {SOURCE}")
    blueprint = load(text)
    assert blueprint.parameters["p"].choices_from == ChoicesFrom(
        "discovery.containers", "containers.name", {"all": False}
    )
    assert load(expand(blueprint)) == blueprint
    assert check_step_types(blueprint, CATALOGUE) == ()


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("{type: integer, choices_from: %s}", "belongs to a string, an image, or a list of them"),
        ("{type: list, items: integer, choices_from: %s}", "belongs to a string"),
        ("{type: string, choices: [a], choices_from: %s}", "exclude each other"),
        ("{type: string, sensitive: true, choices_from: %s}", "what is sensitive cannot be chosen"),
        ("{type: list, items: {type: string, choices_from: %s}}", "belongs to a whole parameter"),
        ("{type: object, properties: {q: {type: string, choices_from: %s}}}", "belongs to a whole parameter"),
        ("{type: string, choices_from: discovery.containers}", "expected a source of choices"),
        ("{type: string, choices_from: {type: discovery.containers}}", "has no `values`"),
        ("{type: string, choices_from: {type: discovery.containers, values: 'a..b'}}", "is no path"),
        ("{type: string, choices_from: {type: discovery.containers, values: a, parameters: {roots: ['${{ host.name }}']}}}", "there are values for expressions"),
    ],
)  # fmt: skip
def test_what_is_refused(parameter: str, words: str) -> None:
    text = parameter.replace("%s", SOURCE)
    assert words in only_problem(written(text)).message, problems(written(text))


@pytest.mark.parametrize(
    ("source", "path", "words"),
    [
        ("{type: discovery.boxes, values: a}", "type", "there is no step type `discovery.boxes`"),
        ("{type: dummy.sleep, values: a}", "type", "`dummy.sleep` is none that only reads on hosts"),
        ("{type: gate.pause, values: a}", "type", "`gate.pause` is none that only reads on hosts"),
        ("{type: discovery.containers, values: containers.name, parameters: {al: true}}", "parameters.al", "al"),
        ("{type: discovery.containers, values: container.name}", "values", "no output `container` that is a list"),
        ("{type: discovery.containers, values: left_out}", "values", "no output `left_out` that is a list"),
    ],
)
def test_what_the_step_types_say(source: str, path: str, words: str) -> None:
    (problem,) = check_step_types(load(written(f"{{type: string, choices_from: {source}}}")), CATALOGUE)
    assert problem.path == f"workflows.x.parameters.p.choices_from.{path}"
    assert words in problem.message
    assert problem.line
