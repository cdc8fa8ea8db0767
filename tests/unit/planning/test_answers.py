"""What reads answered, taken out of a plan and put into another of the same digest."""

import json
from dataclasses import replace

from pilotage_coordinator.domain.plan import Plan, PlannedStep, RollbackPlan, Rollout
from pilotage_coordinator.domain.planning.answers import answers_of, with_answers
from pilotage_coordinator.domain.planning.codec import digest

from tests.unit.engine.build import call, group, leaf, plan


def read(path: str, value: int) -> PlannedStep:
    return leaf(path, "h1", at_plan=True, planned_outputs={"h1": {"n": value}})


def loop(path: str, value: int) -> PlannedStep:
    return leaf(path, "h1", for_each="${{ targets }}", planned_items={"h1": [value]})


def everywhere(value: int) -> Plan:
    """Return a plan with reads and items in every place that a step can have."""
    refreshed = Rollout(refresh=(read("refresh", value),), analysis=(loop("analysis", value),))
    inner = call("call", [group("group", ["h1"], [loop("deep", value)], rollout=refreshed)])
    made = plan(read("find", value), inner, leaf("plain", "h1", undo="steps", undo_steps=(loop("undo", value),)))
    actions = (loop("back", value),)
    return replace(made, finally_=(read("last", value),), rollback=RollbackPlan(actions=actions))


def test_answers_are_found_and_put_back_wherever_a_step_stands() -> None:
    old, new = everywhere(1), everywhere(2)
    assert digest(old) == digest(new)
    assert old != new
    assert len(answers_of(new)) == 7
    assert with_answers(old, json.loads(json.dumps(answers_of(new)))) == new


def test_an_answer_that_the_execution_had_not_is_not_taken_from_the_plan() -> None:
    made = everywhere(1)
    assert answers_of(with_answers(made, {})) == {}
