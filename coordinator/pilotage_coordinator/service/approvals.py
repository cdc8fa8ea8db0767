"""Operations on requests for approval: to see what is asked, and to decide with a proof that a person did.

A decision counts when a person who is asked has signed (request, plan, yes or no) with a key that an owner registered
for them. No token, role or face is enough without that, and no assistant's or service's is with it.
"""

from dataclasses import replace
from typing import Annotated, Literal

from pilotage_proto.decision import NAMESPACE, Answer, Statement
from pilotage_proto.sshsig import LARGEST_SIGNATURE, read_key
from pydantic import StringConstraints

from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.approval.request import Request as Asked
from pilotage_coordinator.domain.approval.request import Vote, vote_of
from pilotage_coordinator.domain.execution import inputs
from pilotage_coordinator.domain.execution.nodes import GateScope
from pilotage_coordinator.runtime.planner import PlanDrifted
from pilotage_coordinator.service import electorate
from pilotage_coordinator.service.approval_view import (
    ApprovalDetail,
    ApprovalSummary,
    detail,
    summary,
)
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.changes import change_of
from pilotage_coordinator.service.errors import Conflict, Denied, NotFound
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.signatures import person, proved
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import ExecutionId, Page, PageRequest, Request, shaped
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import ApprovalFilter, ApprovalRecord, PrincipalRecord

ApprovalId = Annotated[
    str,
    *shaped(
        r"apr_[0-9a-f]{32}",
        "this is no request's id, which is apr_ and 32 of 0-9 and a-f; `pilotage approval list` shows them",
    ),
]
Comment = Annotated[str, StringConstraints(max_length=2000)]


class ListApprovals(PageRequest):
    """Ask for requests, newest first: the open ones, or all of them; of one execution if given."""

    state: Literal["open", "all"] = "open"
    execution: ExecutionId | None = None


class ShowApproval(Request):
    """Ask for one request, with the plan that it is about."""

    approval: ApprovalId


class Decide(Request):
    """Answer a request, as a person who is asked.

    `proof` is the signature of the canonical JSON of `{"approval", "decision", "plan_digest"}` by `ssh-keygen -Y sign
    -n decision@pilotage`, with one of the keys that are registered for the caller.
    """

    approval: ApprovalId
    proof: Annotated[str, StringConstraints(max_length=LARGEST_SIGNATURE)] = ""
    comment: Comment = ""

    def subject(self) -> str:
        return self.approval


@verb("approval.list")
async def list_approvals(services: Services, caller: Caller, request: ListApprovals) -> Page[ApprovalSummary]:
    """List requests for approval, newest first."""
    chosen = ApprovalFilter(open=request.state == "open", execution=request.execution or "")
    page = await services.store.approvals.find(chosen, request.cursor, request.limit)
    shown = []
    for row in page.rows:
        if request.state == "open" and row.outcome:
            continue
        if await _sees(services, caller, row):
            shown.append(summary(row, await services.store.approvals.decisions(row.id)))
    return Page(items=shown, next=page.cursor)


@verb("approval.show")
async def show_approval(services: Services, caller: Caller, request: ShowApproval) -> ApprovalDetail:
    """Show one request: what is asked of whom, why, and the whole plan that would be approved."""
    return await _detail(services, caller, await _record(services, request.approval))


@verb("approval.approve")
async def approve(services: Services, caller: Caller, request: Decide) -> ApprovalSummary:
    """Approve what a request asks for; once enough persons have, it goes on."""
    return await _decide(services, caller, request, "approve")


@verb("approval.reject")
async def reject(services: Services, caller: Caller, request: Decide) -> ApprovalSummary:
    """Reject what a request asks for: one no ends it."""
    return await _decide(services, caller, request, "reject")


