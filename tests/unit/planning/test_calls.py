"""Blueprints called as steps: pinned, expanded, with a scope of their own."""
# ruff: noqa: E501 - a step is one line of YAML

import json

import pytest
from pilotage_coordinator.domain.blueprint.parameter import ParameterType
from pilotage_coordinator.domain.plan import HostsFrom, OnFailure, Rollout, StepKind
from pilotage_coordinator.domain.planning.calls import DEEPEST_CALL
from pilotage_coordinator.domain.planning.codec import from_json, to_json
from pilotage_coordinator.domain.planning.every_step import hosts_of
from pilotage_coordinator.domain.planning.pins import pins_of
from pilotage_coordinator.domain.planning.previews import preview_questions
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest, StoredBlueprint
from pilotage_coordinator.domain.planning.view import view_plan
from pilotage_coordinator.domain.share import Share

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


LATE = """
targets: {hosts: [db1]}
steps:
  - {id: a, run_once: true, type: command.run, parameters: {argv: [x]}}
  - {id: call, dependencies: [a], blueprint: inner@1, parameters: {hosts: [db1], who: "${{ steps.a.outputs.x }}"}}
"""


def test_an_argument_that_only_run_time_knows_is_hashed_as_an_expression_and_checked_when_the_call_begins() -> None:
    found = planned(LATE, book("inner", INNER))
    call = step(found, "call")
    assert call.arguments == {"hosts": ["db1"], "token": None}
    assert call.parameters == {"who": "${{ steps.a.outputs.x }}"}
    assert call.accepts["who"].type is ParameterType.STRING
    assert found.plan.resolved["call"][""].parameters == {"who": {"run_time": "${{ steps.a.outputs.x }}"}}
    assert found.plan.resolved["call/a"][""].parameters == {"argv": [{"run_time": "${{ parameters.who }}"}, None]}
    other = planned(LATE.replace("outputs.x", "outputs.y"), book("inner", INNER))
    assert other.plan.digest != found.plan.digest
    assert from_json(json.loads(json.dumps(to_json(found.plan)))) == found.plan


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ("parameters: {who: {type: host}}", "a host when the plan is made"),
        ("parameters: {who: {type: hosts}}", "a hosts when the plan is made"),
        ("parameters: {who: {type: secret}}", "a secret when the plan is made"),
        ("parameters: {who: {type: string, sensitive: true}}", "it is sensitive"),
        ("parameters: {wo: {type: string}}", "did you mean `wo`?"),
        (
            "parameters: {who: {type: string}}\n    targets: {hosts: '${{ parameters.who }}'}",
            "only when the call begins",
        ),
        (
            "parameters: {who: {type: integer}}\n    requires: {that: ['parameters.who > 1']}",
            "only when the call begins",
        ),
    ],
)
def test_what_must_be_known_before_is_no_matter_of_run_time(inner: str, words: str) -> None:
    body = f"""
    {inner}
    steps: [{{id: z, type: command.run, parameters: {{argv: [x]}}}}]
"""
    found = problems(LATE.replace("hosts: [db1], who", "who"), books=[book("inner", body)])
    assert any(words in each.message for each in found), found


def test_a_rollout_knows_its_numbers_when_the_plan_is_made() -> None:
    body = """
    parameters: {who: {type: integer}}
    steps: [{id: z, type: command.run, parameters: {argv: [x]}, rollout: {max_parallel: "${{ parameters.who }}"}}]
"""
    (problem,) = problems(LATE.replace("hosts: [db1], who", "who"), books=[book("inner", body)])
    assert problem.path == "call/z"
    assert "only when the call begins" in problem.message


IN_GROUP = """
targets: {hosts: [db1, db2, web1]}
steps:
  - id: g
    rollout: {max_parallel: 1}
    steps:
      - {id: before, type: command.run, parameters: {argv: [x]}}
      - id: call
        dependencies: [before]
        blueprint: inner@1
        parameters: {hosts: "${{ host.name }}", who: "${{ host.labels.role }}"}
"""


