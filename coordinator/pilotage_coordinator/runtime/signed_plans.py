"""What a host that wants plans signed is shown: its slice of the plan, and the approvals with their signatures.

Nothing of it is secret, and nothing of it is believed because this coordinator says so: the agent checks it all
(docs/security.md). A plan is divided once for all its hosts.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pilotage_proto.approval_id import approval_id
from pilotage_proto.canonical import canonical, digest_of_bytes
from pilotage_proto.plan_digest import packed

from pilotage_coordinator.domain.approval.request import Outcome
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import SignedApproval, SignedPlan
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.codec import divided
from pilotage_coordinator.domain.signing_demand import demand_of
from pilotage_coordinator.runtime.beside import LARGE_PLAN, weight
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.store.protocol import ApprovalStore
from pilotage_coordinator.store.records import ApprovalFilter, ApprovalRecord

MOST_PLANS: Final = 8
"""Divided plans that are kept."""
MOST_EXECUTIONS: Final = 256
"""Executions whose approvals are kept."""
_PAGE: Final = 500


def wants_signed_plans(host: Host | None) -> bool:
    """Return whether a host has said that it does some things only with people's signatures."""
    return host is not None and demand_of(host) is not None


@dataclass(frozen=True, slots=True)
class _Divided:
    head: str
    slices: Mapping[str, bytes]
    digests: bytes
    steps: Mapping[str, bytes]


@dataclass(slots=True)
class SignedPlans:
    """Makes them. `plans` holds plans as they were approved: in an execution references to secrets stand in them."""

    plans: PlanShelf
    approvals: ApprovalStore
    _divided: "OrderedDict[str, _Divided]" = field(default_factory=OrderedDict)
    _approved: "OrderedDict[str, tuple[object, tuple[SignedApproval, ...]]]" = field(default_factory=OrderedDict)

    async def of(self, state: ExecutionState, path: str, host: str) -> tuple[SignedPlan | None, bytes]:
        """Return what a host is shown of an execution's plan, and of one step; nothing where it has no part in it.

        Raises StoreError when the store cannot be read.
        """
        parts = await self._parts(state.plan.digest)
        slice_ = parts.slices.get(host)
        if slice_ is None:
            return None, b""
        approvals = await self._approvals(state)
        shown = SignedPlan(state.id, parts.head, slice_, parts.digests, approvals)
        return shown, parts.steps.get(path, b"")

    async def _parts(self, digest: str) -> _Divided:
        known = self._divided.get(digest)
        if known is None:
            plan = await self.plans.get(digest)
            small = weight(plan, LARGE_PLAN) <= LARGE_PLAN
            known = _divide(plan) if small else await asyncio.to_thread(_divide, plan)
            self._divided[digest] = known
            if len(self._divided) > MOST_PLANS:
                self._divided.popitem(last=False)
        self._divided.move_to_end(digest)
        return known

    async def _approvals(self, state: ExecutionState) -> tuple[SignedApproval, ...]:
        """Return the approvals of an execution; read again only when one was asked for or has ended since."""
        open_ = frozenset(gate.approval.id for gate in state.gates.values() if gate.approval is not None)
        now = (state.asked, open_)
        known = self._approved.get(state.id)
        if known is None or known[0] != now:
            known = self._approved[state.id] = (now, await self._read(state.id))
            if len(self._approved) > MOST_EXECUTIONS:
                self._approved.popitem(last=False)
        return known[1]

    async def _read(self, execution: str) -> tuple[SignedApproval, ...]:
        rows: list[ApprovalRecord] = []
        cursor = ""
        while True:
            page = await self.approvals.find(ApprovalFilter(execution=execution), cursor, _PAGE)
            rows += page.rows
            cursor = page.cursor
            if not cursor:
                break
        rows.reverse()
        found = []
        for number, row in enumerate(rows, start=1):
            same = row.id == approval_id(execution, row.gate, number, row.asked_at)
            if row.outcome == Outcome.APPROVED and same:
                decisions = await self.approvals.decisions(row.id)
                signatures = {
                    each.key: each.proof
                    for each in decisions
                    if each.answer == "approve" and each.dropped_at is None and each.key and each.proof
                }
                found.append(SignedApproval(row.gate, number, row.asked_at, signatures))
        return tuple(found)


def _divide(plan: Plan) -> _Divided:
    parts = divided(plan)
    slices = {host: canonical(each) for host, each in parts.slices.items()}
    return _Divided(
        digest_of_bytes(canonical(parts.head)),
        slices,
        packed(digest_of_bytes(each) for each in slices.values()),
        {path: canonical(each) for path, each in parts.steps.items()},
    )
