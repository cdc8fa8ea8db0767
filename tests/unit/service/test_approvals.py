"""Who may decide, by what proof, and what a decision stands on: what reaches the engine, and what never does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from immutables import Map
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN
from pilotage_coordinator.domain.approval.gate import Escalation, Gate
from pilotage_coordinator.domain.approval.request import ANYBODY, Vote
from pilotage_coordinator.domain.execution.inputs import ApprovalAnswered, ApprovalWithdrawn
from pilotage_coordinator.domain.execution.nodes import GateScope
from pilotage_coordinator.runtime.planner import PlanDrifted
from pilotage_coordinator.service import approvals, delegations
from pilotage_coordinator.service.approval_view import ApprovalSummary
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.service.errors import Conflict, Denied, Invalid
from pilotage_coordinator.store.records import DelegationRecord, GrantRecord, PrincipalRecord, RoleRecord
from pilotage_proto import decision, delegation
from pilotage_proto.decision import Answer, Statement

from tests.unit.service.desk import ANN, APPROVAL, DIGEST, NOW, OWNER, Desk
from tests.unit.service.signing import Signer

SIGNERS = {"ann": ANN, **{name: Signer(name) for name in ("bert", "carl", "dora", "bot", "ci")}}
HOUR = 3600 * 1_000_000


def caller(name: str, kind: PrincipalKind = PrincipalKind.PERSON, role: str = "approver") -> Caller:
    return OWNER if name == "ann" else Caller(name, kind, (Grant(BUILT_IN[role]),), Face.SOCKET, "tok_1")


async def people(desk: Desk, *names: str, role: str = "approver", kind: str = "person", sponsor: str = "") -> None:
    """Add principals, each with a key and a role."""
    for name in names:
        row = PrincipalRecord(name, kind, NOW, "ann", sponsor=sponsor, keys=(SIGNERS[name].line,))
        await desk.store.access.add_principal(row, (GrantRecord(name, role, NOW, "ann"),))


async def ask(desk: Desk, gate: Gate | None = None, *requesters: str, scope: GateScope = GateScope.STEP) -> None:
    await desk.add_execution(requested_by=requesters[0] if requesters else "bot")
    await desk.ask_approval(gate or Gate(source="the step"), *(requesters or ("bot",)), scope=scope)


def proof(name: str, say: Answer = "approve", digest: str = DIGEST, request: str = APPROVAL) -> str:
    return SIGNERS[name].proof(Statement(request, say, digest))


def lending(
    by: str = "bert", to: str = "carl", hours: int = 1, signed_by: str = "", namespace: str = delegation.NAMESPACE
) -> delegations.Delegate:
    """Ask to lend somebody's say from now on, with a signature."""
    since = datetime.fromtimestamp(NOW // 1_000_000, UTC)
    until = since + timedelta(hours=hours)
    signed = SIGNERS[signed_by or by].proof(delegation.Lending(by, to, since, until), namespace)
    return delegations.Delegate(to=to, since=since, until=until, proof=signed)


async def decide(desk: Desk, by: Caller, say: Answer = "approve", **more: Any) -> ApprovalSummary:
    given = approvals.Decide(approval=APPROVAL, **{"proof": proof(by.principal, say), **more})
    work = approvals.approve if say == "approve" else approvals.reject
    return await work(desk.services, by, given)


def vote(desk: Desk) -> Vote:
    """The vote that has reached the engine."""
    ((_, given),) = desk.runs.submitted
    assert isinstance(given, ApprovalAnswered)
    assert given.plan_digest == DIGEST
    return given.vote


# --- proof ------------------------------------------------------------------------------------------------------------


async def test_a_signed_answer_reaches_the_engine_with_what_proves_it(desk: Desk) -> None:
    await people(desk, "bert")
    await ask(desk)
    await decide(desk, caller("bert"), comment=" it is a good moment ")
    signed = vote(desk)
    assert (signed.by, signed.answer, signed.stands_on, signed.voice) == ("bert", "approve", ANYBODY, "")
    assert SIGNERS["bert"].line.startswith(signed.key)
    assert (signed.proof, signed.comment) == (proof("bert"), "it is a good moment")
    entry = (await desk.store.audit.read())[-1].entry
    assert (entry.operation, entry.outcome, entry.detail["plan_digest"]) == ("approval.approve", "allowed", DIGEST)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "needs a proof"),
        ("no signature", "proves nothing"),
        (proof("carl"), "a key that is not registered for bert"),
        (proof("bert", "reject"), "proves nothing"),
        (proof("bert", digest="sha256:" + "0" * 64), "proves nothing"),
        (proof("bert", request="apr_" + "0" * 31 + "2"), "proves nothing"),
    ],
)
async def test_what_proves_nothing_decides_nothing(desk: Desk, given: str, why: str) -> None:
    await people(desk, "bert", "carl")
    await ask(desk)
    with pytest.raises(Denied, match=why):
        await decide(desk, caller("bert"), proof=given)
    assert desk.runs.submitted == []
    denied = (await desk.store.audit.read())[-1].entry
    assert (denied.operation, denied.outcome, denied.principal) == ("approval.approve", "denied", "bert")


