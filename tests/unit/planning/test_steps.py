"""What a planned step says: inheritance, rollout, step types on hosts, what is refused by name."""
# ruff: noqa: E501 - a step is one line of YAML

from collections.abc import Mapping
from dataclasses import replace

import pytest
from pilotage_coordinator.domain.plan import Effect, FailureKind, HostsFrom, OnFailure, OnOffline, Place
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.every_step import hosts_of
from pilotage_coordinator.domain.planning.pins import pins_of
from pilotage_coordinator.domain.planning.previews import preview_questions
from pilotage_coordinator.domain.planning.request import PlanRequest
from pilotage_coordinator.domain.planning.view import view_plan
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.domain.values import HOUR, MINUTE, SECOND

from tests.unit.planning.fleet import (
    STEP_TYPES,
    THREE,
    host,
    plan,
    plan_request,
    problems,
    step,
    step_type,
    stored,
    world,
)

RUN = "type: command.run, parameters: {argv: [x]}"


def test_defaults_are_inherited_and_the_nearest_word_wins() -> None:
    found = plan(f"""
    targets: {{hosts: [db1]}}
    defaults: {{timeout: 30m, on_offline: skip, retry_policy: {{max_attempts: 3, on: [infrastructure]}}}}
    steps:
      - {{id: a, {RUN}}}
      - {{id: b, timeout: 5s, on_offline: fail, offline_deadline: 2h, deadline: 1h, {RUN}}}
    """)
    a, b = step(found, "a"), step(found, "b")
    assert (a.timeout, a.on_offline, a.retry.max_attempts) == (30 * MINUTE, OnOffline.SKIP, 3)
    assert a.retry.on == frozenset({FailureKind.INFRASTRUCTURE})
    assert (b.timeout, b.on_offline, b.offline_deadline, b.deadline) == (5 * SECOND, OnOffline.FAIL, 2 * HOUR, HOUR)


def test_user_and_env_of_the_defaults_go_to_types_that_take_them() -> None:
    takes = step_type("command.run", params_schema={"properties": {"user": {}, "env": {}, "argv": {}}})
    fleet = host("db1", step_types={**STEP_TYPES, "command.run": takes})
    found = plan(
        """
        targets: {hosts: [db1]}
        defaults: {user: backup, env: {A: "1", B: "2"}}
        steps:
          - {id: a, type: command.run, parameters: {argv: [x], env: {B: "3"}}}
          - {id: b, type: file.write, parameters: {path: /x}}
        """,
        fleet,
    )
    assert step(found, "a").parameters == {"argv": ["x"], "env": {"A": "1", "B": "3"}, "user": "backup"}
    assert step(found, "b").parameters == {"path": "/x"}


def test_a_rollout_is_written_with_known_shares() -> None:
    found = plan(f"""
    parameters: {{at_once: {{type: integer, default: 4}}}}
    targets: {{select: "true"}}
    steps:
      - id: a
        rollout: {{max_parallel: "${{{{ parameters.at_once }}}}", batches: [1, {{size: 2, then: {{wait: 10m}}}}, "25%"], max_failures: 0}}
        {RUN.replace(", parameters", chr(10) + "        parameters")}
    """)
    rollout = step(found, "a").rollout
    assert rollout.max_parallel == Share(4)
    assert [each.size for each in rollout.batches] == [Share(1), Share(2), Share(25, percent=True)]
    assert rollout.batches[1].wait == 10 * MINUTE
    assert rollout.max_failures == Share(0)


def test_inside_a_group_a_failure_stops_the_hosts_chain_and_the_group_answers_as_the_blueprint_says() -> None:
    found = plan(f"""
    targets: {{hosts: [db1]}}
    on_failure: rollback
    steps:
      - id: g
        steps: [{{id: a, {RUN}}}, {{id: b, on_failure: continue, {RUN}}}]
      - {{id: c, {RUN}}}
    finally: [{{id: d, {RUN}}}]
    """)
    assert step(found, "g").on_failure is OnFailure.ROLLBACK
    assert step(found, "g/a").on_failure is OnFailure.STOP
    assert step(found, "g/b").on_failure is OnFailure.CONTINUE
    assert step(found, "c").on_failure is OnFailure.ROLLBACK
    assert step(found, "d").on_failure is OnFailure.STOP


