"""Whatever is given to the loader, it answers with blueprints or with BlueprintError; what it prints, it reads."""
# ruff: noqa: E501, PT017 - a case is one line of YAML; that an error was refused properly is asserted where it is caught

import json

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from pilotage_blueprints import shipped
from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.blueprint.expand import content_digest, expand
from pilotage_coordinator.domain.blueprint.features import ALL
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.parameters import resolve_parameters
from pilotage_coordinator.domain.blueprint.yaml_text import write_yaml

from tests.unit.blueprint.writing import SKETCHES, load, problems, rich

TEXTS = [text for _, text in shipped()] + [each.read_text("utf-8") for each in sorted(SKETCHES.iterdir())]
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def survives(text: str) -> None:
    """Load a text; what loads must print to something that loads equal."""
    try:
        blueprints = load_blueprints(text, "any.yaml", ALL)
    except BlueprintError as error:
        assert error.problems
        assert all(each.message for each in error.problems)
        return
    for blueprint in blueprints:
        (again,) = load_blueprints(expand(blueprint), "again.yaml", ALL)
        assert again == blueprint
        assert content_digest(again) == content_digest(blueprint)


@QUICK
@given(some.text(max_size=200))
@example("\x85")
@example("pilotage: 1\nworkflows: {x: {steps: [{id: a, type: a.b, when: '\u2028'}]}}")
def test_any_text(text: str) -> None:
    survives(text)


ALPHABET = some.sampled_from(list("{}[]:,-&*!|>'\"#%@`?\n\t $ax01.~<"))


@QUICK
@given(some.lists(ALPHABET, max_size=60).map("".join))
def test_text_of_yaml_signs(text: str) -> None:
    survives(text)
    survives(rich(f"    name: {text}"))


JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | some.floats(allow_nan=False, allow_infinity=False) | some.text(max_size=12),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@QUICK
@given(JSON)
def test_any_value_in_the_place_of_parameters(value: object) -> None:
    survives(
        json.dumps({"pilotage": 1, "workflows": {"x": {"steps": [{"id": "a", "type": "a.b", "parameters": value}]}}})
    )


@QUICK
@given(some.sampled_from(TEXTS), some.data())
def test_a_blueprint_with_a_line_lost_moved_or_doubled(text: str, data: some.DataObject) -> None:
    lines = text.splitlines()
    at = data.draw(some.integers(0, len(lines) - 1))
    change = data.draw(some.sampled_from(["lose", "double", "indent", "dedent", "swap"]))
    if change == "lose":
        del lines[at]
    elif change == "double":
        lines.insert(at, lines[at])
    elif change == "indent":
        lines[at] = "  " + lines[at]
    elif change == "dedent":
        lines[at] = lines[at].removeprefix("  ")
    else:
        other = data.draw(some.integers(0, len(lines) - 1))
        lines[at], lines[other] = lines[other], lines[at]
    survives("\n".join(lines))


@QUICK
@given(some.sampled_from(TEXTS), some.data())
def test_a_blueprint_with_some_letters_changed(text: str, data: some.DataObject) -> None:
    letters = list(text)
    for _ in range(data.draw(some.integers(1, 3))):
        letters[data.draw(some.integers(0, len(letters) - 1))] = data.draw(ALPHABET)
    survives("".join(letters))


@QUICK
@given(JSON)
def test_what_is_written_as_yaml_reads_as_it_was(value: object) -> None:
    text = write_yaml(
        {"pilotage": 1, "workflows": {"x": {"steps": [{"id": "a", "type": "a.b", "parameters": {"v": value}}]}}}
    )
    try:
        blueprint = load_blueprints(text, "written.yaml", ALL)[0]
    except BlueprintError as error:
        assert any(
            "template" in each.message or "expression" in each.message for each in error.problems
        ) or "2^53" in str(error)
        return
    assert blueprint.steps[0].parameters["v"] == value


def test_half_a_letter_is_refused_and_two_halves_are_one() -> None:
    text = '{"pilotage": 1, "workflows": {"x": {"name": "%s", "steps": [{"id": "a", "type": "a.b"}]}}}'
    assert load(text % r"\ud83d\ude00").name == "😀"
    assert "half a letter" in str(problems(text % r"\ud83d")[0])


@QUICK
@given(JSON, some.sampled_from(["string", "integer", "number", "boolean", "list", "object", "duration", "size",
                                "timestamp", "host", "hosts", "image", "secret"]))  # fmt: skip
def test_any_value_given_for_a_parameter(value: object, kind: str) -> None:
    blueprint = load(
        rich(f"    parameters: {{p: {{type: {kind}, validation: {{that: 'parameters.p == parameters.p'}}}}}}")
    )
    try:
        resolve_parameters(blueprint, {"p": value})
    except BlueprintError as error:
        assert error.problems