async def test_a_key_that_was_taken_away_signs_nothing_any_more(desk: Desk) -> None:
    await people(desk, "bert")
    await ask(desk)
    await desk.store.access.set_keys("bert", (SIGNERS["carl"].line,))
    with pytest.raises(Denied, match="not registered for bert"):
        await decide(desk, caller("bert"))


@pytest.mark.parametrize("role", ["assistant", "approver", "owner"])
@pytest.mark.parametrize(("name", "kind"), [("bot", PrincipalKind.ASSISTANT), ("ci", PrincipalKind.SERVICE)])
async def test_whatever_role_it_holds_only_a_person_decides(
    desk: Desk, name: str, kind: PrincipalKind, role: str
) -> None:
    """Also with a key that somebody registered for it, and a proof made with that."""
    await people(desk, name, role=role, kind=kind.value, sponsor="ann" if name == "bot" else "")
    await ask(desk, None, "ann")
    for say in ("approve", "reject"):
        with pytest.raises(Denied):
            await decide(desk, caller(name, kind, role), say)
    assert desk.runs.submitted == []


# --- who --------------------------------------------------------------------------------------------------------------


async def test_whoever_asked_may_not_approve(desk: Desk) -> None:
    await people(desk, "bert", "carl")
    await ask(desk, None, "bert")
    with pytest.raises(Conflict, match="bert asked for this and may not approve it"):
        await decide(desk, caller("bert"))
    shown = await approvals.show_approval(desk.services, caller("bert"), approvals.ShowApproval(approval=APPROVAL))
    assert "bert asked for this" in shown.why_not
    assert [(each.name, each.kind) for each in shown.askers] == [("bert", "person")]


async def test_who_answers_for_the_assistant_may_unless_the_rule_is_strict(desk: Desk) -> None:
    await people(desk, "bert", "carl")
    await people(desk, "bot", role="assistant", kind="assistant", sponsor="bert")
    await ask(desk, Gate(strict=True))
    with pytest.raises(Conflict, match="bert answers for the assistant that asked"):
        await decide(desk, caller("bert"))
    desk.runs.gates = Map(
        {
            name: replace(gate, approval=replace(gate.approval, gate=Gate()) if gate.approval else None)
            for name, gate in desk.runs.gates.items()
        }
    )
    await decide(desk, caller("bert"))
    assert vote(desk).by == "bert"


async def test_a_role_counts_where_it_is_held_for_all_that_the_plan_touches(desk: Desk) -> None:
    await people(desk, "bert", "carl")
    await desk.store.access.put_role(RoleRecord("dba", ("approval.read", "approval.decide"), "", NOW, "ann"))
    await desk.store.access.grant(GrantRecord("bert", "dba", NOW, "ann", {"blueprints": ["other"]}))
    await desk.store.access.grant(GrantRecord("carl", "dba", NOW, "ann"))
    await ask(desk, Gate(of=("role:dba",)))
    with pytest.raises(Conflict, match="bert is not asked"):
        await decide(desk, caller("bert"))
    await decide(desk, caller("carl"))
    assert vote(desk).stands_on == "role:dba"


async def test_votes_of_who_was_disabled_or_lost_the_role_stand_no_more(desk: Desk) -> None:
    await people(desk, "bert", "carl", "dora")
    await ask(desk, Gate(required=3, of=("role:approver",)))
    votes = tuple(Vote(name, "approve", "role:approver") for name in ("bert", "carl"))
    desk.runs.gates = Map(
        {
            name: replace(gate, approval=replace(gate.approval, votes=votes) if gate.approval else None)
            for name, gate in desk.runs.gates.items()
        }
    )
    await desk.store.access.disable("bert", NOW)
    await desk.store.access.withdraw("carl", "approver", None)
    await decide(desk, caller("dora"))
    ((_, given),) = desk.runs.submitted
    assert isinstance(given, ApprovalAnswered)
    assert given.standing == frozenset()


async def test_the_only_person_approves_what_they_asked_for_until_there_is_a_second(desk: Desk) -> None:
    await ask(desk, Gate(required=2, of=("role:dba",)), "ann")
    await decide(desk, OWNER)
    assert vote(desk).alone
    assert (await desk.store.audit.read())[-1].entry.detail["self_approved"] is True
    desk.runs.submitted.clear()
    await people(desk, "bert")
    with pytest.raises(Conflict, match="ann is not asked"):
        await decide(desk, OWNER)
    await desk.store.access.disable("bert", NOW)
    await decide(desk, OWNER)
    assert vote(desk).alone


# --- when -------------------------------------------------------------------------------------------------------------


