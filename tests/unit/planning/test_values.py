"""What expressions come to in a plan, what stays for run time, and what is never shown."""

import json

from pilotage_coordinator.domain.plan import Resolved
from pilotage_coordinator.domain.planning.codec import to_json

from tests.unit.planning.fleet import host, plan, problems, step


def resolved(text: str, *fleet: object, **request: object) -> dict[str, Resolved]:
    return dict(plan(text, *fleet, **request).plan.resolved.get("a", {}))  # type: ignore[arg-type]


def leaf(parameters: str, more: str = "") -> str:
    return (
        "parameters: {x: {type: integer, default: 7}, items: {type: list, default: [p, q]},"
        " t: {type: string, default: s},"
        " token: {type: string, sensitive: true, default: hunter2}, ref: {type: secret, default: 'secret://restic/db1'}}\n"
        "targets: {hosts: [db1, db2]}\n"
        f"steps: [{{id: a, {more} type: command.run, parameters: {parameters}}}]"
    )


def test_templates_stay_as_written_and_their_values_stand_beside() -> None:
    found = plan(leaf('{argv: ["${{ parameters.x }}", "on ${{ host.name }}"], plain: 1}'))
    assert step(found, "a").parameters == {"argv": ["${{ parameters.x }}", "on ${{ host.name }}"], "plain": 1}
    assert found.plan.resolved["a"]["db1"].parameters == {"argv": [7, "on db1"]}
    assert found.plan.resolved["a"]["db2"].parameters == {"argv": [7, "on db2"]}


def test_what_is_the_same_everywhere_stands_once() -> None:
    assert resolved(leaf('{argv: ["${{ parameters.x + 1 }}"]}')) == {"": Resolved(parameters={"argv": [8]})}


def test_facts_outputs_and_the_execution_are_known_at_run_time() -> None:
    fleet = (host("db1", facts={"free": 1}), host("db2", facts={"free": 2}))
    found = resolved(leaf('{argv: ["${{ host.facts.free }}", "${{ execution.id }}", "${{ host.name }}"]}'), *fleet)
    marks = [{"run_time": "${{ host.facts.free }}"}, {"run_time": "${{ execution.id }}"}]
    assert found["db1"].parameters == {"argv": [*marks, "db1"]}


def test_a_value_that_looks_like_a_template_is_data() -> None:
    found = plan(leaf('{argv: ["${{ parameters.t }}"]}'), parameters={"t": "${{ execution.id }}"})
    assert found.plan.resolved["a"][""].parameters == {"argv": ["${{ execution.id }}"]}
    assert step(found, "a").parameters == {"argv": ["${{ parameters.t }}"]}


def test_an_expression_that_fails_refuses_the_plan_and_names_host_and_step() -> None:
    found = problems(leaf('{argv: ["${{ host.vars.port }}"]}'), host("db1", vars={"port": 1}), host("db2"))
    assert [(each.path, each.host) for each in found] == [("a", "db2")]
    assert "port" in found[0].message


def test_behind_a_condition_that_only_run_time_knows_a_failure_is_left_for_run_time() -> None:
    text = leaf('{argv: ["${{ host.vars.port }}"]}', "when: host.facts.open,")
    found = resolved(text, host("db1", vars={"port": 1}), host("db2"))
    assert found["db2"].parameters == {"argv": [{"run_time": "${{ host.vars.port }}"}]}
    assert found["db1"].parameters == {"argv": [1]}


def test_a_condition_that_is_known_is_answered_for_each_host() -> None:
    found = resolved(leaf('{argv: ["${{ host.name }}"]}', "when: \"host.name == 'db1'\","))
    assert found["db1"] == Resolved(when=True, parameters={"argv": ["db1"]})
    assert found["db2"] == Resolved(when=False)


def test_items_that_are_known_stand_with_keys_and_their_parameters() -> None:
    text = leaf('{argv: ["${{ item }}"], all: "${{ parameters.x }}"}', 'for_each: "${{ parameters.items }}",')
    found = plan(text)
    assert found.plan.resolved["a"][""] == Resolved(parameters={"all": 7})
    expected = Resolved(items=("p", "q"), item_parameters=({"argv": ["p"]}, {"argv": ["q"]}))
    assert found.plan.resolved["a"]["db1"] == expected
    assert step(found, "a").planned_items == {"db1": ["p", "q"], "db2": ["p", "q"]}


