"""A policy's file: read whole, or refused whole with every place that is wrong."""

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.planning.errors import PlanUnreadable
from pilotage_coordinator.domain.policy.content import policy_content, read_policy
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.summary import restrictions
from pilotage_coordinator.domain.policy.testing import try_cases

from tests.unit.policy.writing import MONDAY_NOON

WHOLE = """\
policy: 1
description: All that can be written.
zone: Europe/Paris
windows:
  sunday-night: {hours: {days: sun, from: "01:00", to: "05:00"}}
  nights: {hours: [{from: "22:00", to: "06:00", zone: UTC}]}
external: {url: "http://127.0.0.1:8181/v1/data/pilotage/decision", timeout: 500ms}
rules:
  - name: everything
    description: One of each key.
    level: role
    decision: require_approval
    principals: [ann]
    kinds: [person]
    roles: [owner]
    operations: [container.*]
    effects: [once, probe]
    destructive: false
    irreversible: false
    blueprints: [safe_*]
    categories: [upgrade]
    hosts: env=prod,name~web*
    parameters:
      image: {like: "registry/*", unlike: ["*:latest"]}
      replicas: {min: 1, max: 9, not_in: [4]}
      force: {is: false}
      quiesce.how: {in: [pause, stop], given: true}
    classes: [normal]
    times: {days: [mon, fri], from: "08:00", to: "17:30"}
    windows: nights
    outside_windows: [sunday-night]
    effective_from: "2026-01-01T00:00:00Z"
    expires_at: "2027-01-01T00:00:00+01:00"
    when: "asker.kind == 'person'"
    max_concurrent: 2
    requires: [reference, reason, class]
    approval:
      required: 2
      of: ["role:owner", bob]
      timeout: 4h
      on_timeout: deny
      escalate: [{after: 1h, to: carol}]
      comment: true
      description: Two of us.
  - {name: freeze, level: emergency, decision: deny, expires_at: "2027-01-01T00:00:00Z"}
tests:
  - name: a case
    ask: {operation: container.upgrade, kind: person, principal: eve, host: web1, labels: {env: prod}}
    decision: deny
    rules: [freeze]
"""


def refused(text: str) -> list[str]:
    with pytest.raises(BlueprintError) as error:
        load_policy(text, "policy.yaml")
    return [str(each) for each in error.value.problems]


def test_all_that_can_be_written_survives_the_store() -> None:
    policy = load_policy(WHOLE, "policy.yaml")
    assert read_policy(policy_content(policy)) == policy
    rule = policy.rules[0]
    assert rule.times[0].zone == "Europe/Paris"
    assert rule.windows[0].hours[0].zone == "UTC"
    assert rule.outside_windows[0].hours[0].zone == "Europe/Paris"
    assert rule.approval is not None
    assert (rule.approval.required, rule.approval.of) == (2, ("role:owner", "bob"))
    assert len(list(restrictions(rule))) == 25
    (tried,) = try_cases(Ruleset(policy), Expressions(), MONDAY_NOON)
    assert tried.fault == ""


def test_a_stored_policy_of_another_form_is_refused_by_name() -> None:
    with pytest.raises(PlanUnreadable, match=r"policy\.rules\[0\].*tomorrow"):
        read_policy({"rules": [{"name": "a", "level": "global", "decision": "allow", "tomorrow": 1}]})


def test_the_starter_policy_passes_its_own_table() -> None:
    text = (files("pilotage_coordinator.runtime") / "starter_policy.yaml").read_text()
    policy = load_policy(text, "starter_policy.yaml")
    tried = try_cases(Ruleset(policy), Expressions(), MONDAY_NOON)
    assert len(tried) == 4
    assert [each.fault for each in tried if each.fault] == []