async def test_what_has_drifted_is_withdrawn_and_not_approved(desk: Desk) -> None:
    await people(desk, "bert")
    await ask(desk, None, scope=GateScope.EXECUTION)
    desk.runs.drifted = PlanDrifted(
        "the plan of check no longer holds\n  sane: on db1: argv: a, was b\nmake a new plan"
    )
    with pytest.raises(Conflict, match="no longer holds"):
        await decide(desk, caller("bert"))
    ((_, given),) = desk.runs.submitted
    assert isinstance(given, ApprovalWithdrawn)
    assert "argv: a, was b" in given.reason
    desk.runs.submitted.clear()
    await decide(desk, caller("bert"), "reject")
    assert vote(desk).answer == "reject"


async def test_what_is_over_in_the_engine_and_still_open_in_the_store_is_a_conflict(desk: Desk) -> None:
    await people(desk, "bert")
    await ask(desk)
    desk.runs.gates = Map()
    with pytest.raises(Conflict, match="is not open any more"):
        await decide(desk, caller("bert"))


async def test_a_say_is_lent_by_who_has_one_to_who_may_decide_until_its_end(desk: Desk) -> None:
    await people(desk, "bert", "carl")
    await ask(desk, Gate(of=("bert",), escalate=(Escalation(HOUR, "role:owner"),)))
    with pytest.raises(Conflict, match="carl is not asked"):
        await decide(desk, caller("carl"))
    lent = await delegations.delegate(desk.services, caller("bert"), lending())
    await decide(desk, caller("carl"))
    assert (vote(desk).by, vote(desk).voice, vote(desk).stands_on) == ("carl", "bert", "bert")
    await delegations.undelegate(desk.services, caller("bert"), delegations.EndDelegation(delegation=lent.id))
    with pytest.raises(Conflict, match="carl is not asked"):
        await decide(desk, caller("carl"))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (lending().model_copy(update={"proof": ""}), "there is none"),
        (lending(signed_by="carl"), "key that is not registered for bert"),
        (lending().model_copy(update={"to": "dora"}), "signed something else"),
        (lending().model_copy(update={"until": lending(hours=2).until}), "signed something else"),
        (lending().model_copy(update={"since": lending().since - timedelta(hours=1)}), "signed something else"),
        (lending(by="dora", signed_by="bert"), "signed something else"),
        (lending(namespace=decision.NAMESPACE), "decision@pilotage"),
        (lending().model_copy(update={"proof": proof("bert")}), "decision@pilotage"),
    ],
)
async def test_no_token_is_enough_to_lend_a_say(desk: Desk, asked: delegations.Delegate, why: str) -> None:
    await people(desk, "bert", "carl", "dora")
    with pytest.raises(Denied, match=why):
        await delegations.delegate(desk.services, caller("bert"), asked)
    assert await desk.store.approvals.delegations(NOW) == ()


async def test_the_owner_at_the_socket_lends_with_a_signature_like_everybody_else(desk: Desk) -> None:
    await people(desk, "carl")
    with pytest.raises(Denied, match="there is none"):
        await delegations.delegate(desk.services, OWNER, lending("ann").model_copy(update={"proof": ""}))


async def test_a_say_that_was_taken_back_is_not_lent_again_by_the_old_signature(desk: Desk) -> None:
    await people(desk, "bert", "carl")
    lent = await delegations.delegate(desk.services, caller("bert"), lending())
    await delegations.undelegate(desk.services, caller("bert"), delegations.EndDelegation(delegation=lent.id))
    with pytest.raises(Conflict, match="good for once"):
        await delegations.delegate(desk.services, caller("bert"), lending())
    assert await desk.store.approvals.delegations(NOW) == ()


async def test_what_was_signed_to_lend_decides_nothing(desk: Desk) -> None:
    await people(desk, "bert")
    await ask(desk)
    with pytest.raises(Denied, match="delegation@pilotage"):
        await decide(desk, caller("bert"), proof=lending().proof)
    assert desk.runs.submitted == []


async def test_a_say_that_begins_later_or_of_who_may_not_decide_is_none(desk: Desk) -> None:
    await people(desk, "bert", "carl")
    await people(desk, "dora", role="auditor")
    await ask(desk, Gate(of=("bert", "dora")))
    for number, (who, begins) in enumerate([("bert", NOW + 1), ("dora", NOW)]):
        row = DelegationRecord(f"dlg_{number}", who, "carl", begins, NOW + HOUR, "", NOW, who)
        await desk.store.approvals.delegate(row)
    with pytest.raises(Conflict, match="carl is not asked"):
        await decide(desk, caller("carl"))


@pytest.mark.parametrize(
    ("to", "hours", "why"),
    [
        ("carl", 0, "ends after it begins"),
        ("carl", 24 * 400, "within a year"),
        ("bert", 1, "need not be lent to oneself"),
        ("bot", 1, "bot is no person who may act"),
    ],
)
async def test_what_is_no_delegation(desk: Desk, to: str, hours: int, why: str) -> None:
    await people(desk, "bert", "carl")
    await people(desk, "bot", role="assistant", kind="assistant", sponsor="bert")
    with pytest.raises(Invalid, match=why):
        await delegations.delegate(desk.services, caller("bert"), lending(to=to, hours=hours))
    assert await desk.store.approvals.delegations(NOW) == ()
