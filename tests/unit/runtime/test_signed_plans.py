"""What a host that wants plans signed is shown by a coordinator is what its agent wants to see."""

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from pilotage_agent.approval.errors import Unapproved
from pilotage_agent.link.wire import from_response
from pilotage_agent.messages import Assignment as AgentAssignment
from pilotage_agent.messages import SignedPlan as AgentPlan
from pilotage_coordinator.domain.fleet import Assignment
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.fleet.outbox import Outbox
from pilotage_coordinator.runtime.signed_plans import SignedPlans
from pilotage_coordinator.store.records import ApprovalFilter, ApprovalRecord, DecisionRecord, Page
from pilotage_proto.decision import Statement
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.unit.agent.signing_site import ANNA, BORIS, GATE, MALLORY, NOW, Site, line, planned
from tests.unit.service.signing import Signer

MADE = planned()


@dataclass
class Approvals:
    """Requests of one execution, and the answers to them."""

    rows: list[ApprovalRecord] = field(default_factory=list)
    answers: dict[str, tuple[DecisionRecord, ...]] = field(default_factory=dict)
    reads: int = 0

    async def find(self, filter: ApprovalFilter, cursor: str, limit: int) -> Page[ApprovalRecord]:
        """Two pages, newest first."""
        self.reads += 1
        newest = self.rows[::-1]
        return Page(tuple(newest[1:]), "") if cursor else Page(tuple(newest[:1]), "more" if newest[1:] else "")

    async def decisions(self, id: str) -> tuple[DecisionRecord, ...]:
        return self.answers[id]

    def ask(self, site: Site, outcome: str, *signers: Signer, gate: str = GATE) -> None:
        number = len(self.rows) + 1
        id = site.approval(gate=gate, number=number).id(site.execution)
        self.rows.append(
            ApprovalRecord(
                id, site.execution, MADE.plan.digest, gate, "step", "wipe", "", "", {}, "", (), (), NOW - 9, NOW,
                outcome=outcome, number=number,
            )
        )  # fmt: skip
        statement = Statement(id, "approve", MADE.plan.digest)
        self.answers[id] = tuple(
            DecisionRecord("somebody", NOW, "approve", "*", key=line(each), proof=each.proof(statement))
            for each in signers
        )


class Plans:
    async def get(self, digest: str) -> Any:
        assert digest == MADE.plan.digest
        return MADE.plan


@pytest.fixture
def approvals() -> Approvals:
    return Approvals()


@pytest.fixture
def shown(approvals: Approvals) -> SignedPlans:
    plans: Any = Plans()
    held: Any = approvals
    return SignedPlans(plans, held)


def state(asked: int = 1, execution: str = "exe_1") -> Any:
    return SimpleNamespace(id=execution, plan=SimpleNamespace(digest=MADE.plan.digest), asked=asked, gates={})


def sent(outbox: Outbox) -> list[AgentPlan | AgentAssignment]:
    """Return what an agent reads of what is sent next."""
    wire = pb.SessionResponse.FromString(pb.SessionResponse(items=outbox.take()).SerializeToString())
    return [each for each in from_response(wire) if isinstance(each, AgentPlan | AgentAssignment)]


async def assigned(shown: SignedPlans, site: Site, item: str = "a", asked: int = 1) -> Assignment:
    plan, step = await shown.of(state(asked), "wipe", "db1")
    there = site.assignment(item=item)
    parameters: dict[str, Any] = {"path": f"/srv/{item}/z-db1", "keep": {"daily": 7, "list": [1, True, "x"]}}
    return Assignment(
        there.key, 1, MADE.plan.digest, "backup.prune", Effect.ONCE, parameters, timeout=90_000_000,
        planned_step=step, signed_plan=plan,
    )  # fmt: skip


async def test_an_agent_finds_in_it_what_it_wants(shown: SignedPlans, approvals: Approvals) -> None:
    site = Site(MADE, quorum=2)
    approvals.ask(site, "denied", ANNA)
    approvals.ask(site, "approved", ANNA, BORIS, MALLORY)
    outbox = Outbox(8, lambda: None)
    outbox.open()
    for item in ("a", "b"):
        outbox.assign(await assigned(shown, site, item))
    plan, first, second = sent(outbox)
    assert isinstance(plan, AgentPlan)
    assert isinstance(first, AgentAssignment)
    assert isinstance(second, AgentAssignment)
    assert [each.number for each in plan.approvals] == [2]
    site.consent.see(plan)
    for each in (first, second):
        assert (await site.consent.check(each)).order is not None
    with pytest.raises(Unapproved):
        await site.consent.check(replace(second, parameters=first.parameters))
    assert approvals.reads == 2, "the approvals of an execution are read once, in pages"


async def test_it_is_shown_once_in_a_session_and_again_when_somebody_has_approved(
    shown: SignedPlans, approvals: Approvals
) -> None:
    site = Site(MADE)
    approvals.ask(site, "approved", ANNA)
    outbox = Outbox(8, lambda: None)
    outbox.open()
    outbox.assign(await assigned(shown, site))
    assert [type(each) for each in sent(outbox)] == [AgentPlan, AgentAssignment]
    outbox.assign(await assigned(shown, site, "b"))
    assert [type(each) for each in sent(outbox)] == [AgentAssignment]
    outbox.answered(site.assignment().key)
    approvals.ask(site, "approved", BORIS)
    outbox.assign(await assigned(shown, site, asked=2))
    again, _ = sent(outbox)
    assert isinstance(again, AgentPlan)
    assert len(again.approvals) == 2
    another = Outbox(8, lambda: None)
    another.open()
    another.assign(await assigned(shown, site, asked=2))
    assert [type(each) for each in sent(another)] == [AgentPlan, AgentAssignment]


async def test_a_host_that_has_no_part_in_a_plan_is_shown_nothing(shown: SignedPlans) -> None:
    assert await shown.of(state(), "wipe", "web9") == (None, b"")


def test_what_is_too_large_for_a_message_is_not_sent_at_all() -> None:
    refused: list[int] = []
    outbox = Outbox(8, lambda: None, lambda assignment, size: refused.append(size))
    outbox.open()
    approvals = Approvals()
    held: Any = approvals
    plans: Any = Plans()
    assignment = asyncio.run(assigned(SignedPlans(plans, held), Site(MADE)))
    assert assignment.signed_plan is not None
    large = replace(assignment.signed_plan, slice=b"x" * (3 << 20))
    outbox.assign(replace(assignment, signed_plan=large))
    assert refused
    assert outbox.take() == []
