"""A policy's word on a plan: what is in the digest, what refuses, and what that costs."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.plan import Effect, Plan, PlanPolicy
from pilotage_coordinator.domain.planning.codec import from_json, to_json
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.request import PlanRequest
from pilotage_coordinator.domain.policy import fitting
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.plan_ruling import ADD_A_RULE, EXPLAIN, judge_plan
from pilotage_coordinator.domain.policy.question import Asker, Change
from pilotage_coordinator.domain.policy.ruling import Asking, forbidden, question_of, subject_of
from pilotage_coordinator.domain.policy.starting import limited, over_limit, unmet

from tests.unit.planning.fleet import THREE, host, plan_request, step, step_type, stored, world
from tests.unit.policy.writing import ANN, BOT, MONDAY_NOON, ruleset

STEPS = """
category: backup
targets: {select: "true"}
steps:
  - {id: look, type: http.check}
  - {id: save, type: backup.create, dependencies: [look], parameters: {repository: "r/${{ host.name }}"}}
  - {id: write, type: file.write, dependencies: [save], undo: [{id: back, type: command.run}]}
"""
ALLOW = "- {name: all, level: global, decision: allow}\n"


def planned(rules: Ruleset, asker: Asker = ANN, text: str = STEPS, at: int = MONDAY_NOON, hosts: Any = THREE) -> Plan:
    asking = Asking(asker, Change(), at)
    inventory = {each.name: each for each in hosts}

    def judge(plan: Plan) -> Any:
        judged = judge_plan(rules, plan, asking, inventory, Expressions())
        return judged.policy, judged.problems

    return plan_request(PlanRequest(stored(text)), world(hosts, judge=judge)).plan


def refusals(rules: Ruleset, asker: Asker = ANN, text: str = STEPS) -> list[str]:
    with pytest.raises(PlanRefused) as refused:
        planned(rules, asker, text)
    return [f"{each.path}@{each.host}: {each.message}" for each in refused.value.problems]


def ways_out(rules: Ruleset) -> set[str]:
    with pytest.raises(PlanRefused) as refused:
        planned(rules)
    return {each.fix for each in refused.value.problems}


def rulings(plan: Plan) -> list[tuple[str, tuple[str, ...], dict[str, tuple[str, ...]]]]:
    return [(each.decision, each.rules, dict(each.steps)) for each in plan.policy.rulings]


def test_every_leaf_is_decided_undo_too_and_the_rules_that_decided_are_kept() -> None:
    plan = planned(ruleset(ALLOW))
    assert rulings(plan) == [("allow", ("all",), {"look": (), "save": (), "write": (), "write/back": ()})]
    assert plan.policy.rules == {"all": {"name": "all", "level": "global", "decision": "allow"}}
    assert from_json(to_json(plan)) == plan


def test_hosts_are_named_where_a_step_is_decided_otherwise_on_some() -> None:
    plan = planned(
        ruleset(ALLOW + "- {name: db, level: global, decision: dry_run_only, hosts: role=db, operations: backup.*}")
    )
    assert rulings(plan) == [
        ("dry_run_only", ("db",), {"save": ("db1", "db2")}),
        ("allow", ("all",), {"look": (), "save": ("web1",), "write": (), "write/back": ()}),
    ]
    (problem,) = unmet(plan, Change())
    assert problem.message == "the policy lets save be planned only, by db"


def test_what_is_denied_makes_no_plan_and_every_place_is_named_with_its_rule() -> None:
    found = refusals(
        ruleset(ALLOW + "- {name: no-db, level: global, decision: deny, hosts: role=db, operations: backup.*}")
    )
    assert found == [f"save@{name}: the policy denies backup.create: deny by no-db (global)" for name in ("db1", "db2")]
    assert refusals(ruleset("- {name: reads, level: global, decision: allow, effects: read}"))[0] == (
        "save@db1: the policy denies backup.create: no rule allows backup.create on db1 to ann"
    )


def test_a_denial_says_where_to_see_its_rule_or_to_add_the_one_that_is_missing() -> None:
    denying = "- {name: nothing, level: global, decision: deny, operations: backup.*}"
    assert ways_out(ruleset(ALLOW + denying)) == {EXPLAIN}
    assert ways_out(ruleset("- {name: reads, level: global, decision: allow, effects: read}")) == {ADD_A_RULE}


def test_undo_steps_are_denied_too() -> None:
    found = refusals(ruleset(ALLOW + "- {name: no-commands, level: global, decision: deny, operations: command.run}"))
    assert {each.partition("@")[0] for each in found} == {"write/back"}


def test_an_author_makes_no_rule_milder_by_calling_a_command_a_reading_one() -> None:
    """The starter policy lets assistants read."""
    command = step_type("command.run", Effect.ONCE, author_effects=(Effect.READ, Effect.IDEMPOTENT))
    look = step_type("http.check", Effect.READ)
    hosts = [host("db1", step_types={each.name: each for each in (command, look)})]
    text = 'targets: {select: "true"}\nsteps:\n  - {id: look, type: %s, effect: read}\n'
    reads = ruleset("- {name: reads, level: role, kinds: assistant, effects: read, decision: allow}")
    assert rulings(planned(reads, BOT, text % "http.check", hosts=hosts)) == [("allow", ("reads",), {"look": ()})]
    with pytest.raises(PlanRefused, match=r"no rule allows command\.run"):
        planned(reads, BOT, text % "command.run", hosts=hosts)


UNRELATED = "- {name: other, level: global, decision: deny, operations: container.*}\n"


def test_an_edit_elsewhere_changes_no_digest_and_one_of_a_rule_that_decided_does() -> None:
    before = planned(ruleset(ALLOW))
    for same in (
        UNRELATED + ALLOW,
        "- {name: all, level: global, decision: allow, description: other words}",
        ALLOW + "- {name: night, level: global, decision: deny, times: {from: '22:00', to: '23:00'}}",
        ALLOW + "- {name: bots, level: global, decision: deny, kinds: assistant}",
    ):
        assert planned(ruleset(same)).digest == before.digest, same
    for other in (
        "- {name: all, level: global, decision: allow, requires: reason}",
        "- {name: every, level: global, decision: allow}",
        ALLOW + "- {name: ann, level: role, principals: ann, decision: allow}",
        ALLOW + "- {name: db, level: global, decision: dry_run_only, hosts: role=db}",
    ):
        assert planned(ruleset(other)).digest != before.digest, other


def test_a_window_that_a_rule_names_is_part_of_the_rule() -> None:
    head = "windows: {noon: {hours: {from: '11:00', to: '13:00'}}}\n"
    rule = "- {name: all, level: global, decision: allow, windows: noon}"
    before = planned(ruleset(rule, head))
    assert planned(ruleset(rule, head.replace("11:00", "10:00"))).digest != before.digest
    assert "noon is not open" not in refusals(ruleset(rule, head.replace("11:00", "12:30")))[0]


def test_who_asks_decides_and_is_no_part_of_the_digest_by_itself() -> None:
    rules = ruleset(ALLOW)
    assert planned(rules, ANN).digest == planned(rules, Asker("bob")).digest
    both = ruleset(ALLOW + "- {name: bots, level: role, kinds: assistant, decision: require_approval}")
    assert planned(both, BOT).digest != planned(both, ANN).digest


def test_parameters_are_judged_as_they_come_to_on_each_host() -> None:
    rules = ruleset(ALLOW + "- {name: r, level: global, decision: dry_run_only, parameters: {repository: {is: r/db2}}}")
    assert rulings(planned(rules))[0] == ("dry_run_only", ("r",), {"save": ("db2",)})


def test_each_item_of_a_loop_is_judged() -> None:
    text = """
    targets: {select: "true"}
    steps: [{id: save, type: backup.create, for_each: "${{ ['/srv', '/etc'] }}", parameters: {path: "${{ item }}"}}]
    """
    rules = ruleset(ALLOW + "- {name: etc, level: global, decision: deny, parameters: {path: {like: /etc*}}}")
    assert len(refusals(rules, text=text)) == 3
    assert rulings(planned(rules, text=text.replace("'/etc'", "'/home'"))) == [("allow", ("all",), {"save": ()})]


def test_what_a_step_leaves_out_has_its_types_default() -> None:
    schema = {"properties": {"force": {"type": "boolean", "default": True}, "path": {"type": "string"}}}
    forced = {"file.write": step_type("file.write", Effect.IDEMPOTENT, params_schema=schema)}
    hosts = (host("db1", step_types=forced),)
    text = 'targets: {select: "true"}\nsteps: [{id: w, type: file.write, parameters: {path: /x}}]'
    rules = ruleset(ALLOW + "- {name: force, level: global, decision: dry_run_only, parameters: {force: {is: true}}}")
    assert rulings(planned(rules, text=text, hosts=hosts))[0][:2] == ("dry_run_only", ("force",))
    unforced = text.replace("path: /x", "path: /x, force: false")
    assert rulings(planned(rules, text=unforced, hosts=hosts))[0][:2] == ("allow", ("all",))


def test_what_only_run_time_knows_is_asked_again_then() -> None:
    text = """
    targets: {select: "true"}
    steps:
      - {id: a, type: command.run}
      - {id: b, dependencies: [a], type: file.write, parameters: {path: "${{ steps.a.outputs.stdout }}"}}
    """
    rules = ruleset(ALLOW + "- {name: etc, level: global, decision: deny, parameters: {path: {like: /etc/*}}}")
    plan = planned(rules, text=text)
    assert rulings(plan) == [("allow", ("all",), {"a": (), "b": ()})]
    leaf = plan.steps[1]
    asking = Asking(ANN, Change(), MONDAY_NOON)
    good, bad = (
        forbidden(rules, plan, question_of(plan, leaf, THREE[0], {"path": path}, asking), Expressions())
        for path in ("/srv/x", "/etc/x")
    )
    assert good == ""
    assert bad == "file.write on db1 is not allowed now: deny by etc (global)"


APPROVE = "- {name: ask, level: global, decision: require_approval, approval: {required: 1, of: ['role:owner']}}"


def test_an_approval_counts_at_dispatch_only_for_the_rule_with_which_the_plan_was_made() -> None:
    plan = planned(ruleset(APPROVE))
    question = question_of(plan, plan.steps[0], THREE[0], {}, Asking(ANN, Change(), MONDAY_NOON))
    assert forbidden(ruleset(APPROVE), plan, question, Expressions()) == ""
    stricter = ruleset(APPROVE.replace("required: 1", "required: 2"))
    assert "needs an approval that this run does not have, by ask" in forbidden(stricter, plan, question, Expressions())
    assert list(unmet(plan, Change())) == []


def test_each_rule_that_asks_for_an_approval_is_asked_before_anything_starts() -> None:
    plan = planned(ruleset(APPROVE.replace("required: 1", "required: 2, comment: true")))
    (gate,) = plan.approvals
    assert (gate.required, gate.comment, gate.source) == (2, True, "rule ask of the policy")
    assert (gate.strict, gate.separation) == (False, True)
    (gate,) = planned(ruleset(APPROVE.replace("required: 1", "strict: true, separation: false"))).approvals
    assert (gate.strict, gate.separation) == (True, False)
    assert planned(ruleset("- {name: all, level: global, decision: allow}")).approvals == ()
    assert from_json(to_json(plan)) == plan


@pytest.mark.parametrize("what", ["reference", "reason", "class"])
def test_a_start_gives_what_a_rule_requires(what: str) -> None:
    plan = planned(ruleset(f"- {{name: all, level: global, decision: allow, requires: {what}}}"))
    (problem,) = unmet(plan, Change())
    assert problem.message == f"the rule all asks for the {what} of the change"
    assert f"--{what}" in problem.fix
    from pilotage_coordinator.domain.policy.rule import ChangeClass

    assert list(unmet(plan, Change("CHG-1", "why", ChangeClass.NORMAL))) == []


def test_executions_that_a_rule_lets_run_are_counted() -> None:
    plan = planned(ruleset("- {name: all, level: global, decision: allow, max_concurrent: 2}"))
    free = planned(ruleset("- {name: other, level: global, decision: allow}"))
    assert limited(plan)
    assert not limited(free)
    assert list(over_limit(plan, [("exe_1", plan), ("exe_2", free)])) == []
    (problem,) = over_limit(plan, [("exe_1", plan), ("exe_2", free), ("exe_3", plan)])
    assert problem.message == "the rule all lets 2 run at a time, and 2 are under way: exe_1, exe_3"


def test_a_large_policy_is_not_asked_rule_by_rule_on_every_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of each host are the rules about it and the step: the others are left out once for all."""
    many = "".join(f"- {{name: r{n}, level: global, decision: deny, operations: x{n}.*}}\n" for n in range(200))
    rules = ruleset(ALLOW + many)
    hosts = [host(f"h{n:03}") for n in range(100)]
    asked: list[str] = []
    about = fitting.Prepared.about

    def counting(self: fitting.Prepared, subject: Any) -> str:
        asked.append(self.rule.name)
        return about(self, subject)

    monkeypatch.setattr(fitting.Prepared, "about", counting)
    plan = planned(rules, hosts=hosts)
    assert len(plan.targets) == 100
    assert len(asked) == 4 * len(rules.policy.rules)
    leaf = step(plan_request(PlanRequest(stored(STEPS)), world(hosts)), "save")
    asked.clear()
    for each in hosts:
        question = question_of(plan, leaf, each, {}, Asking(ANN, Change(), MONDAY_NOON))
        assert forbidden(rules, plan, question, Expressions()) == ""
    assert asked == []


def test_what_a_blueprint_that_was_only_sent_says_of_itself_opens_no_door() -> None:
    rules = ruleset("- {name: ours, level: global, decision: allow, blueprints: nightly, categories: backup}")
    plan = planned(rules)
    sent = replace(plan, policy=PlanPolicy(sent=True))
    judged = judge_plan(rules, sent, Asking(ANN, Change(), MONDAY_NOON), {}, Expressions())
    assert len(judged.refused) > 0
    assert judged.policy.sent
    question = question_of(sent, plan.steps[0], THREE[0], {}, Asking(ANN, Change(), MONDAY_NOON))
    stored_one = replace(question, subject=subject_of(plan, plan.steps[0], ANN, None))
    assert forbidden(rules, plan, stored_one, Expressions()) == ""
    assert "no rule allows" in forbidden(rules, sent, question, Expressions())