def test_a_host_without_the_step_type_is_named_with_what_to_install() -> None:
    fleet = (host("db1"), host("db2", step_types={}), host("db3", step_types={"command.ran": step_type("command.ran")}))
    found = problems(f"targets: {{select: 'true'}}\nsteps: [{{id: a, {RUN}}}]", *fleet)
    assert [(each.host, each.path, each.kind) for each in found] == [
        ("db2", "a", FailureKind.TARGET),
        ("db3", "a", FailureKind.TARGET),
    ]
    assert "start its agent" in found[0].fix
    assert "`command.*`" in found[1].fix
    assert "did you mean `command.ran`?" in found[1].fix


def test_a_quarantined_plugin_is_named() -> None:
    fleet = host("db1", step_types={}, quarantined={"acme": "cannot import x"})
    (problem,) = problems(f"targets: {{select: 'true'}}\nsteps: [{{id: a, {RUN}}}]", fleet)
    assert "acme: cannot import x" in problem.fix


def test_other_versions_are_pinned_host_by_host() -> None:
    newer = {**STEP_TYPES, "command.run": step_type("command.run", version="1.1.0")}
    fleet = (host("db1"), host("db2", step_types=newer), host("db3"))
    found = step(plan(f"targets: {{select: 'true'}}\nsteps: [{{id: a, {RUN}}}]", *fleet), "a")
    assert found.type is not None
    assert found.type.version == "1.0.0"
    assert {name: use.version for name, use in found.type_on.items()} == {"db2": "1.1.0"}


def test_another_effect_or_other_parameters_on_one_host_are_refused() -> None:
    other = {**STEP_TYPES, "command.run": step_type("command.run", Effect.READ, version="2.0.0")}
    text = f"targets: {{select: 'true'}}\nsteps: [{{id: a, {RUN}}}]"
    (problem,) = problems(text, host("db1"), host("db2"), host("db3", step_types=other))
    assert problem.host == "db3"
    assert "another effect" in problem.message
    schema = {"properties": {"command": {}}, "additionalProperties": False, "required": ["command"]}
    strict = {**STEP_TYPES, "command.run": step_type("command.run", version="2.0.0", params_schema=schema)}
    found = problems(text, host("db1"), host("db2"), host("db3", step_types=strict))
    assert ["no parameter `argv`" in found[0].message, "needs the parameter `command`" in found[1].message] == [
        True
    ] * 2


def test_an_effect_is_the_types_unless_the_author_may_say() -> None:
    text = "targets: {{hosts: [db1]}}\nsteps: [{{id: a, type: {0}, effect: read, parameters: {{x: 1}}}}]"
    assert step(plan(text.format("command.run")), "a").effect is Effect.READ
    (problem,) = problems(text.format("backup.create"))
    assert "may not declare `read`" in problem.message


def test_coordinator_types_run_there_and_plugins_never() -> None:
    text = "targets: {{hosts: [db1]}}\nsteps: [{{id: a, place: {0}, type: {1}, parameters: {{that: 'true', to: ops}}}}]"
    assert step(plan(text.format("coordinator", "notify.send")), "a").place is Place.COORDINATOR
    assert "runs no plugins" in problems(text.format("coordinator", "command.run"))[0].message
    assert "coordinator alone" in problems(text.format("host", "notify.send"))[0].message


def test_dependencies_conditions_and_marks_are_carried_over() -> None:
    found = plan(f"""
    targets: {{hosts: [db1]}}
    steps:
      - id: g
        steps:
          - {{id: a, irreversible: true, sensitive_outputs: [x], {RUN}}}
          - {{id: b, dependencies: [a], when: "steps.a.outputs.x", on_unknown: fail, undo: none, {RUN}}}
    """)
    a, b = step(found, "g/a"), step(found, "g/b")
    assert a.irreversible
    assert a.sensitive_outputs == ("x",)
    assert b.dependencies == ("g/a",)
    assert (b.when, b.on_unknown, b.undo) == ("steps.a.outputs.x", "fail", "none")


