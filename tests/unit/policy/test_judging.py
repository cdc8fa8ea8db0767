"""What a policy decides: level by level, the strictest within one, and the careful side of what is not known."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.domain.policy.clock import within
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.question import Asker, Change, Question, Stage, Subject
from pilotage_coordinator.domain.policy.rule import ChangeClass, Decision, Hours, Level, Policy, Rule

from tests.unit.policy.writing import ANN, BOT, DB, MONDAY_NOON, WEB, ask, ruleset

LEVELS = tuple(Level)
SUBJECT = Subject(ANN, "container.upgrade")
QUESTION = Question(SUBJECT, MONDAY_NOON, WEB)

rules_of_any_kind = st.lists(
    st.builds(
        lambda level, decision, about: (level, decision, about),
        st.sampled_from(LEVELS),
        st.sampled_from(tuple(Decision)),
        st.booleans(),
    ),
    max_size=8,
)


def built(found: list[tuple[Level, Decision, bool]]) -> Policy:
    """Return a policy of rules that match the question, or that are about something else."""
    return Policy(
        tuple(
            Rule(f"r{number}", level, decision, operations=() if about else ("backup.*",))
            for number, (level, decision, about) in enumerate(found)
        )
    )


def expected(found: list[tuple[Level, Decision, bool]]) -> Decision:
    """Return the decision as the documentation words it, worked out in another way."""
    for level in ("emergency", "role", "global"):
        said = [decision for at, decision, about in found if about and at.value == level]
        for strictest in ("deny", "dry_run_only", "require_approval", "allow"):
            if strictest in [each.value for each in said]:
                return Decision(strictest)
    return Decision.DENY


@given(rules_of_any_kind)
def test_the_first_level_that_matches_decides_and_in_it_the_strictest(
    found: list[tuple[Level, Decision, bool]],
) -> None:
    policy = built(found)
    verdict = Ruleset(policy).judge(QUESTION, Expressions())
    assert verdict.decision is expected(found)
    by_name = {rule.name: rule for rule in policy.rules}
    assert {by_name[name].decision for name in verdict.rules} <= {verdict.decision}
    assert len({by_name[name].level for name in verdict.rules}) <= 1
    assert [each.rule for each in verdict.matched] == [
        f"r{number}" for number, (_, _, about) in enumerate(found) if about
    ]
    assert verdict.reasons


@given(rules_of_any_kind, st.randoms())
def test_the_order_of_rules_decides_nothing(found: list[tuple[Level, Decision, bool]], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (Ruleset(built(each)).judge(QUESTION, Expressions()).decision for each in (found, shuffled))
    assert one is other


@given(rules_of_any_kind, st.sampled_from(tuple(Decision)))
def test_a_rule_for_everybody_changes_nothing_for_whom_a_nearer_level_decides(
    found: list[tuple[Level, Decision, bool]], decision: Decision
) -> None:
    nearer = [each for each in found if each[0] is not Level.GLOBAL and each[2]]
    before = Ruleset(built(found)).judge(QUESTION, Expressions())
    after = Ruleset(built([*found, (Level.GLOBAL, decision, True)])).judge(QUESTION, Expressions())
    if nearer:
        assert (before.decision, before.rules) == (after.decision, after.rules)
    else:
        assert after.decision.strictness >= decision.strictness


@pytest.mark.parametrize(("one", "other"), tuple(itertools.combinations(Decision, 2)))
@pytest.mark.parametrize("level", LEVELS)
def test_every_pair_of_decisions(one: Decision, other: Decision, level: Level) -> None:
    """Walk all pairs in one level: the stricter one, whichever stands first."""
    for pair in ((one, other), (other, one)):
        found = [(level, each, True) for each in pair]
        assert Ruleset(built(found)).judge(QUESTION, Expressions()).decision is other


def test_without_a_rule_that_matches_it_is_denied_and_said_to_whom() -> None:
    verdict = ask(ruleset("- {name: a, level: global, decision: allow, operations: backup.*}"), BOT)
    assert verdict.decision is Decision.DENY
    assert verdict.rules == ()
    assert verdict.reasons == ("no rule allows container.upgrade on web1 to bot",)


WHO = """
- {name: owner, level: role, roles: owner, decision: allow}
- {name: reads, level: role, kinds: assistant, effects: read, decision: allow}
- {name: writes, level: role, kinds: assistant, effects: [idempotent, probe, once], decision: require_approval}
"""


def test_the_starter_sort_of_policy() -> None:
    rules = ruleset(WHO)
    assert ask(rules).decision is Decision.ALLOW
    assert ask(rules, BOT, "http.check", effect=Effect.READ).decision is Decision.ALLOW
    assert ask(rules, BOT).decision is Decision.REQUIRE_APPROVAL
    assert ask(rules, Asker("eve")).decision is Decision.DENY


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("principals: [ann]", True),
        ("principals: bob", False),
        ("kinds: person", True),
        ("kinds: [service, assistant]", False),
        ("roles: [operator, owner]", True),
        ("roles: operator", False),
        ("operations: container.*", True),
        ("operations: ['backup.*', 'container.upgrade']", True),
        ("operations: container", False),
        ("effects: once", True),
        ("effects: [read, probe]", False),
        ("destructive: false", True),
        ("destructive: true", False),
        ("irreversible: true", True),
        ("irreversible: false", False),
        ("blueprints: safe_*", True),
        ("blueprints: nightly", False),
        ("categories: upgrade", True),
        ("categories: backup", False),
        ("hosts: role=web", True),
        ("hosts: 'role=web,env=prod'", True),
        ("hosts: role=db", False),
        ("hosts: name~web*", True),
        ("classes: [normal, emergency]", True),
        ("classes: standard", False),
        ("effective_from: '2026-03-02T12:00:00Z'", True),
        ("effective_from: '2026-03-02T12:00:01Z'", False),
        ("expires_at: '2026-03-02T12:00:01Z'", True),
        ("expires_at: '2026-03-02T13:00:00+01:00'", False),
        ("when: \"host.labels.role == 'web' && change.class == 'normal'\"", True),
        ("when: \"blueprint.category == 'backup'\"", False),
        ("times: {days: mon, from: '11:00', to: '13:00'}", True),
        ("times: {days: [tue, wed]}", False),
        ("times: {from: '13:00', to: '14:00', zone: Europe/Berlin}", True),
        ("times: [{days: sun}, {days: mon}]", True),
        ("windows: noon", True),
        ("windows: night", False),
        ("outside_windows: night", True),
        ("outside_windows: [night, noon]", False),
    ],
)
@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_each_condition_by_itself(condition: str, matches: bool, decision: str) -> None:
    head = "windows:\n  noon: {hours: {from: '12:00', to: '12:30'}}\n  night: {hours: {from: '22:00', to: '04:00'}}\n"
    rules = ruleset(f"- {{name: a, level: global, decision: {decision}, {condition}}}", head)
    verdict = ask(
        rules,
        change=Change(change_class=ChangeClass.NORMAL),
        irreversible=True,
        blueprint="safe_container_upgrade",
        category="upgrade",
    )
    assert [each.rule for each in verdict.matched] == (["a"] if matches else [])


PARAMETERS = {
    "image": "registry.example.org/web:2",
    "replicas": 3,
    "force": True,
    "quiesce": {"how": "pause"},
    "paths": ["/srv", "/etc/passwd"],
}


@pytest.mark.parametrize(
    ("constraint", "allow", "deny"),
    [
        ("image: {like: 'registry.example.org/*'}", True, True),
        ("image: {like: 'docker.io/*'}", False, False),
        ("image: {unlike: 'registry.example.org/*'}", False, False),
        ("image: {is: 'registry.example.org/web:2'}", True, True),
        ("replicas: {min: 1, max: 3}", True, True),
        ("replicas: {max: 2}", False, False),
        ("replicas: {in: [1, 3]}", True, True),
        ("replicas: {not_in: [3]}", False, False),
        ("replicas: {is: '3'}", False, False),
        ("force: {is: true}", True, True),
        ("force: {is: 1}", False, False),
        ("quiesce.how: {in: [pause, stop]}", True, True),
        ("quiesce.max: {given: true}", False, False),
        ("quiesce.max: {given: false}", True, True),
        ("nothing: {max: 3}", False, False),
        ("nothing: {not_in: [3]}", True, True),
        # Of a list: all of it for a rule that allows, any of it for one that forbids.
        ("paths: {like: '/srv*'}", False, True),
        ("paths: {like: '/*'}", True, True),
        ("paths: {unlike: '/etc/*'}", False, True),
        ("paths: {is: ['/srv', '/etc/passwd']}", True, True),
    ],
)
def test_constraints_on_parameters(constraint: str, allow: bool, deny: bool) -> None:
    for decision, matches in (("allow", allow), ("deny", deny)):
        rules = ruleset(f"- {{name: a, level: global, decision: {decision}, parameters: {{{constraint}}}}}")
        assert bool(ask(rules, parameters=PARAMETERS).matched) is matches, decision


@pytest.mark.parametrize("decision", list(Decision))
@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize(
    "value", [{"run_time": "${{ x }}"}, {"sensitive": "hmac-sha256:00"}, "secret://execution/exe_1/p", "reg/web"]
)
def test_what_is_not_known_is_taken_to_the_careful_side(decision: Decision, stage: Stage, value: object) -> None:
    rules = ruleset(f"- {{name: a, level: global, decision: {decision}, parameters: {{image: {{like: 'other/*'}}}}}}")
    verdict = ask(rules, parameters={"image": value}, stage=stage)
    later = value == {"run_time": "${{ x }}"} and stage is not Stage.DISPATCH
    if value == "reg/web":
        counts = False
    elif later:
        counts = decision in (Decision.ALLOW, Decision.REQUIRE_APPROVAL)
    else:
        counts = decision is not Decision.ALLOW
    assert [each.rule for each in verdict.matched] == (["a"] if counts else [])
    assert any("a counts" in each or "a does not count" in each for each in verdict.reasons) is (value != "reg/web")


@pytest.mark.parametrize("decision", list(Decision))
def test_a_condition_without_a_value_is_taken_to_the_careful_side(decision: Decision) -> None:
    rules = ruleset(f"- {{name: a, level: global, decision: {decision}, when: \"host.labels.rack == '1'\"}}")
    verdict = ask(rules)
    assert bool(verdict.matched) is (decision is not Decision.ALLOW)
    assert any("no key `rack`" in each for each in verdict.reasons)


def test_rules_about_hosts_do_not_concern_the_coordinator() -> None:
    rules = ruleset(
        """
        - {name: everybody, level: global, decision: allow}
        - {name: prod, level: global, decision: deny, hosts: env=prod}
        - {name: gold, level: global, decision: deny, when: "host.labels.tier == 'gold'"}
        """
    )
    assert ask(rules, operation="notify.send", host=None).rules == ("everybody",)
    assert ask(rules).rules == ("prod", "gold")


def test_a_host_that_changes_is_looked_at_anew() -> None:
    rules = ruleset("- {name: web, level: global, decision: allow, hosts: role=web}")
    assert ask(rules).decision is Decision.ALLOW
    assert ask(rules, host=replace(WEB, labels={"role": "db"})).decision is Decision.DENY
    assert ask(rules, host=DB).decision is Decision.DENY


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("2026-03-27T22:00:00+01:00", True),  # a Friday
        ("2026-03-28T05:59:00+01:00", True),  # past midnight it still is Friday's
        ("2026-03-28T06:00:00+01:00", False),
        ("2026-03-28T22:30:00+01:00", False),
        ("2026-03-27T05:00:00+01:00", False),  # Thursday's night
        ("2026-07-03T22:30:00+02:00", True),  # in summer too by the wall clock
        ("2026-07-03T21:30:00+02:00", False),
    ],
)
def test_hours_past_midnight_belong_to_the_day_on_which_they_begin(text: str, inside: bool) -> None:
    friday_night = Hours((4,), 22 * 60, 6 * 60, "Europe/Berlin")
    assert within((friday_night,), moment(text)) is inside


@given(st.integers(0, 4_000_000_000), st.integers(0, 1439), st.integers(0, 1439))
def test_hours_and_their_complement_cover_the_day_once(second: int, start: int, end: int) -> None:
    every = tuple(range(7))
    if start != end:
        at = second * 1_000_000
        assert within((Hours(every, start, end),), at) is not within((Hours(every, end, start),), at)
