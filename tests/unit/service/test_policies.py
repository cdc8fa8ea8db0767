"""The policy through its operations: set whole or not at all, with whom it affects, tested, explained, rolled back."""

from typing import Any

import pytest
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.planning.errors import PlanProblem, PlanRefused
from pilotage_coordinator.domain.policy.errors import PolicyRefused
from pilotage_coordinator.runtime.policies import Affected
from pilotage_coordinator.service import changes, executions, policies
from pilotage_coordinator.service.errors import Conflict, Denied, Invalid, NotFound, translated

from tests.unit.service.desk import EXECUTION, OWNER, POLICY, Desk

FREEZE = POLICY.replace(
    "rules:\n", 'rules:\n  - {name: freeze, level: emergency, decision: deny, expires_at: "2099-01-01T00:00:00Z"}\n'
).partition("tests:")[0]


async def put(desk: Desk, source: str = POLICY, **more: Any) -> policies.PolicySet:
    request = policies.SetPolicy(source=source, file="policy.yaml", **more)
    return await policies.set_policy(desk.services, OWNER, request)


async def explain(desk: Desk, **question: Any) -> policies.Explained:
    request = policies.ExplainPolicy(**{"operation": "container.upgrade", **question})
    return await policies.explain_policy(desk.services, OWNER, request)


async def test_it_is_set_with_what_changes_and_whom_that_affects(desk: Desk) -> None:
    first = await put(desk, comment="to begin with")
    assert (first.version, first.set, first.cases) == (1, True, 1)
    assert [(each.rule, each.change) for each in first.changes] == [("owner", "added"), ("assistants", "added")]
    desk.policies.touched = (Affected("exe_1", "check@1.0.0", "bob", "running", "it would be denied"),)
    second = await put(desk, POLICY.replace("effects: read", "effects: [read, probe]"))
    (change,) = second.changes
    assert (change.rule, change.change) == ("assistants", "changed")
    assert "probe" in " ".join(change.details)
    assert [each.execution for each in second.affected] == ["exe_1"]
    entry = (await desk.store.audit.read())[-1].entry
    assert (entry.operation, entry.subject) == ("policy.set", "version 2")
    assert entry.detail["affected"] == ["exe_1"]


async def test_a_check_sets_nothing(desk: Desk) -> None:
    await put(desk)
    answer = await put(desk, FREEZE, check=True)
    assert (answer.version, answer.set) == (2, False)
    assert desk.policies.version == 1
    assert (await explain(desk)).decision == "allow"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (POLICY.replace("level: role", "level: rolle"), "policy.yaml:3"),
        (POLICY.replace("roles: owner", "roles: other"), "case `the owner may`: it is deny, not allow"),
    ],
)
async def test_one_with_an_error_is_refused_whole_and_the_old_one_stays(desk: Desk, source: str, said: str) -> None:
    await put(desk)
    with pytest.raises(Invalid) as refused:
        await put(desk, source)
    places = [f"{each.file}:{each.line}:{each.column} {each.message}" for each in refused.value.problems]
    assert any(said in each for each in places)
    assert desk.policies.version == 1
    newest = await desk.store.policies.newest()
    assert newest is not None
    assert newest.source == POLICY
    assert (await desk.audit())[-1][:2] == ("policy.set", "refused")


async def test_what_somebody_else_has_set_meanwhile_is_not_overwritten(desk: Desk) -> None:
    await put(desk)
    await put(desk, expected_version=1)
    with pytest.raises(Invalid, match="at version 2, not 1"):
        await put(desk, expected_version=1)


async def test_an_earlier_version_comes_back_as_a_new_one(desk: Desk) -> None:
    await put(desk)
    await put(desk, FREEZE, comment="over the holidays")
    assert (await explain(desk)).rules == ["freeze"]
    request = policies.RollBackPolicy(version=1, comment="they are over")
    answer = await policies.roll_back_policy(desk.services, OWNER, request)
    assert (answer.version, [each.change for each in answer.changes]) == (3, ["removed"])
    assert (await explain(desk)).decision == "allow"
    page = await policies.policy_history(desk.services, OWNER, policies.PolicyHistory())
    assert [(each.version, each.restores, each.comment) for each in page.items] == [
        (3, 1, "they are over"),
        (2, None, "over the holidays"),
        (1, None, ""),
    ]
    with pytest.raises(NotFound):
        await policies.roll_back_policy(desk.services, OWNER, policies.RollBackPolicy(version=9))


async def test_it_is_shown_in_words_and_as_it_was_written(desk: Desk) -> None:
    await put(desk)
    await put(desk, FREEZE)
    shown = await policies.show_policy(desk.services, OWNER, policies.ShowPolicy(version=1))
    assert (shown.counts, shown.source, shown.fault) == (False, POLICY, "")
    assert [(each.name, each.restrictions) for each in shown.rules] == [
        ("owner", ["role: owner"]),
        ("assistants", ["kind: assistant", "effect: read"]),
    ]
    assert (await policies.show_policy(desk.services, OWNER, policies.ShowPolicy())).counts