def test_undo_steps_and_rollback_actions_are_planned() -> None:
    found = plan(f"""
    targets: {{hosts: [db1]}}
    steps:
      - id: a
        type: command.run
        parameters: {{argv: [x]}}
        undo: [{{id: back, type: command.run, parameters: {{argv: ["${{{{ steps.a.outputs.x }}}}"]}}}}]
    rollback_plan: {{enabled: true, conditions: ["true"], actions: [{{id: r, {RUN}}}]}}
    """)
    assert step(found, "a").undo == "steps"
    assert step(found, "a/back").hosts == ()
    assert found.plan.rollback is not None
    assert found.plan.rollback.conditions == ("true",)
    assert found.plan.rollback.actions[0].hosts == ("db1",)


def in_a_group(inner: str) -> str:
    return f"""
    targets: {{hosts: [db2, db1, web1]}}
    steps:
      - {{id: before, {RUN}}}
      - {{id: g, dependencies: [before], steps: [{{id: a, {inner}}}]}}
    """


@pytest.mark.parametrize(
    ("inner", "hosts"),
    [
        (f"targets: {{select: \"host.name != 'db1'\"}}, {RUN}", ("db2", "web1")),
        (f"targets: {{hosts: [web1, db2]}}, {RUN}", ("db2", "web1")),
        (f"targets: {{select: 'true', limit: 1}}, {RUN}", ("db1",)),
        (f"targets: {{hosts: [db1, db2, web1]}}, {RUN}", ()),
        (f"run_once: true, {RUN}", ("db1",)),
        (f"targets: {{hosts: [web1, db2]}}, run_once: true, steps: [{{id: b, {RUN}}}]", ("db2",)),
    ],
)
def test_targets_inside_a_group_narrow_the_groups(inner: str, hosts: tuple[str, ...]) -> None:
    found = plan(in_a_group(inner))
    assert step(found, "g/a").hosts == hosts
    assert step(found, "g").hosts == ("db1", "db2", "web1")
    assert hosts_of(found.plan)["g/a"] == (hosts or step(found, "g").hosts)
    assert set(pins_of(found.plan).hosts.values()) == ({hosts[0]} if "run_once" in inner else set())


def test_inside_a_narrower_group_everything_is_as_narrow() -> None:
    text = in_a_group(f"targets: {{hosts: [db2]}}, steps: [{{id: b, {RUN}}}, {{id: c, run_once: true, {RUN}}}]")
    found = plan(text, host("db1", online=False), host("db2"), host("web1"))
    assert [step(found, each).hosts for each in ("g/a", "g/a/b", "g/a/c")] == [("db2",), (), ()]
    assert hosts_of(found.plan)["g/a/c"] == ("db2",)


def test_a_step_inside_a_group_may_follow_where_another_succeeded() -> None:
    found = plan(in_a_group(f"targets: {{from: before, exclude: [db1]}}, {RUN}"))
    planned = step(found, "g/a")
    assert planned.hosts == ()
    assert planned.hosts_from == HostsFrom("before", ("db1",))
    assert hosts_of(found.plan)["g/a"] == ("db2", "web1")


def test_targets_inside_a_group_that_meet_none_of_its_hosts_are_refused() -> None:
    (problem,) = problems(in_a_group(f"targets: {{hosts: [web2]}}, {RUN}"), *THREE, host("web2"))
    assert (problem.path, problem.kind) == ("g/a", FailureKind.TARGET)
    assert "none of its 1 hosts is one of the group around it" in problem.message


