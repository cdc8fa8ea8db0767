"""Which hosts a plan means, and how it refuses."""

import pytest
from pilotage_coordinator.domain.plan import FailureKind

from tests.unit.planning.fleet import host, plan, problems, step

ECHO = "steps: [{id: a, type: command.run, parameters: {argv: [echo]}}]"


def hosts(text: str, *fleet: object, **request: object) -> tuple[str, ...]:
    return step(plan(text, *fleet, **request), "a").hosts  # type: ignore[arg-type]


def test_select_asks_every_host_with_parameters_and_host() -> None:
    text = """
    parameters: {role: {type: string, default: db}}
    targets: {select: "host.labels.role == parameters.role"}
    """
    assert hosts(text + ECHO) == ("db1", "db2")
    assert hosts(text + ECHO, parameters={"role": "web"}) == ("web1",)


def test_a_select_that_fails_refuses_the_plan_and_names_the_host() -> None:
    (problem,) = problems(
        "targets: {select: \"host.labels.role == 'db'\"}\n" + ECHO, host("db1"), host("odd", labels={})
    )
    assert problem.host == "odd"
    assert problem.kind is FailureKind.TARGET
    assert "role" in problem.message
    assert "get(host.labels" in problem.fix


def test_no_targets_at_all_is_refused_never_all_hosts() -> None:
    (problem,) = problems(ECHO)
    assert problem.path == "a"
    assert "-l" in problem.fix
    assert problem.at.line == 4


def test_the_command_line_gives_targets_where_there_are_none() -> None:
    assert hosts(ECHO, limit_to="role=db") == ("db1", "db2")


def test_the_command_line_narrows_and_never_widens() -> None:
    assert hosts("targets: {hosts: [db1, web1]}\n" + ECHO, limit_to="role=db") == ("db1",)
    (problem,) = problems("targets: {hosts: [web1]}\n" + ECHO, limit_to="role=db")
    assert "never widens" in problem.fix


def test_a_selector_without_hosts_and_one_that_cannot_be_read_are_refused() -> None:
    assert "role=dbb" in problems(ECHO, limit_to="role=dbb")[0].message
    assert "name=db1" in problems(ECHO, limit_to="db1")[0].message


def test_a_condition_without_hosts_is_refused() -> None:
    (problem,) = problems("targets: {select: \"host.name == 'none'\"}\n" + ECHO)
    assert "no host fulfils" in problem.message


def test_unknown_names_are_refused_in_hosts_and_in_exclude() -> None:
    (problem,) = problems("targets: {hosts: [db1, db22]}\n" + ECHO)
    assert "db22" in problem.message
    assert problem.fix == "did you mean `db2`?"
    (problem,) = problems("targets: {hosts: [db1, db2], exclude: [bd2]}\n" + ECHO)
    assert problem.fix == "did you mean `db2`?"


def test_exclude_then_order_then_limit() -> None:
    text = "targets: {hosts: [web1, db2, db1], exclude: [db1], limit: 1}\n"
    assert hosts(text + ECHO) == ("db2",)
    assert hosts('targets: {hosts: [web1, db2, db1], limit: "34%"}\n' + ECHO) == ("db1", "db2")


def test_order_by_a_label_puts_hosts_without_it_last() -> None:
    fleet = (host("a", labels={"rack": "2"}), host("b", labels={}), host("c", labels={"rack": "1"}))
    assert hosts("targets: {hosts: [a, b, c], order: host.labels.rack}\n" + ECHO, *fleet) == ("c", "a", "b")


def test_order_by_what_changes_by_itself_is_refused() -> None:
    (problem,) = problems("targets: {hosts: [db1, db2], order: host.facts.free}\n" + ECHO)
    assert "changes by itself" in problem.message


def test_random_order_is_the_seeds() -> None:
    fleet = [host(f"h{number}") for number in range(20)]
    text = "targets: {select: 'true', order: random}\n" + ECHO
    first = hosts(text, *fleet, seed="one")
    assert first == hosts(text, *fleet, seed="one")
    assert first != hosts(text, *fleet, seed="two")
    assert sorted(first) == sorted(each.name for each in fleet)


def test_a_hosts_parameter_may_be_a_name_a_list_or_a_condition() -> None:
    text = """
    parameters: {hosts: {type: hosts, required: true}}
    targets: {hosts: "${{ parameters.hosts }}"}
    """
    assert hosts(text + ECHO, parameters={"hosts": "db1"}) == ("db1",)
    assert hosts(text + ECHO, parameters={"hosts": ["db2", "db1"]}) == ("db1", "db2")
    found = plan(text + ECHO, parameters={"hosts": {"select": "host.labels.role == 'db'"}})
    assert step(found, "a").hosts == ("db1", "db2")
    assert found.plan.parameters["hosts"] == ["db1", "db2"]