async def test_without_a_policy_that_is_said(desk: Desk) -> None:
    for ask in (
        policies.show_policy(desk.services, OWNER, policies.ShowPolicy()),
        policies.test_policy(desk.services, OWNER, policies.TestPolicy()),
        explain(desk),
    ):
        with pytest.raises(NotFound, match="everything is allowed"):
            await ask


async def test_its_table_is_tried(desk: Desk) -> None:
    await put(desk)
    own = await policies.test_policy(desk.services, OWNER, policies.TestPolicy())
    assert (own.passed, own.failed) == (1, 0)
    wrong = POLICY.replace("decision: allow}\n", "decision: deny}\n")
    tried = await policies.test_policy(desk.services, OWNER, policies.TestPolicy(source=wrong))
    assert (tried.passed, tried.failed) == (1, 0)
    wrong = POLICY + "  - {name: eve may, ask: {operation: a.b}, decision: allow}\n"
    tried = await policies.test_policy(desk.services, OWNER, policies.TestPolicy(source=wrong))
    assert [(each.name, each.passed) for each in tried.cases] == [("the owner may", True), ("eve may", False)]
    assert "it is deny, not allow" in tried.cases[1].fault


async def test_every_rule_is_explained(desk: Desk) -> None:
    await put(desk)
    own = await explain(desk, host="db1")
    assert (own.decision, own.rules) == ("allow", ["owner"])
    bot = await explain(desk, kind="assistant", principal="bot")
    assert bot.decision == "deny"
    assert [(each.rule, each.matches, each.why) for each in bot.considered] == [
        ("owner", "no", "bot has none of the roles owner"),
        ("assistants", "no", "it is not about steps with the effect once"),
    ]
    assert (await explain(desk, kind="assistant", effect="read")).rules == ["assistants"]


async def test_a_known_host_is_asked_about_with_what_is_known_of_it(desk: Desk) -> None:
    await put(desk, POLICY.replace("roles: owner", "roles: owner, hosts: rack=1").partition("tests:")[0])
    desk.policies.hosts["db1"] = Host("hst_1", "db1", labels={"rack": "1"})
    assert (await explain(desk, host="db1")).decision == "allow"
    assert (await explain(desk, host="db2")).decision == "deny"
    assert (await explain(desk, host="db2", labels={"rack": "1"})).decision == "allow"
    with pytest.raises(Invalid, match="is no moment"):
        await explain(desk, at="tomorrow")


async def test_who_starts_and_what_for_reach_the_policy_from_the_caller_alone(desk: Desk) -> None:
    await desk.add_execution()
    from tests.unit.service.desk import SOURCE

    request = executions.StartRun.model_validate(
        {"what": {"source": SOURCE}, "reason": "why", "reference": "CHG-1", "change_class": "normal"}
    )
    await executions.start_run(desk.services, OWNER, request)
    requested = desk.runs.requested
    assert requested is not None
    assert requested.to_json() == {
        "principal": "ann",
        "kind": "person",
        "roles": ["owner"],
        "class": "normal",
        "reference": "CHG-1",
        "reason": "why",
    }


def test_what_the_policy_refuses_is_denied_and_what_else_is_wrong_is_invalid() -> None:
    against = PlanProblem(FailureKind.POLICY, "the policy denies it", "ask", "a", "h1")
    wrong = PlanProblem(FailureKind.PARAMETER, "a typo")
    for error, kind in (
        (PlanRefused([against]), Denied),
        (PlanRefused([against, wrong]), Invalid),
        (PolicyRefused("nothing was started", [against]), Denied),
    ):
        with pytest.raises(kind) as refused, translated():
            raise error
        assert refused.value.problems[0].host == "h1"
    assert not issubclass(Denied, Conflict)


async def test_a_change_is_closed_once_it_has_ended_and_shown(desk: Desk) -> None:
    await desk.add_execution()
    close = changes.CloseRun(execution=EXECUTION, outcome="backed_out", note="too slow")
    with pytest.raises(Conflict, match="has not ended"):
        await changes.close_run(desk.services, OWNER, close)
    await desk.end_execution()
    closed = await changes.close_run(desk.services, OWNER, close)
    assert (closed.outcome, closed.note, closed.closed_by) == ("backed_out", "too slow", "ann")
    with pytest.raises(Conflict, match="closed already"):
        await changes.close_run(desk.services, OWNER, close)
    shown = await executions.show_run(desk.services, OWNER, executions.ShowRun(execution=EXECUTION))
    assert shown.change == closed