def test_items_may_come_from_facts_and_are_pinned() -> None:
    fleet = [host(name, facts={"disks": [{"id": 1}, {"id": 2}]}) for name in ("db1", "db2")]
    text = leaf('{argv: ["${{ item_key }}"]}', 'for_each: "${{ host.facts.disks }}", key: "${{ item.id }}",')
    found = plan(text, *fleet)
    assert found.plan.resolved["a"]["db1"].items == ("1", "2")
    assert step(found, "a").planned_items["db2"] == [{"id": 1}, {"id": 2}]


def test_items_that_cannot_be_looped_over_are_refused() -> None:
    loop = 'for_each: "${{ parameters.items }}",'
    for items, why in (
        ([1.5], "a number, not a text"),
        (["a", "a"], "two items have the key `a`"),
        ([""], "0 characters"),
    ):
        (problem, *_) = problems(leaf("{argv: [x]}", loop), parameters={"items": items})
        assert why in problem.message
    (problem, *_) = problems(leaf("{argv: [x]}", loop + " max_items: 1,"))
    assert "2 items, more than max_items (1)" in problem.message
    (problem, *_) = problems(leaf("{argv: [x]}", 'for_each: "${{ parameters.x }}",'))
    assert "a number, not a list" in problem.message


def test_sensitive_values_are_nowhere_in_the_plan() -> None:
    text = leaf('{argv: ["${{ parameters.token }}", "-p${{ parameters.token }}"], env: {T: "${{ parameters.token }}"}}')
    found = plan(text)
    written = json.dumps(to_json(found.plan))
    assert "hunter2" not in written
    assert found.sensitive_parameters == {"": {"token": "hunter2"}}
    mark = found.plan.parameters["token"]
    assert isinstance(mark, dict)
    assert mark["sensitive"].startswith("hmac-sha256:")


def test_a_mark_changes_with_value_and_key_and_does_not_show_equal_values() -> None:
    text = leaf('{argv: ["${{ parameters.token }}", "${{ parameters.token }}"]}')
    first = plan(text).plan.resolved["a"][""].parameters["argv"]
    other = plan(text, parameters={"token": "x"}).plan.resolved["a"][""].parameters["argv"]
    assert isinstance(first, list)
    assert isinstance(other, list)
    assert first[0] != other[0]
    assert first[0] != first[1]


def test_a_reference_to_a_secret_is_shown() -> None:
    found = plan(leaf('{argv: ["${{ parameters.ref }}"]}'))
    assert found.plan.parameters["ref"] == "secret://restic/db1"
    assert "token" in found.sensitive_parameters[""]
    assert "ref" not in found.sensitive_parameters[""]


def test_looping_over_a_sensitive_parameter_is_refused() -> None:
    (problem,) = problems(leaf("{argv: [x]}", 'for_each: "${{ [parameters.token] }}",'))
    assert "sensitive" in problem.message


def test_wrong_parameters_are_refused_with_their_names_and_never_the_sensitive_value() -> None:
    found = problems(leaf("{argv: [x]}"), parameters={"x": "many", "y": 1})
    assert ["`y`" in found[0].message, "parameters.x" in found[1].message] == [True, True]
    (problem,) = problems(leaf("{argv: [x]}"), parameters={"token": 12345})
    assert "12345" not in str(problem)


def test_numbers_that_json_does_not_keep_are_refused() -> None:
    (problem,) = problems(leaf('{argv: ["${{ parameters.x * 9007199254740993 }}"]}'))
    assert "2^53" in problem.message


def test_assertions_stay_expressions() -> None:
    text = """
    targets: {hosts: [db1]}
    steps: [{id: a, type: validation.assert, parameters: {that: "host.facts.free > 1", message: "on ${{ host.name }}"}}]
    """
    found = plan(text)
    assert step(found, "a").parameters["that"] == "host.facts.free > 1"
    assert found.plan.resolved["a"]["db1"].parameters == {"message": "on db1"}