def test_a_hosts_parameter_is_checked() -> None:
    text = 'parameters: {hosts: {type: hosts}}\ntargets: {hosts: "${{ parameters.hosts }}"}\n' + ECHO
    (problem,) = problems(text, parameters={"hosts": ["db3"]})
    assert problem.kind is FailureKind.PARAMETER
    assert "`db3`" in problem.message
    (problem,) = problems(text, parameters={"hosts": {"select": "host.labels.role == 'x'"}})
    assert "no host fulfils" in problem.message


def test_a_host_parameter_must_be_online_unless_it_may_be_offline() -> None:
    text = "parameters: {{lost: {{type: host, {more}}}}}\ntargets: {{hosts: [db1]}}\n" + ECHO.replace(
        "{", "{{"
    ).replace("}", "}}")
    (problem,) = problems(text.format(more=""), host("db1"), host("db2", online=False), parameters={"lost": "db2"})
    assert problem.host == "db2"
    assert "allow_offline" in problem.fix
    plan(text.format(more="allow_offline: true"), host("db1"), host("db2", online=False), parameters={"lost": "db2"})


def test_steps_inherit_from_group_then_blueprint() -> None:
    found = plan("""
    targets: {hosts: [db1]}
    steps:
      - {id: own, targets: {hosts: [web1]}, type: command.run, parameters: {argv: [echo]}}
      - {id: a, type: command.run, parameters: {argv: [echo]}}
      - id: group
        targets: {hosts: [db2]}
        steps: [{id: inner, type: command.run, parameters: {argv: ["echo ${{ host.name }}"]}}]
    """)
    assert step(found, "own").hosts == ("web1",)
    assert step(found, "a").hosts == ("db1",)
    assert step(found, "group").hosts == ("db2",)
    assert step(found, "group/inner").hosts == ()
    assert list(found.plan.resolved["group/inner"]) == ["db2"]


def test_hosts_from_another_step_stay_open_and_are_bound_by_it() -> None:
    found = plan("""
    targets: {select: "true"}
    steps:
      - {id: a, type: command.run, parameters: {argv: [echo]}}
      - id: b
        dependencies: [a]
        targets: {from: a, exclude: [db1], limit: 1, order: random}
        type: command.run
        parameters: {argv: ["${{ host.name }}"]}
    """)
    taken = step(found, "b")
    assert taken.hosts == ()
    assert taken.hosts_from is not None
    assert (taken.hosts_from.path, taken.hosts_from.exclude, taken.hosts_from.order) == ("a", ("db1",), "random")
    assert list(found.plan.resolved["b"]) == ["db2", "web1"]


@pytest.mark.parametrize(("online", "expected"), [((True, True), "db1"), ((False, True), "db2")])
def test_run_once_is_pinned_to_the_first_host_that_is_online(online: tuple[bool, bool], expected: str) -> None:
    fleet = (host("db1", online=online[0]), host("db2", online=online[1]))
    text = "targets: {select: 'true'}\nsteps: [{id: a, run_once: true, type: command.run, parameters: {argv: [x]}}]"
    assert hosts(text, *fleet) == (expected,)


def test_run_once_without_any_host_online_waits_or_is_refused() -> None:
    fleet = (host("db1", online=False), host("db2", online=False))
    text = (
        "targets: {{select: 'true'}}\n"
        "steps: [{{id: a, run_once: true, on_offline: {0}, type: command.run, parameters: {{argv: [x]}}}}]"
    )
    found = plan(text.format("wait"), *fleet)
    assert step(found, "a").hosts == ("db1",)
    assert "waits for db1" in found.notes[0].message
    for choice in ("skip", "fail"):
        (problem,) = problems(text.format(choice), *fleet)
        assert "none of its 2 hosts is online" in problem.message


def test_a_coordinator_step_needs_no_targets_and_runs_per_host_where_there_are_some() -> None:
    once = "steps: [{id: a, type: validation.assert, parameters: {that: 'parameters.x > 1'}}]"
    assert hosts("parameters: {x: {type: integer, default: 2}}\n" + once) == ()
    each = "targets: {hosts: [db1, db2]}\nsteps: [{id: a, type: validation.assert, parameters: {that: 'host.online'}}]"
    assert hosts(each) == ("db1", "db2")
    said = "targets: {hosts: [db1]}\nsteps: [{id: a, type: notify.send, place: coordinator, parameters: {to: ops}}]"
    assert hosts(said) == ()