def test_a_group_may_loop_and_what_is_inside_is_known_for_each_item() -> None:
    text = """
    targets: {hosts: [db1, db2]}
    parameters: {apps: {type: list, default: [{n: a, p: 1}, {n: b, p: 2}]}}
    steps:
      - id: g
        for_each: "${{ parameters.apps }}"
        key: "${{ item.n }}"
        rollout: {max_parallel: 1}
        steps:
          - {id: x, type: command.run, parameters: {argv: ["${{ item.p }}", "${{ host.name }}"]}, undo: [{id: u, type: command.run, parameters: {argv: ["${{ item_key }}"]}}]}
          - {id: y, dependencies: [x], type: command.run, parameters: {argv: [y]}}
        finally: [{id: z, type: command.run, parameters: {argv: ["${{ item_key }}"]}}]
    """
    found = plan(text)
    group = step(found, "g")
    assert (group.for_each, group.rollout.max_parallel, group.max_items) == ("${{ parameters.apps }}", Share(1), 1000)
    assert group.planned_items["db2"] == [{"n": "a", "p": 1}, {"n": "b", "p": 2}]
    inner = found.plan.resolved["g/x"]["db2"]
    assert inner.items == ("a", "b")
    assert inner.item_parameters == ({"argv": [1, "db2"]}, {"argv": [2, "db2"]})
    assert found.plan.resolved["g/x/u"]["db1"].item_parameters == ({"argv": ["a"]}, {"argv": ["b"]})
    assert view_plan(found.plan).step_runs == 3 * 2 * 2
    assert {each.key for each in preview_questions(found.plan)} >= {("g/x", "db1", "a"), ("g/y", "db2", "b")}


def test_items_of_a_group_that_only_run_time_knows_count_by_their_bound() -> None:
    text = f"""
    targets: {{hosts: [db1, db2]}}
    steps:
      - {{id: a, type: command.run, parameters: {{argv: [x]}}}}
      - id: g
        dependencies: [a]
        for_each: "${{{{ steps.a.outputs.list }}}}"
        max_items: 7
        steps: [{{id: x, type: command.run, parameters: {{argv: ["${{{{ item }}}}", y]}}}}, {{id: y, {RUN}}}]
    """
    found = plan(text)
    assert found.plan.resolved["g/x"]["db1"].parameters == {"argv": [{"run_time": "${{ item }}"}, "y"]}
    view = view_plan(found.plan)
    assert (view.step_runs, view.most_step_runs) == (2 + 4, 2 + 2 * 2 * 7)
    assert {each.key[0] for each in preview_questions(found.plan)} == {"a"}


def test_a_step_inside_a_group_may_have_a_gate_of_its_own() -> None:
    gate = "rollout: {health: {steps: [{id: up, type: http.check}]}}"
    found = plan(in_a_group(f"targets: {{hosts: [db1]}}, {gate}, {RUN}"))
    assert step(found, "g/a").hosts == ("db1",)
    assert step(found, "g/a/!health").dependencies == ("g/a/a",)
    assert hosts_of(found.plan)["g/a/up"] == ("db1",)


def test_every_problem_is_told_at_once() -> None:
    found = problems(f"""
    targets: {{select: "true"}}
    steps:
      - {{id: a, targets: {{hosts: [nobody]}}, {RUN}}}
      - {{id: b, type: none.such}}
      - {{id: c, type: command.run, parameters: {{argv: ["${{{{ host.vars.missing }}}}"]}}}}
    """)
    assert {each.path for each in found} == {"a", "b", "c"}
    assert len([each for each in found if each.path == "b"]) == 3
    assert all(each.at.line for each in found)


def test_a_required_capability_that_is_not_available_now_refuses_the_plan() -> None:
    broken = replace(STEP_TYPES["backup.create"], available=False, reason="restic is not installed: apt-get install it")
    without = host("db9", step_types={**STEP_TYPES, "backup.create": broken})
    steps = "steps: [{id: a, type: command.run, parameters: {argv: [x]}}]"
    text = f"targets: {{select: 'true'}}\nrequires: {{capabilities: [backup.create]}}\n{steps}"
    (problem,) = problems(text, host("db1"), without)
    assert (problem.host, problem.kind) == ("db9", FailureKind.TARGET)
    assert "cannot run backup.create: restic is not installed" in problem.message
    assert "systemctl reload pilotage-agent" in problem.fix
    assert step(plan(text, host("db1")), "a").hosts == ("db1",)


