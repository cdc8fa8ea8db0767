"""What rules of compliance find: what holds, what does not, and what is not known."""

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.blueprint.expand import content_digest
from pilotage_coordinator.domain.blueprint.features import ALL
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.compliance.blueprint_facts import steps_of_blueprint
from pilotage_coordinator.domain.compliance.checking import check
from pilotage_coordinator.domain.compliance.facts import BlueprintFacts, Facts, HostFacts, StepFacts
from pilotage_coordinator.domain.compliance.finding import Checked, Finding, Outcome, Result, blocking
from pilotage_coordinator.domain.compliance.plan_facts import steps_of_plan
from pilotage_coordinator.domain.compliance.rule import ComplianceRule
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import BlueprintRef, Effect, Plan, PlannedStep
from pilotage_coordinator.domain.planning.json_form import plain, read, written
from pilotage_coordinator.domain.planning.request import PlanRequest, StoredBlueprint
from pilotage_coordinator.domain.policy.content import policy_content, read_policy
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.question import Asker, Change
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.domain.values import DAY, HOUR, MINUTE

from tests.unit.planning.fleet import ON_COORDINATOR, STEP_TYPES, THREE, Shelf, host, plan_request, step_type, world

NOW = 1_790_000_000_000_000
GOOD = BlueprintFacts(
    "upgrade", "1.2.0", "sha256:1", True, "upgrade", "ops", "https://wiki/upgrade", "Upgrades.", ("web",), 2
)
BLANK = replace(GOOD, category="", owner="", documentation=" ", description="", rollback_actions=0)
UPGRADE = StepFacts("up", "container.upgrade", Effect.ONCE, False, False, "", True, ("db1", "web1"))
DROP = StepFacts("drop", "backup.prune", Effect.ONCE, True, True, "", True, ("db1",))
LOOK = StepFacts("look", "http.check", Effect.READ, False, False, "", True, ("db1", "db2"))


def rules(text: str) -> tuple[ComplianceRule, ...]:
    return load_policy(f"policy: 1\nrules: []\ncompliance:\n{indent(text, '  ')}", "p.yaml").compliance


def backup(age: int, kind: ProofKind = ProofKind.BACKUP, *, passed: bool = True) -> Proof:
    return Proof(kind, passed, NOW - age, "exe_1", "save", "", {"snapshot_id": "abc"})


def facts(blueprint: BlueprintFacts = GOOD, *steps: StepFacts, **proofs: tuple[Proof, ...]) -> Facts:
    names = sorted({name for step in steps for name in step.hosts} | set(proofs))
    labels = {name: {"role": "web" if name.startswith("web") else "db"} for name in names}
    hosts = {name: HostFacts(host(name, labels=labels[name]), proofs.get(name, ())) for name in names}
    return Facts(NOW, blueprint, steps, hosts, "", Asker("ann", "person", frozenset({"operator"})), Change())


def found(text: str, about: Facts) -> list[Finding]:
    return list(check(rules(text), about, Expressions()))


def results(text: str, about: Facts) -> list[tuple[str, str]]:
    return [(each.requirement, each.result.value) for each in found(text, about)]


WHO = "- {name: told, enforce: warn, require: {owner: true, documentation: true, description: true}}\n"


def test_what_a_blueprint_says_of_itself_is_looked_at() -> None:
    names = ["owner", "documentation", "description"]
    assert results(WHO, facts()) == [(name, "passed") for name in names]
    assert results(WHO, facts(BLANK)) == [(name, "failed") for name in names]
    (owner, *_) = found(WHO, facts())
    assert (owner.message, owner.evidence, owner.fix) == ("owner: ops", ({"owner": "ops", "result": "passed"},), "")
    (owner, *_) = found(WHO, facts(BLANK))
    assert "write `owner:`" in owner.fix


def test_a_rollback_plan_is_one_with_actions_and_stored_is_what_somebody_only_sent_is_not() -> None:
    text = "- {name: safe, enforce: block, require: {rollback_plan: true, stored: true}}\n"
    assert results(text, facts()) == [("stored", "passed"), ("rollback_plan", "passed")]
    sent = replace(BLANK, stored=False)
    assert results(text, facts(sent)) == [("stored", "failed"), ("rollback_plan", "failed")]


BACKUP = "- {name: fresh, enforce: block, operations: 'container.*', require: {backup_within: 24h}}\n"


