"""Requests for approval: one outcome each, which stands on people who are still who they were when they answered."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import (
    ApprovalFilter,
    ApprovalRecord,
    ApprovalUpdate,
    Counted,
    DecisionRecord,
    DelegationRecord,
    GrantRecord,
    PrincipalRecord,
)

from tests.contract.store.conftest import Reopen
from tests.contract.store.records import NOW, PLAN, change, creation

ASKED = ApprovalRecord(
    id="apr_1",
    execution="exe_1",
    plan_digest=PLAN.digest,
    gate="act!approval",
    scope="step",
    path="act",
    host="",
    item="",
    content={"required": 2},
    prompt="before act",
    requesters=("ann",),
    asks=("role:dba",),
    asked_at=NOW,
    expires_at=NOW + 1000,
)
DBA = GrantRecord("bert", "dba", NOW, "ann", {"environments": ["production"]})


def said(person: str = "bert", **more: Any) -> DecisionRecord:
    base = DecisionRecord(person, NOW + 1, "approve", "role:dba", key=f"ssh-ed25519 {person}", proof="signed")
    return replace(base, **more)


def counted(person: str = "bert", **more: Any) -> Counted:
    return replace(Counted(person, f"ssh-ed25519 {person}", "role:dba"), **more)


def approved(*votes: Counted, decisions: tuple[DecisionRecord, ...] = (), **more: Any) -> ApprovalUpdate:
    update = ApprovalUpdate("apr_1", None, decisions, (), votes, "approved", "approved by them", NOW + 2)
    return replace(update, **more)


async def world(store: Store) -> None:
    """One execution that asks, `bert` and `carl`, who are in the role that is asked, and `dora`, who is not."""
    for name in ("bert", "carl", "dora"):
        await store.access.add_principal(PrincipalRecord(name, "person", NOW, "ann", keys=(f"ssh-ed25519 {name} pc",)))
    await store.access.grant(DBA)
    await store.access.grant(replace(DBA, principal="carl"))
    await store.executions.create(creation())
    await store.executions.commit(change(asked=(ASKED,)))


async def test_a_request_is_kept_with_its_answers_and_has_one_outcome(store: Store, reopen: Reopen) -> None:
    await world(store)
    open_ones = await store.approvals.find(ApprovalFilter(open=True))
    assert [replace(each, number=0) for each in open_ones.rows] == [ASKED]
    await store.executions.commit(change(version=1, approvals=(ApprovalUpdate("apr_1", decisions=(said(),)),)))
    both = approved(counted(), counted("carl"), decisions=(said("carl", comment="go"),))
    await store.executions.commit(change(version=2, approvals=(both,)))
    store = await reopen()
    kept = await store.approvals.get("apr_1")
    assert (kept.outcome, kept.reason, kept.ended_at, kept.consumed_at) == (
        "approved",
        "approved by them",
        NOW + 2,
        None,
    )
    assert await store.approvals.decisions("apr_1") == (said(), said("carl", comment="go"))
    assert (await store.approvals.find(ApprovalFilter(open=True))).rows == ()
    for late in (approved(outcome="denied"), approved(), ApprovalUpdate("apr_1", asks=("dora",))):
        with pytest.raises(Conflict, match="has its outcome already"):
            await store.executions.commit(change(version=3, approvals=(late,)))
    with pytest.raises(Conflict, match="recorded already"):
        await store.executions.commit(change(version=3, asked=(ASKED,)))
    with pytest.raises(NotFound):
        await store.approvals.get("apr_2")


@pytest.mark.parametrize(
    ("vote", "why"),
    [
        (said(key="ssh-ed25519 other"), "without the key that signed"),
        (said(key=""), "without the key that signed"),
        (said("eve"), "eve may not decide any more"),
        (said("dora"), "dora is not in the role dba any more"),
        (said("dora", voice="bert"), "bert does not lend dora their say"),
        (said("bert", voice="dora"), "dora is not in the role dba any more"),
        (said("dora", stands_on="*", alone=True), "dora is not the only person any more"),
    ],
)
async def test_an_answer_that_does_not_stand_is_not_stored(store: Store, vote: DecisionRecord, why: str) -> None:
    await world(store)
    with pytest.raises(Conflict, match=why):
        await store.executions.commit(change(version=1, approvals=(ApprovalUpdate("apr_1", decisions=(vote,)),)))
    assert await store.approvals.decisions("apr_1") == ()


@pytest.mark.parametrize("lost", ["enabled", "key", "role"])
async def test_a_yes_does_not_stand_on_somebody_who_was_removed_meanwhile(store: Store, lost: str) -> None:
    """Whoever removed them did so after the service has looked, and before this transaction."""
    await world(store)
    await store.executions.commit(change(version=1, approvals=(ApprovalUpdate("apr_1", decisions=(said(),)),)))
    match lost:
        case "enabled":
            await store.access.disable("bert", NOW + 1)
        case "key":
            await store.access.set_keys("bert", ("ssh-ed25519 new",))
        case _:
            await store.access.withdraw("bert", "dba", None)
    last = approved(counted(), counted("carl"), decisions=(said("carl"),))
    with pytest.raises(Conflict, match="bert"):
        await store.executions.commit(change(version=2, approvals=(last,)))
    assert (await store.approvals.get("apr_1")).outcome == ""
    await store.executions.commit(change(version=2, approvals=(approved(counted("carl"), decisions=(said("carl"),)),)))


async def test_a_start_rests_on_an_approval_of_its_own_execution_and_plan(store: Store) -> None:
    await world(store)
    await store.executions.create(creation("exe_2"))
    with pytest.raises(Conflict, match="without a valid approval"):
        await store.executions.commit(change(version=1, rests_on=("apr_1",), at=NOW + 3))
    await store.executions.commit(change(version=1, approvals=(approved(counted()),)))
    with pytest.raises(Conflict, match="without a valid approval"):
        await store.executions.commit(change("exe_2", rests_on=("apr_1",), at=NOW + 3))
    await store.executions.commit(change(version=2, rests_on=("apr_1",), at=NOW + 3))
    await store.executions.commit(change(version=3, rests_on=("apr_1",), at=NOW + 4))
    assert (await store.approvals.get("apr_1")).consumed_at == NOW + 3
    with pytest.raises(Conflict, match="apr_9"):
        await store.executions.commit(change(version=4, rests_on=("apr_9",), at=NOW + 4))


async def test_a_say_is_lent_until_its_end(store: Store) -> None:
    await world(store)
    lent = DelegationRecord("del_1", "bert", "dora", NOW, NOW + 100, "holidays", NOW, "bert")
    await store.approvals.delegate(lent)
    assert await store.approvals.delegations(NOW, "dora") == (lent,)
    assert await store.approvals.delegations(NOW + 100) == ()
    for_bert = said("dora", voice="bert")
    late = replace(for_bert, at=NOW + 100)
    with pytest.raises(Conflict, match="does not lend"):
        await store.executions.commit(change(version=1, approvals=(ApprovalUpdate("apr_1", decisions=(late,)),)))
    await store.executions.commit(change(version=1, approvals=(ApprovalUpdate("apr_1", decisions=(for_bert,)),)))
    await store.approvals.end_delegation("del_1", NOW + 50, "bert")
    with pytest.raises(Refused, match="has ended"):
        await store.approvals.end_delegation("del_1", NOW + 60, "bert")
    with pytest.raises(NotFound):
        await store.approvals.delegation("del_2")
    with pytest.raises(Refused, match="no principal"):
        await store.approvals.delegate(replace(lent, id="del_3", delegate="eve"))