async def _decide(services: Services, caller: Caller, request: Decide, answer: Answer) -> ApprovalSummary:
    if caller.kind is not PrincipalKind.PERSON:
        raise Denied(
            f"{caller.principal} is {'an' if caller.kind is PrincipalKind.ASSISTANT else 'a'} {caller.kind.value}:"
            " only persons decide",
            fix=f"a person decides: pilotage approval show {request.approval}",
        )
    row = await _record(services, request.approval)
    if row.outcome:
        raise Conflict(f"{row.id} is {row.outcome} already: {row.reason}")
    key = _proved(await person(services, caller.principal), row, request.proof, answer)
    asked, scope = await _open(services, row)
    voter = await electorate.voter(services, caller.principal, row)
    sponsors = await electorate.sponsors(services, row.requesters)
    vote = replace(
        vote_of(asked, voter, sponsors), answer=answer, comment=request.comment.strip(), key=key, proof=request.proof
    )
    if answer == "approve" and scope is GateScope.EXECUTION:
        await _still_holds(services, caller, row)
    await _submit(services, caller, row, asked, vote)
    return summary(await _record(services, row.id), await services.store.approvals.decisions(row.id))


async def _submit(services: Services, caller: Caller, row: ApprovalRecord, asked: Asked, vote: Vote) -> None:
    standing = await electorate.standing(services, asked.votes, row)
    given = inputs.ApprovalAnswered(row.id, row.plan_digest, vote, standing)
    audit = allowed(
        services,
        caller,
        "approval.approve" if vote.answer == "approve" else "approval.reject",
        row.id,
        execution=row.execution,
        plan_digest=row.plan_digest,
        gate=row.gate,
        key=read_key(vote.key).fingerprint,
        on_behalf_of=vote.voice,
        self_approved=vote.alone,
        comment=vote.comment,
    )
    await services.runs.submit(row.execution, given, audit=audit)


def _proved(principal: PrincipalRecord, row: ApprovalRecord, proof: str, answer: Answer) -> str:
    """Return the key, as `TYPE BASE64`, that proves that the person said this; raises Denied."""
    statement = Statement(row.id, answer, row.plan_digest).signed_bytes()
    how = f"pilotage approval {answer} {row.id} signs it with your SSH key"
    return proved(principal, proof, statement, NAMESPACE, about=row.id, how=how)


async def _open(services: Services, row: ApprovalRecord) -> tuple[Asked, GateScope]:
    """Return the request as it stands in its execution; raises Conflict when it has its outcome meanwhile."""
    state = await services.runs.state(row.execution)
    for gate in state.gates.values():
        if gate.approval is not None and gate.approval.id == row.id:
            return gate.approval, gate.scope
    raise Conflict(f"{row.id} is not open any more", fix=f"pilotage approval show {row.id}")


async def _still_holds(services: Services, caller: Caller, row: ApprovalRecord) -> None:
    """Raise Conflict where something else would happen now than what is to be approved, and end the request then."""
    try:
        await services.runs.require_same(row.execution)
    except PlanDrifted as error:
        first = str(error).partition("\n")[0]
        given = inputs.ApprovalWithdrawn(row.id, "coordinator", f"the plan drifted: {_changes(str(error))}")
        audit = allowed(
            services, caller, "approval.withdraw", row.id, execution=row.execution, reason=str(error)[:1000]
        )
        await services.runs.submit(row.execution, given, audit=audit)
        raise Conflict(
            f"{first}\n{_changes(str(error))}",
            fix="nothing of it was done; ask whoever started it to plan and start it anew",
        ) from error


def _changes(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines()[1:] if line.startswith("  "))[:1000]


async def _record(services: Services, id: str) -> ApprovalRecord:
    try:
        return await services.store.approvals.get(id)
    except store_errors.NotFound as error:
        raise NotFound(f"there is no request {id}", fix="`pilotage approval list` shows those that are open") from error


async def _sees(services: Services, caller: Caller, row: ApprovalRecord) -> bool:
    try:
        record = await services.store.executions.get(row.execution)
    except store_errors.NotFound:
        return False
    return await services.subjects.sees_run(caller, "approval.read", record)


async def _detail(services: Services, caller: Caller, row: ApprovalRecord) -> ApprovalDetail:
    record = await services.store.executions.get(row.execution)
    planned = await services.plans.stored(row.plan_digest)
    decisions = await services.store.approvals.decisions(row.id)
    why_not = "" if row.outcome else await electorate.why_not(services, caller, row)
    me = await services.store.access.principal(caller.principal)
    askers = [each for each in await services.store.access.principals() if each.name in row.requesters]
    change = await change_of(services, row.execution)
    return detail(row, record, planned, decisions, askers, change, why_not, me.keys)