def test_each_host_of_the_steps_that_a_rule_names_needs_its_backup_and_no_other() -> None:
    good = facts(GOOD, UPGRADE, LOOK, db1=(backup(HOUR),), web1=(backup(DAY),))
    (finding,) = found(BACKUP, good)
    assert finding.result is Result.PASSED
    assert finding.message == "2 of 2 hosts have a good backup within 1d; the oldest is 1d old"
    evidence = {"host": "db1", "at": "2026-09-21T13:13:20Z", "execution": "exe_1", "step": "save"}
    assert finding.evidence[0] == {**evidence, "snapshot_id": "abc", "result": "passed"}
    old = facts(GOOD, UPGRADE, LOOK, db1=(backup(HOUR),), web1=(backup(DAY + 1),))
    (finding,) = found(BACKUP, old)
    assert finding.message == "no good backup within 1d of web1"
    assert [each["result"] for each in finding.evidence] == ["failed", "passed"]
    (finding,) = found(BACKUP, facts(GOOD, UPGRADE, db1=(backup(HOUR, passed=False),), web1=(backup(HOUR),)))
    assert (finding.result, finding.evidence[0]) == (Result.FAILED, {"host": "db1", "result": "failed"})
    assert found(BACKUP, facts(GOOD, LOOK)) == []


def test_a_backup_from_the_future_and_hosts_that_nobody_knows_never_pass() -> None:
    ahead = facts(GOOD, UPGRADE, db1=(backup(-10 * MINUTE),), web1=(backup(0),))
    (finding,) = found(BACKUP, ahead)
    assert finding.result is Result.UNKNOWN
    assert "ahead of the coordinator's clock" in finding.message
    (finding,) = found(BACKUP, replace(facts(GOOD, UPGRADE), hosts=None))
    assert (finding.result, finding.message) == (
        Result.UNKNOWN,
        "not known: which hosts it would touch is not known before there is a plan",
    )
    assert Checked(1, NOW, (finding,)).outcome is Outcome.BLOCKED
    (problem,) = blocking(Checked(1, NOW, (finding,)))
    assert problem.message.startswith("the rule of compliance fresh asks for backup_within: not known")


def test_a_drill_is_another_thing_than_a_backup() -> None:
    text = "- {name: drilled, enforce: warn, hosts: role=db, require: {drill_within: 30d}}\n"
    assert results(text, facts(GOOD, LOOK, db1=(backup(0),), db2=())) == [("drill_within", "failed")]
    drilled = (backup(20 * DAY, ProofKind.DRILL),)
    assert results(text, facts(GOOD, LOOK, db1=drilled, db2=drilled)) == [("drill_within", "passed")]
    assert results(text, facts(GOOD, replace(UPGRADE, hosts=("web1",)))) == []


@pytest.mark.parametrize(
    ("which", "step", "result"),
    [
        ("destructive", DROP, "failed"),
        ("destructive", replace(DROP, approval="the step"), "passed"),
        ("destructive", replace(DROP, approval=None), "unknown"),
        ("destructive", replace(DROP, destructive=None), "unknown"),
        ("destructive", replace(DROP, destructive=None, approval="the blueprint"), "passed"),
        ("destructive", replace(DROP, main=False), "passed"),
        ("destructive", UPGRADE, "passed"),
        ("irreversible", DROP, "failed"),
        ("changing", UPGRADE, "failed"),
        ("changing", LOOK, "passed"),
        ("changing", replace(LOOK, effect=None), "unknown"),
    ],
)
def test_somebody_is_asked_before_the_steps_that_a_rule_means(which: str, step: StepFacts, result: str) -> None:
    text = f"- {{name: asked, enforce: block, require: {{approval: {which}}}}}\n"
    assert results(text, facts(GOOD, step)) == [(f"approval ({which})", result)]
    if result == "passed":
        assert results(text, replace(facts(GOOD, step), steps=None)) == [(f"approval ({which})", "unknown")]


def test_conditions_say_when_a_rule_applies_and_what_must_hold_of_each_host() -> None:
    text = """\
- name: young
  enforce: warn
  when: '"web" in blueprint.tags && asker.kind == "person"'
  require: {that: ['steps.where("type", "container.upgrade").size() > 0', 'has(host.backup) && host.backup.age < 7200']}
"""
    good = facts(GOOD, UPGRADE, db1=(backup(HOUR),), web1=(backup(HOUR),))
    assert [result for _, result in results(text, good)] == ["passed", "passed"]
    assert results(text, replace(good, blueprint=replace(GOOD, tags=()))) == []
    bad = facts(GOOD, LOOK, db1=(backup(3 * HOUR),), db2=())
    findings = found(text, bad)
    assert [each.result for each in findings] == [Result.FAILED, Result.FAILED]
    assert findings[1].message == "it does not hold for db1, db2"
    nameless = "- {name: odd, enforce: block, require: {that: 'host.backup.age < 7200'}}\n"
    (finding,) = found(nameless, facts(GOOD, LOOK, db1=(backup(HOUR),), db2=()))
    assert (finding.result, finding.requirement) == (Result.UNKNOWN, "that (host.backup.age < 7200)")