def test_a_call_inside_a_group_is_the_blueprint_run_for_each_host_alone() -> None:
    found = planned(IN_GROUP, book("inner", INNER))
    call = step(found, "g/call")
    assert (call.hosts, call.targets) == ((), ("db1", "db2", "web1"))
    assert hosts_of(found.plan)["g/call/a"] == ("db1", "db2", "web1")
    assert found.plan.resolved["g/call"]["web1"].parameters == {"hosts": ["web1"], "who": "web"}
    assert found.plan.resolved["g/call/a"]["web1"].parameters == {"argv": ["web", None]}
    assert found.plan.resolved["g/call/a"]["db2"].parameters == {"argv": ["db", None]}
    assert {each.key for each in preview_questions(found.plan)} >= {("g/call/a", "db1", "")}


def test_a_call_inside_a_group_runs_where_its_blueprint_has_its_targets() -> None:
    narrow = INNER.replace('{hosts: "${{ parameters.hosts }}"}', "{select: \"host.labels.role == 'db'\"}")
    found = planned(IN_GROUP.replace('hosts: "${{ host.name }}", ', ""), book("inner", narrow))
    assert step(found, "g/call").hosts == ("db1", "db2")
    assert hosts_of(found.plan)["g/call/a"] == ("db1", "db2")
    elsewhere = narrow.replace("'db'", "'mail'")
    (problem,) = problems(
        IN_GROUP.replace('hosts: "${{ host.name }}", ', ""),
        host("mail1", labels={"role": "mail"}),
        *THREE,
        books=[book("inner", elsewhere)],
    )
    assert "none of the 3 hosts of the group" in problem.message


ONE_HOST = """
    parameters: {who: {type: string, default: x}}
    requires: {hosts: {max: 1}}
    steps:
      - {id: find, type: discovery.data, at_plan: true}
      - {id: once, dependencies: [find], run_once: true, type: command.run, parameters: {argv: ["${{ targets[0] }}"]}}
      - id: all
        dependencies: [once]
        rollout: {max_parallel: 2, batches: [1], max_failures: "20%", health: {steps: [{id: up, type: http.check}]}}
        steps: [{id: i, type: command.run, parameters: {argv: ["${{ steps.once.outputs.z }}", "${{ steps.find.outputs.n }}"]}}]
      - {id: drill, dependencies: [all], targets: {from: all, order: random, limit: 1}, type: command.run, parameters: {argv: [x]}}
    finally: [{id: told, type: notify.send, parameters: {to: "${{ count(steps.drill.results) }}"}}]
"""


def test_what_is_said_of_several_hosts_means_one_where_a_blueprint_is_called_for_each() -> None:
    text = IN_GROUP.replace('hosts: "${{ host.name }}", ', "")
    answers = Answers(by_path={"g/call/find": {"n": 4}})
    found = plan_request(PlanRequest(stored(text)), world(THREE, book("inner", ONE_HOST)), answers)
    assert step(found, "g/call/once").run_once is False
    assert step(found, "g/call/once").hosts == ()
    assert step(found, "g/call/all").on_failure is OnFailure.CONTINUE
    assert step(found, "g/call/all").rollout == Rollout()
    assert step(found, "g/call/all/!health").steps
    assert step(found, "g/call/drill").hosts_from == HostsFrom("g/call/all")
    assert step(found, "g/call/find").planned_outputs.keys() == {"db1", "db2", "web1"}
    assert found.plan.resolved["g/call/once"]["db2"].parameters == {"argv": ["db2"]}
    assert found.plan.resolved["g/call/all/i"]["db2"].parameters == {
        "argv": [{"run_time": "${{ steps.once.outputs.z }}"}, 4]
    }
    again = plan_request(
        PlanRequest(stored(text), pins=pins_of(found.plan)), world(THREE, book("inner", ONE_HOST)), answers
    )
    assert again.plan.digest == found.plan.digest


@pytest.mark.parametrize(
    "rollout", ["analysis: [{id: j, run_once: true, type: http.check}]", "on_failure: revert_all, max_failures: 0"]
)
def test_what_acts_on_several_hosts_is_refused_where_a_blueprint_is_called_for_each(rollout: str) -> None:
    body = f"\n    steps: [{{id: z, type: command.run, rollout: {{{rollout}}}, parameters: {{argv: [x]}}}}]\n"
    text = IN_GROUP.replace('{hosts: "${{ host.name }}", who: "${{ host.labels.role }}"}', "{}")
    (problem,) = problems(text, books=[book("inner", body)])
    assert problem.path == "g/call/z"
    assert "host by host" in problem.message