def test_a_step_type_that_is_not_available_now_is_noted_and_voids_no_approval() -> None:
    broken = replace(STEP_TYPES["backup.create"], available=False, reason="restic is not installed")
    text = "targets: {select: 'true'}\nsteps: [{id: a, type: backup.create}]"
    whole = plan(text, host("db1"), host("db2"))
    found = plan(text, host("db1"), host("db2", step_types={**STEP_TYPES, "backup.create": broken}))
    assert [(each.path, each.host, each.message) for each in found.notes] == [
        ("a", "db2", "it cannot run backup.create now: restic is not installed")
    ]
    assert (found.plan.digest, whole.notes) == (whole.plan.digest, ())


def test_requirements_are_checked() -> None:
    text = f"""
    targets: {{select: "host.labels.role == 'db'"}}
    requires:
      hosts: {{min: 3}}
      all_online: true
      capabilities: [backup.fly]
      that: ["'db1' in targets", "hosts['db1'].address == 'elsewhere'"]
    steps: [{{id: a, {RUN}}}]
    """
    found = [str(each) for each in problems(text, host("db1"), host("db2", online=False))]
    assert len(found) == 5
    assert "2 hosts are fewer than 3" in found[0]
    assert "on db2: requires: the host is offline" in found[1]
    assert "backup.fly" in found[2]
    assert "elsewhere" in found[4]


def recent(last: Mapping[str, int], now: int = 100 * HOUR) -> list[str]:
    """Plan what asks for a backup within a day; return what is wrong."""
    text = f"targets: {{select: 'true'}}\nrequires: {{backup_within: 1d}}\nsteps: [{{id: a, {RUN}}}]"
    request, where = PlanRequest(stored(text)), world((host("db1"), host("db2")), last_backups=last, now=now)
    try:
        plan_request(request, where)
    except PlanRefused as refused:
        return [str(each) for each in refused.problems]
    return []


def test_a_recent_good_backup_of_every_target_can_be_required() -> None:
    fresh, just, old = 99 * HOUR, 76 * HOUR, 76 * HOUR - 1
    assert recent({"db1": fresh, "db2": just}) == []
    [problem] = recent({"db1": old, "db2": fresh})
    assert "on db1: requires: its last good backup is 1d old, more than 1d" in problem
    [problem] = recent({"db2": fresh, "web9": fresh})
    assert "on db1: requires: it has no good backup, and one within 1d is asked for" in problem
    assert "quick_backup" in problem
    assert len(recent({})) == 2


def test_more_than_a_hundred_thousand_step_runs_are_refused_with_their_number() -> None:
    many = ", ".join(f'"{number}"' for number in range(1000))
    fleet = [host(f"h{number}") for number in range(101)]
    text = f"""
    targets: {{select: "true"}}
    steps: [{{id: a, for_each: "${{{{ parameters.items }}}}", {RUN}}}]
    parameters: {{items: {{type: list, default: [{many}]}}}}
    """
    (problem,) = problems(text, *fleet)
    assert "101000 step runs, at most 100000" in problem.message


@pytest.mark.parametrize(
    ("effect", "has_undo", "undo"),
    [(Effect.ONCE, False, "none"), (Effect.ONCE, True, "auto"), (Effect.READ, False, "auto")],
)
def test_the_plan_says_what_a_rollback_cannot_bring_back(effect: Effect, has_undo: bool, undo: str) -> None:
    fleet = host("db1", step_types={"command.run": step_type("command.run", effect, has_undo=has_undo)})
    found = plan(f"targets: {{hosts: [db1]}}\nsteps: [{{id: a, {RUN}}}]", fleet)
    assert step(found, "a").undo == undo


def test_a_gate_is_asked_once_although_the_blueprint_has_targets() -> None:
    found = plan("targets: {hosts: [db1]}\nsteps: [{id: ask, type: gate.pause}, {id: check, type: validation.assert}]")
    assert step(found, "ask").hosts == ()
    assert step(found, "check").hosts == ("db1",)


def test_a_gate_inside_a_group_or_with_targets_of_its_own_is_asked_for_each_host() -> None:
    found = plan("""
    targets: {hosts: [db1]}
    steps:
      - {id: own, targets: {hosts: [db1]}, type: gate.pause}
      - {id: g, steps: [{id: ask, type: gate.pause}]}
    """)
    assert step(found, "own").hosts == ("db1",)
    assert step(found, "g").hosts == ("db1",)