def test_a_rule_of_which_it_is_not_known_whether_it_applies_applies_and_says_so() -> None:
    text = "- {name: people, enforce: warn, when: 'asker.kind == \"person\"', require: {owner: true}}\n"
    (applies, owner) = found(text, replace(facts(), asker=None))
    assert (applies.requirement, applies.result) == ("when", Result.UNKNOWN)
    assert owner.result is Result.PASSED
    assert results(text, replace(facts(), asker=Asker("bot", "assistant"))) == []
    (applies, _) = found(
        "- {name: web, enforce: warn, hosts: role=web, require: {owner: true}}\n", replace(facts(), hosts=None)
    )
    assert "which hosts it would touch" in applies.message


def test_a_rule_is_about_stored_blueprints_of_its_names_and_whatever_says_that_it_is_of_its_category() -> None:
    named = "- {name: own, enforce: warn, blueprints: 'up*', require: {owner: true}}\n"
    assert results(named, facts()) == [("owner", "passed")]
    assert results(named, facts(replace(GOOD, stored=False))) == []
    assert results(named, facts(replace(GOOD, id="other"))) == []
    kind = "- {name: own, enforce: warn, categories: upgrade, require: {owner: true}}\n"
    assert results(kind, facts(replace(GOOD, stored=False))) == [("owner", "passed")]
    assert results(kind, facts(BLANK)) == []


def test_evidence_is_bounded_and_what_is_left_out_is_counted() -> None:
    hosts = {f"db{number}": (backup(HOUR),) for number in range(120)}
    step = replace(UPGRADE, hosts=tuple(hosts))
    (finding,) = found(BACKUP, facts(GOOD, step, **{**hosts, "db7": ()}))
    assert (len(finding.evidence), finding.left_out) == (51, 69)
    assert finding.evidence[0] == {"host": "db7", "result": "failed"}
    kept = Checked(3, NOW, (finding,))
    assert read(Checked, plain(written(kept)), "check") == kept


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{name: a, enforce: stop, require: {owner: true}}", "p.yaml:4:24"),
        ("{name: a, enforce: warn, require: {}}", "this asks for nothing"),
        ("{name: a, enforce: warn, require: {owner: false}}", "this asks for nothing"),
        ("{name: a, enforce: warn}", "require"),
        ("{name: a, enforce: warn, require: {backup_within: soon}}", "p.yaml:4:55"),
        ("{name: a, enforce: warn, require: {owners: true}}", "did you mean `owner`"),
        (
            "{name: a, enforce: warn, when: 'host.name == \"a\"', require: {owner: true}}",
            "the name `host` is not known",
        ),
        ("{name: a, enforce: warn, require: {that: 'hosts.size() > 1'}}", "did you mean `host`"),
        ("{name: a, enforce: warn, require: {that: 'blueprint.'}}", "p.yaml:4:"),
        ("{name: a, enforce: warn, hosts: 'role==', require: {owner: true}}", "p.yaml:4:37"),
    ],
)
def test_a_rule_that_is_written_wrongly_refuses_the_file_with_its_place(rule: str, problem: str) -> None:
    with pytest.raises(BlueprintError) as refused:
        rules(f"- {rule}\n")
    assert problem in str(refused.value)


def test_two_rules_of_one_name_are_refused_and_the_policy_keeps_its_rules_through_the_store() -> None:
    with pytest.raises(BlueprintError, match="two rules are named `told`"):
        rules(WHO + WHO)
    policy = load_policy(f"policy: 1\nrules: []\ncompliance:\n  {WHO}", "p.yaml")
    assert read_policy(policy_content(policy)) == policy


ASKS = "    requires_approval: true\n"
STEPS = """
targets: {select: "true"}
approvals: [{step: save, required_approvers: 1}]
steps:
  - {id: look, type: http.check}
  - {id: save, type: backup.create, dependencies: [look], parameters: {repository: r}}
  - id: all
    dependencies: [save]
    requires_approval: true
    steps:
      - {id: prune, type: backup.prune, undo: [{id: back, type: backup.prune}]}
  - {id: last, type: backup.prune, dependencies: [all]}
rollback_plan: {enabled: true, actions: [{id: again, type: backup.prune}]}
"""