LOOPED = """
targets: {hosts: [db1]}
parameters: {apps: {type: list, default: [{name: web, port: 80}, {name: mail, port: 25}]}}
steps:
  - id: call
    for_each: "${{ parameters.apps }}"
    key: "${{ item.name }}"
    rollout: {max_parallel: 1}
    blueprint: inner@1
    parameters: {hosts: "${{ targets }}", who: "${{ item.name }}"}
"""


def test_a_call_may_loop() -> None:
    found = planned(LOOPED, book("inner", INNER))
    call = step(found, "call")
    assert (call.for_each, call.rollout.max_parallel) == ("${{ parameters.apps }}", Share(1))
    assert call.arguments == {"hosts": ["db1"], "token": None}
    assert [each["name"] for each in call.planned_items[""]] == ["web", "mail"]  # type: ignore[index, call-overload]
    resolved = found.plan.resolved["call"][""]
    assert (resolved.items, resolved.item_parameters) == (("web", "mail"), ({"who": "web"}, {"who": "mail"}))
    inner = found.plan.resolved["call/a"]["db1"]
    assert (inner.items, inner.item_parameters) == (
        ("web", "mail"),
        ({"argv": ["web", None]}, {"argv": ["mail", None]}),
    )
    assert {each.key for each in preview_questions(found.plan)} == {("call/a", "db1", "web"), ("call/a", "db1", "mail")}
    assert view_plan(found.plan).step_runs == 2


def test_a_call_inside_a_group_may_loop() -> None:
    text = IN_GROUP.replace(
        "        blueprint: inner@1", "        for_each: \"${{ ['x', 'y'] }}\"\n        blueprint: inner@1"
    )
    text = text.replace('who: "${{ host.labels.role }}"', 'who: "${{ item }}", token: "${{ host.name }}"')
    found = planned(text, book("inner", INNER))
    resolved = found.plan.resolved["g/call"]["web1"]
    assert resolved.parameters == {"hosts": ["web1"], "token": "web1"}
    assert resolved.item_parameters == ({"who": "x"}, {"who": "y"})
    inner = found.plan.resolved["g/call/a"]["db2"]
    assert (inner.items, inner.item_parameters) == (("x", "y"), ({"argv": ["x", "db2"]}, {"argv": ["y", "db2"]}))


def test_each_item_is_checked_as_any_argument() -> None:
    body = INNER.replace("who: {type: string, default: nobody}", "who: {type: string, choices: [web]}")
    (problem,) = problems(LOOPED, books=[book("inner", body)])
    assert (problem.path, "`mail` is none of the choices" in problem.message) == ("call", True)
    body = INNER.replace(
        "who: {type: string, default: nobody}", "who: {type: string, validation: {that: 'parameters.who < \"n\"'}}"
    )
    (problem,) = problems(LOOPED, books=[book("inner", body)])
    assert "does not hold for `web`" in problem.message


def test_loops_do_not_nest_through_a_call() -> None:
    body = """
    parameters: {hosts: {type: hosts}, who: {type: string}}
    steps:
      - {id: a, for_each: "${{ ['x'] }}", type: command.run, parameters: {argv: [x]}}
      - {id: b, at_plan: true, type: discovery.data}
"""
    found = problems(LOOPED, books=[book("inner", body)])
    assert {each.path for each in found} == {"call/a", "call/b"}
    assert {each.message.partition(":")[0] for each in found} == {"it loops, and stands inside a for_each", "at_plan"}


def test_targets_are_not_another_for_each_item() -> None:
    body = INNER.replace('{hosts: "${{ parameters.hosts }}"}', '{hosts: ["${{ parameters.who }}"]}')
    (problem,) = problems(LOOPED, books=[book("inner", body)])
    assert "each item of the call's for_each" in problem.message


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