def test_the_examples_in_the_starter_policy_are_rules() -> None:
    text = (files("pilotage_coordinator.runtime") / "starter_policy.yaml").read_text()
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("  # - name:"))
    end = next(number for number, line in enumerate(lines) if line.startswith("# What must be true"))
    examples = [line.replace("# ", "", 1) for line in lines[start:end] if line.strip() not in ("", "#")]
    policy = load_policy("\n".join(["policy: 1", "rules:", *examples]), "examples.yaml")
    assert len(policy.rules) == 3


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("level: role", "level: rolle", "rolle", "expected emergency or role or global, not `rolle`"),
        ("roles: [owner]", "rolls: [owner]", "rolls", "did you mean `roles`?"),
        ("zone: Europe/Paris", "zone: Europe/Pariss", "Europe/Pariss", "no time zone `Europe/Pariss`"),
        ('from: "08:00"', 'from: "8:00"', '"8:00"', "no time of day"),
        ('from: "08:00", to: "17:30"', 'from: "08:00", to: "08:00"', "{days: [mon", "the same time"),
        ('from: "2026-01-01T00:00:00Z"', 'from: "2026-01-01T00:00:00"', '"2026-01-01T00:00:00"', "which zone"),
        ('from: "2026-01-01T00:00:00Z"', 'from: "2028-01-01T00:00:00Z"', "name: everything", "expires before"),
        ("windows: nights", "windows: night", "night\n", "did you mean `nights`?"),
        ("asker.kind == 'person'", "askr.kind", '"askr', "did you mean `asker`?"),
        ("asker.kind == 'person'", "asker.kind =", '"asker.kind =', "in `asker.kind =`"),
        ("hosts: env=prod,name~web*", "hosts: prod", "prod\n", "cannot be read"),
        ("min: 1, max: 9", "min: 10, max: 9", "{min: 10", "min 10 is above max 9"),
        ("force: {is: false}", "force: {}", "{}", "says nothing"),
        ("decision: require_approval", "decision: deny", "name: everything", "`approval` stands only beside"),
        ("name: freeze", "name: everything", "everything, level", "two rules are named `everything`"),
        (', expires_at: "2027-01-01T00:00:00Z"}', "}", "{name: freeze", "ends by itself"),
        ("timeout: 500ms", "timeout: 5ms", "5ms", "too short"),
        ("http://127", "ftp://127", '"ftp', "is no URL"),
        ("policy: 1\n", "policy: 2\n", "2\n", "from 1 to 1"),
        ("rules:\n", "rule:\n", "rule:", "write `rules:`"),
        ("required: 2", "required: 0", "0\n      of", "from 1 to 100"),
        ("ask: {operation: container.upgrade, ", "ask: {", "{kind: person", "has no `operation`"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_column(old: str, new: str, place: str, said: str) -> None:
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    before = text[: text.index(place)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    found = refused(text)
    assert any(each.startswith(f"policy.yaml:{line}:{column}: ") and said in each for each in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("rules: [", "policy.yaml:1:"),
        ("policy: 1\nrules: []\nrules: []\n", "written twice"),
        ("policy: 1\nrules:\n  - {name: a, level: role, decision: allow}\n", "says whose"),
        ("policy: 1\nrules: {a: b}\n", "expected a list"),
        ("a: &a [*a]\n", "before, or inside"),
        ("policy: 1\nrules:\n\t- a\n", "tab"),
    ],
)
def test_files_that_are_no_policy_are_refused(text: str, said: str) -> None:
    assert any(said in each for each in refused(text))


def test_every_problem_of_a_file_is_told_at_once() -> None:
    text = (
        WHOLE.replace("level: role", "level: rolle").replace("policy: 1\n", "policy: 2\n").replace("[mon, fri]", "[mo]")
    )
    assert len(refused(text)) == 3


@given(st.data())
def test_a_file_that_was_cut_or_scribbled_in_is_read_or_refused_and_never_breaks(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, min(len(WHOLE), start + 40)))
    text = WHOLE[:start] + data.draw(st.text(max_size=20)) + WHOLE[end:]
    try:
        policy = load_policy(text, "policy.yaml")
    except BlueprintError:
        return
    assert read_policy(policy_content(policy)) == policy


def test_the_form_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "governance.md").read_text()
    from pilotage_coordinator.domain.policy.form import RULE

    assert [name for name in RULE.fields if f"`{name}`" not in text] == []
