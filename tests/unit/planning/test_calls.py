"""Blueprints called as steps: pinned, expanded, with a scope of their own."""

import pytest
from pilotage_coordinator.domain.plan import StepKind
from pilotage_coordinator.domain.planning.pins import pins_of
from pilotage_coordinator.domain.planning.planner import DEEPEST_CALL
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest, StoredBlueprint

from tests.unit.planning.fleet import THREE, Answers, host, plan_request, problems, step, stored, world


def book(id: str, body: str, version: str = "1.0.0") -> StoredBlueprint:
    return stored(f"pilotage: 1\nworkflows:\n  {id}:\n    version: '{version}'\n" + body)


INNER = """
    parameters: {who: {type: string, default: nobody}, hosts: {type: hosts}, token: {type: string}}
    targets: {hosts: "${{ parameters.hosts }}"}
    defaults: {timeout: 1m}
    steps: [{id: a, type: command.run, parameters: {argv: ["${{ parameters.who }}", "${{ parameters.token }}"]}}]
    outputs: {said: "${{ steps.a.results }}"}
"""
OUTER = """
parameters: {pass: {type: string, sensitive: true, default: hunter2}}
targets: {hosts: [db1, db2]}
defaults: {timeout: 9m, on_offline: fail}
steps:
  - id: call
    blueprint: inner@1
    parameters: {who: "${{ targets[0] }}", hosts: "${{ targets }}", token: "x${{ parameters.pass }}"}
  - {id: after, dependencies: [call], type: command.run, parameters: {argv: ["${{ steps.call.outputs.said }}"]}}
"""


def planned(text: str, *books: StoredBlueprint, **request: object) -> Planned:
    return plan_request(PlanRequest(stored(text), **request), world(THREE, *books), Answers())  # type: ignore[arg-type]


def test_the_newest_of_the_major_is_pinned_and_expanded() -> None:
    books = [book("inner", INNER, version) for version in ("1.9.0", "1.10.0", "2.0.0")]
    found = step(planned(OUTER, *books), "call")
    assert found.kind is StepKind.CALL
    assert str(found.call) == "inner@1.10.0"
    assert [each.path for each in found.steps] == ["call/a"]
    assert found.targets == ("db1", "db2")
    assert found.outputs == {"said": "${{ steps.a.results }}"}


def test_it_sees_only_its_own_parameters_and_sensitive_ones_stay_hidden() -> None:
    found = planned(OUTER, book("inner", INNER))
    call = step(found, "call")
    assert call.arguments["who"] == "db1"
    assert call.arguments["hosts"] == ["db1", "db2"]
    token = call.arguments["token"]
    assert isinstance(token, dict)
    assert list(token) == ["sensitive"]
    assert found.sensitive_parameters == {"": {"pass": "hunter2"}, "call": {"token": "xhunter2"}}
    argv = found.plan.resolved["call/a"][""].parameters["argv"]
    assert isinstance(argv, list)
    assert argv[0] == "db1"
    assert "hmac" in str(argv[1])


def test_defaults_are_the_inner_ones_then_the_callers() -> None:
    found = step(planned(OUTER, book("inner", INNER)), "call/a")
    assert (found.timeout, found.on_offline) == (60_000_000, "fail")


def test_without_targets_of_its_own_it_goes_where_its_caller_goes() -> None:
    inner = book("inner", "    steps: [{id: a, type: command.run, parameters: {argv: [x]}}]\n")
    text = "targets: {hosts: [db2]}\nsteps: [{id: call, blueprint: inner@1}]"
    assert step(planned(text, inner), "call/a").hosts == ("db2",)


def test_an_unknown_blueprint_and_an_unknown_major_are_refused() -> None:
    text = "targets: {hosts: [db1]}\nsteps: [{id: call, blueprint: %s}]"
    (problem,) = problems(text % "iner@1", books=[book("inner", INNER)])
    assert problem.fix == "did you mean `inner`?"
    (problem,) = problems(text % "inner@3", books=[book("inner", INNER)])
    assert "inner@3" in problem.message