def whole(text: str) -> StoredBlueprint:
    """Load a blueprint of the whole language."""
    text = "pilotage: 1\nworkflows:\n  nightly:\n" + indent(text, "    ")
    (blueprint,) = load_blueprints(text, "nightly.yaml", features=ALL)
    return StoredBlueprint(BlueprintRef(blueprint.id, blueprint.version, content_digest(blueprint)), blueprint)


def planned(text: str, *hosts: Host) -> Plan:
    return plan_request(PlanRequest(whole(text)), world(hosts or THREE)).plan


def asked(steps: Any) -> dict[str, tuple[str | None, bool]]:
    return {each.path: (each.approval, each.main) for each in steps}


def test_a_plan_says_who_is_asked_before_each_step_and_where_it_runs() -> None:
    made = planned(STEPS.replace("approvals: [{step: save, required_approvers: 1}]\n", "").replace(ASKS, ""))
    gates = {"save": Gate(source="the blueprint"), "all": Gate(source="the step")}
    made = replace(made, steps=tuple(_with(each, gates) for each in made.steps))
    assert asked(steps_of_plan(made, {})) == {
        "look": ("", True),
        "save": ("the blueprint", True),
        "all/prune": ("the step", True),
        "all/prune/back": ("the step", False),
        "last": ("", True),
        "again": ("", False),
    }
    prune = next(each for each in steps_of_plan(made, {}) if each.path == "all/prune")
    assert (prune.hosts, prune.destructive, prune.changes) == (("db1", "db2", "web1"), True, True)
    first = replace(made, approvals=(Gate(source="rule two of the policy"),))
    assert {each.approval for each in steps_of_plan(first, {}) if each.main} == {"rule two of the policy"}


def _with(step: PlannedStep, gates: dict[str, Gate]) -> PlannedStep:
    return replace(step, approvals=(gates[step.path],)) if step.path in gates else step


def test_a_blueprint_alone_does_not_know_whether_the_policy_asks() -> None:
    types = {**STEP_TYPES, **ON_COORDINATOR}
    steps = steps_of_blueprint(whole(STEPS).blueprint, types, Shelf())
    assert asked(steps) == {
        "look": (None, True),
        "save": ("the blueprint", True),
        "all/prune": ("the step", True),
        "all/prune/back": ("the step", False),
        "last": (None, True),
        "again": (None, False),
    }
    call = "steps: [{id: call, blueprint: other@1}]"
    assert steps_of_blueprint(whole(call).blueprint, types, Shelf()) is None


ASK = """
targets: {select: "true"}
steps:
  - {id: ask, type: approval.ask, parameters: {message: really}%s}
  - {id: wait, type: http.check, dependencies: [ask]}
  - {id: prune, type: backup.prune, dependencies: [wait]}
"""


def test_a_step_that_asks_counts_for_all_that_come_after_it_unless_it_may_be_left_out() -> None:
    types = {**STEP_TYPES, **ON_COORDINATOR, "approval.ask": step_type("approval.ask", Effect.READ)}
    three = [host(name, step_types=types) for name in ("db1",)]
    made = planned(ASK % "", *three)
    assert asked(steps_of_plan(made, {}))["prune"] == ("a step of type approval.ask", True)
    doubtful = planned(ASK % ", when: 'parameters.size() > 3'", *three)
    assert asked(steps_of_plan(doubtful, {}))["prune"] == ("", True)
    for text, who in (("", "a step of type approval.ask"), (", when: 'parameters.size() > 3'", None)):
        alone = steps_of_blueprint(whole(ASK % text).blueprint, types, Shelf())
        assert asked(alone)["prune"] == (who, True)
    every = "approvals: [{step: '*'}]\n" + ASK % ""
    assert set(asked(steps_of_blueprint(whole(every).blueprint, types, Shelf())).values()) == {("the blueprint", True)}


def test_the_examples_of_the_starter_policy_and_of_the_page_can_be_used_as_they_stand() -> None:
    starter = (files("pilotage_coordinator.runtime") / "starter_policy.yaml").read_text(encoding="utf-8")
    commented = re.findall(r"^# (compliance:\n(?:#.*\n)+)", starter, re.MULTILINE)
    page = (Path(__file__).parents[3] / "docs" / "governance.md").read_text(encoding="utf-8")
    examples = [re.sub(r"(?m)^# ?", "", each) for each in commented]
    examples += re.findall(r"```yaml\n(compliance:\n.*?)```", page, re.DOTALL)
    named = [[each.name for each in load_policy(f"policy: 1\nrules: []\n{text}", "p").compliance] for text in examples]
    assert [len(each) for each in named] == [3, 4]
    assert all("upgrades-need-a-fresh-backup" in each for each in named)
