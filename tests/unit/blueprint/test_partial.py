"""A problem of form hides no other one that is certain: unknown types and siblings, wrong parameters of good steps."""

import pytest
from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.blueprint.features import ALL
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.plan import Effect, Place
from pilotage_coordinator.domain.step_type import StepTypeInfo

from tests.unit.blueprint.writing import rich, with_steps

SLEEP = StepTypeInfo(
    name="dummy.sleep",
    effect=Effect.READ,
    place=Place.HOST,
    params_schema={
        "type": "object",
        "properties": {"seconds": {"type": "number"}},
        "additionalProperties": False,
    },
)
BROKEN = "{id: broken, type: dummy.sleep, timeout: soon}"


def said(text: str, *, known: bool = True) -> list[str]:
    """Return path and message of every problem."""
    types = {SLEEP.name: SLEEP} if known else None
    try:
        load_blueprints(text, "x.yaml", ALL, types)
    except BlueprintError as error:
        return [f"{each.path.rpartition('x.')[2]}: {each.message}" for each in error.problems]
    return []


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{id: a, type: dummy.slep}", "steps[1].type: there is no step type `dummy.slep`"),
        ("{id: a, type: dummy.slep, timeout: 5}", "steps[1].type: there is no step type `dummy.slep`"),
        ("{id: a, type: dummy.sleep, dependencies: [brokn]}", "steps[1].dependencies[0]: there is no step `brokn`"),
        ("{id: a, type: x, dependencies: [brokn]}", "steps[1].dependencies[0]: there is no step `brokn`"),
        ("{id: a, type: dummy.sleep, dependencies: [a]}", "steps[1].dependencies[0]: `a` depends on itself"),
        ("{id: a, type: dummy.sleep, parameters: {secs: 1}}", "steps[1].parameters.secs: "),
        ("{id: a, steps: [{id: b, type: no.such}]}", "steps[1].steps[0].type: there is no step type `no.such`"),
        (
            "{id: a, steps: [{id: b, type: c.d, dependencies: [broken]}]}",
            "steps[1].steps[0].dependencies[0]: `broken` is no",
        ),
        ("{id: a, type: dummy.sleep, undo: [{id: b, type: no.such}]}", "steps[1].undo[0].type: "),
        (
            "{id: a, steps: [" + BROKEN.replace("n,", "n2,") + "], finally: [{id: b, type: no.such}]}",
            "steps[1].finally[0].type: ",
        ),
        (
            "{id: a, type: dummy.sleep, rollout: {analysis: [{id: b, type: no.such}]}}",
            "steps[1].rollout.analysis[0].type: ",
        ),
    ],
)
def test_what_is_wrong_besides_a_problem_of_form_is_told(step: str, expected: str) -> None:
    found = said(with_steps(BROKEN, step))
    assert any(each.startswith("steps[0].timeout: ") for each in found)
    assert [each for each in found if each.startswith(expected)], found


def test_a_problem_anywhere_does_not_hide_the_steps() -> None:
    text = rich("    deadline: soon\n    rollback_plan: {enabled: true, actions: [{id: r, type: no.such}]}")
    assert [each.split(":")[0] for each in said(text)] == ["deadline", "rollback_plan.actions[0].type"]


def test_unknown_types_and_a_broken_graph_are_told_together() -> None:
    found = said(with_steps("{id: a, type: no.such, dependencies: [b]}", "{id: a, type: dummy.sleep}"))
    assert [each.partition(": ")[2] for each in found] == [
        "there is no step type `no.such`",
        "there is no step `b`",
        "the id `a` is used twice in this blueprint: here and in line 5",
    ]


@pytest.mark.parametrize(
    "step",
    [
        "{id: a, type: dummy.sleep, dependencies: [broken]}",
        "{id: a, type: backup, action: create}",
        "{id: a, type: dummy.sleep, parameters: {x-any: {type: no.such}, seconds: 1}}",
        "{id: a, type: dummy.sleep, dependencies: x}",
        "{type: dummy.sleep, dependencies: [nobody]}",
        "[]",
    ],
)
def test_nothing_is_told_that_a_cure_of_the_form_could_make_good(step: str) -> None:
    found = [each for each in said(with_steps(BROKEN, step)) if "there is no step" in each]
    assert found == ([] if "backup" not in step else ["steps[1].type: there is no step type `backup.create`"])


def test_before_any_host_has_joined_no_type_is_unknown() -> None:
    found = said(with_steps(BROKEN, "{id: a, type: no.such, dependencies: [nobody]}"), known=False)
    assert [each.split(":")[0] for each in found] == ["steps[0].timeout", "steps[1].dependencies[0]"]
