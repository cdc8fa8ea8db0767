"""Steps that are read when the plan is made."""

from dataclasses import replace

import pytest
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.pins import pins_of
from pilotage_coordinator.domain.planning.planner import make_plan
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest, Questions, ReadAnswer
from pilotage_coordinator.domain.values import MINUTE

from tests.unit.planning.fleet import Answers, host, plan, plan_request, problems, step, stored, world

DISCOVER = """
targets: {select: "true"}
steps:
  - {id: find, type: discovery.data, at_plan: true, parameters: {kinds: ["${{ host.facts.kind }}"]}}
  - id: save
    dependencies: [find]
    for_each: "${{ steps.find.outputs.volumes }}"
    key: "${{ item.name }}"
    type: backup.create
    parameters: {path: "${{ item.path }}", size: "${{ steps.find.outputs.total }}"}
"""
FLEET = (host("db1", facts={"kind": "a"}), host("db2", facts={"kind": "b"}))
VOLUMES = {"volumes": [{"name": "v1", "path": "/v1", "bytes": 5}], "total": 5}


def test_hosts_are_asked_with_rendered_parameters() -> None:
    outcome = make_plan(PlanRequest(stored(DISCOVER)), world(FLEET))
    assert isinstance(outcome, Questions)
    assert [(each.path, each.host, each.step_type, each.parameters) for each in outcome.questions] == [
        ("find", "db1", "discovery.data", {"kinds": ["a"]}),
        ("find", "db2", "discovery.data", {"kinds": ["b"]}),
    ]
    assert outcome.questions[0].timeout == 2 * MINUTE


def test_answers_decide_items_and_parameters() -> None:
    found = plan(DISCOVER, *FLEET, answers=Answers(by_path={"find": VOLUMES}))
    part = found.plan.resolved["save"]["db1"]
    assert part.items == ("v1",)
    assert part.parameters == {"size": 5}
    assert part.item_parameters == ({"path": "/v1"},)
    assert step(found, "find").planned_outputs == {"db1": VOLUMES, "db2": VOLUMES}


def test_a_second_round_asks_what_the_first_answered() -> None:
    text = """
    targets: {hosts: [db1]}
    steps:
      - {id: one, type: discovery.data, at_plan: true}
      - id: two
        dependencies: [one]
        type: discovery.data
        at_plan: true
        parameters: {of: "${{ steps.one.outputs.x }}"}
      - {id: use, dependencies: [two], type: command.run, parameters: {argv: ["${{ steps.two.outputs.y }}"]}}
    """
    where = world(FLEET)
    first = make_plan(PlanRequest(stored(text)), where)
    assert isinstance(first, Questions)
    assert [each.path for each in first.questions] == ["one"]
    where = replace(where, answers={("one", "db1"): ReadAnswer({"x": 3})})
    second = make_plan(PlanRequest(stored(text)), where)
    assert isinstance(second, Questions)
    assert [(each.path, each.parameters) for each in second.questions] == [("two", {"of": 3})]
    where = replace(where, answers={**where.answers, ("two", "db1"): ReadAnswer({"y": 4})})
    third = make_plan(PlanRequest(stored(text)), where)
    assert isinstance(third, Planned)
    assert third.plan.resolved["use"]["db1"].parameters == {"argv": [4]}


def test_a_read_once_is_seen_from_every_host() -> None:
    text = """
    targets: {hosts: [db1, db2]}
    steps:
      - {id: one, run_once: true, type: discovery.data, at_plan: true}
      - {id: use, dependencies: [one], type: command.run, parameters: {argv: ["${{ steps.one.outputs.x }}"]}}
    """
    found = plan(text, *FLEET, answers=Answers(by_path={"one": {"x": 3}}))
    assert found.plan.resolved["use"][""].parameters == {"argv": [3]}


def test_an_answer_that_is_an_error_refuses_the_plan() -> None:
    answers = Answers(by_key={("find", "db2"): ReadAnswer(error="disk is gone", failure_kind=FailureKind.TARGET)})
    with pytest.raises(PlanRefused) as refused:
        plan(DISCOVER, *FLEET, answers=answers)
    problem = next(each for each in refused.value.problems if each.host == "db2")
    assert (problem.path, problem.kind) == ("find", FailureKind.TARGET)
    assert "disk is gone" in problem.message


def test_problems_are_told_before_anybody_is_asked() -> None:
    (problem,) = problems(DISCOVER.replace("type: backup.create", "type: none.such"), FLEET[0])
    assert "none.such" in problem.message


def test_a_host_that_is_offline_refuses_or_is_left_out() -> None:
    fleet = (FLEET[0], replace(FLEET[1], online=False))
    (problem,) = problems(DISCOVER, *fleet)
    assert problem.host == "db2"
    assert "on_offline: skip" in problem.fix
    text = "defaults: {on_offline: skip}\n" + DISCOVER
    found = plan(text, *fleet, answers=Answers(by_path={"find": VOLUMES}))
    assert list(step(found, "find").planned_outputs) == ["db1"]
    assert found.plan.resolved["save"]["db2"].items is None
    assert found.notes[0].host == "db2"


def test_a_host_left_out_stays_left_out_when_the_plan_is_made_again() -> None:
    text = "defaults: {on_offline: skip}\n" + DISCOVER
    answers = Answers(by_path={"find": VOLUMES})
    approved = plan(text, FLEET[0], replace(FLEET[1], online=False), answers=answers)
    pins = pins_of(approved.plan)
    assert pins.unanswered == {("find", "db2")}
    again = plan_request(PlanRequest(stored(text), pins=pins), world(FLEET), answers)
    assert again.plan.digest == approved.plan.digest


def test_only_reads_run_at_plan() -> None:
    text = "targets: {hosts: [db1]}\nsteps: [{id: a, at_plan: true, type: backup.create}]"
    assert "planning changes nothing" in problems(text)[0].message


def test_a_condition_may_spare_hosts_the_question() -> None:
    text = DISCOVER.replace("id: find,", "id: find, when: \"host.name == 'db1'\",")
    outcome = make_plan(PlanRequest(stored(text)), world(FLEET))
    assert isinstance(outcome, Questions)
    assert [each.host for each in outcome.questions] == ["db1"]