def test_recursion_is_refused_with_the_circle() -> None:
    one = book("one", "    steps: [{id: c, blueprint: two@1}]\n")
    two = book("two", "    steps: [{id: c, blueprint: one@1}]\n")
    (problem,) = problems("steps: [{id: c, blueprint: one@1}]", books=[one, two])
    assert "one → two → one" in problem.message


@pytest.mark.parametrize(("levels", "refused"), [(DEEPEST_CALL, False), (DEEPEST_CALL + 1, True)])
def test_calls_nest_to_a_depth(levels: int, refused: bool) -> None:
    last = book(f"b{levels}", "    steps: [{id: c, type: command.run, parameters: {argv: [x]}}]\n")
    books = [book(f"b{n}", f"    steps: [{{id: c, blueprint: b{n + 1}@1}}]\n") for n in range(1, levels)]
    text = "targets: {hosts: [db1]}\nsteps: [{id: c, blueprint: b1@1}]"
    if refused:
        assert "deeper than 4" in problems(text, books=[*books, last])[0].message
    else:
        assert step(planned(text, *books, last), "/".join("c" * (levels + 1))).hosts == ("db1",)


def test_arguments_that_only_run_time_knows_are_refused_by_name() -> None:
    text = """
    targets: {hosts: [db1]}
    steps:
      - {id: a, run_once: true, type: command.run, parameters: {argv: [x]}}
      - {id: call, dependencies: [a], blueprint: inner@1, parameters: {hosts: [db1], who: "${{ steps.a.outputs.x }}"}}
    """
    (problem,) = problems(text, books=[book("inner", INNER)])
    assert "argument `who`" in problem.message
    assert "not available yet" in problem.message


def test_wrong_arguments_are_refused_at_the_call() -> None:
    text = "steps: [{id: call, blueprint: inner@1, parameters: {hosts: [db1], what: 1}}]"
    (problem,) = problems(text, books=[book("inner", INNER)])
    assert problem.path == "call"
    assert "`what`" in problem.message


def test_a_call_whose_condition_does_not_hold_is_left_out() -> None:
    text = "targets: {hosts: [db1]}\nsteps: [{id: call, when: '1 == 2', blueprint: none@1}]"
    found = planned(text)
    assert step(found, "call").steps == ()
    assert found.plan.resolved["call"][""].when is False


def test_answers_of_the_caller_reach_the_arguments() -> None:
    text = """
    targets: {hosts: [db1]}
    steps:
      - {id: find, run_once: true, at_plan: true, type: discovery.data}
      - {id: call, dependencies: [find], blueprint: inner@1, parameters: {hosts: "${{ steps.find.outputs.hosts }}"}}
    """
    answers = Answers(by_path={"find": {"hosts": ["db2"]}})
    found = plan_request(PlanRequest(stored(text)), world(THREE, book("inner", INNER)), answers)
    assert step(found, "call/a").hosts == ("db2",)


def test_a_version_stays_pinned_when_a_newer_one_is_published() -> None:
    old, new = book("inner", INNER, "1.0.0"), book("inner", INNER, "1.1.0")
    approved = planned(OUTER, old)
    again = planned(OUTER, old, new, pins=pins_of(approved.plan))
    assert again.plan.digest == approved.plan.digest
    assert planned(OUTER, old, new).plan.digest != approved.plan.digest


def test_rollback_actions_of_a_called_blueprint_are_refused_by_name() -> None:
    body = """
    targets: {hosts: [db1]}
    steps: [{id: a, type: command.run, parameters: {argv: [x]}}]
    rollback_plan: {enabled: true, actions: [{id: r, type: command.run, parameters: {argv: [x]}}]}
    """
    (problem,) = problems("steps: [{id: call, blueprint: inner@1}]", host("db1"), books=[book("inner", body)])
    assert "rollback actions of a called blueprint" in problem.message
