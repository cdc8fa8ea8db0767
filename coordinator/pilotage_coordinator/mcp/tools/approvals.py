"""Tools about requests for approval. Those that decide are for persons, who prove each answer.

What decides is the signature, made where the person is: a token that was borrowed is worth nothing without it.
"""

from typing import Annotated, Literal

from pilotage_proto.sshsig import LARGEST_SIGNATURE
from pydantic import Field, StringConstraints

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import Paged, Reason
from pilotage_coordinator.mcp.tools.names import refuse_other_names
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.mcp.untrusted import Fence
from pilotage_coordinator.service import approvals
from pilotage_coordinator.service.approval_view import ApprovalSummary
from pilotage_coordinator.service.wire import Answer, ExecutionId, Request

Approver = Annotated[
    str, StringConstraints(max_length=253), Field(description="You, or a role that you hold; nobody else.")
]
Proof = Annotated[
    str,
    StringConstraints(max_length=LARGEST_SIGNATURE),
    Field(description="The SSH signature by which a person proves this very answer. Without it nothing is decided."),
]


class PendingApprovals(Paged):
    """Which requests to list."""

    execution_id: Annotated[ExecutionId | None, Field(description="Only those of this execution.")] = None
    state: Annotated[Literal["open", "all"], Field(description="`all`: also those that have their outcome.")] = "open"
    approver: Approver = ""


class Decide(Request):
    """A person's answer to a request."""

    approval_id: Annotated[approvals.ApprovalId, Field(description="The request's id: apr_ and 32 digits.")]
    approver: Approver = ""
    proof: Proof = ""


class Approve(Decide):
    """A yes."""

    comment: Reason = ""


class Reject(Decide):
    """A no."""

    reason: Reason = ""


class ApprovalRow(Answer):
    """A request for approval. What it asks may hold output of hosts."""

    approval_id: str
    state: str
    execution_id: str
    plan_digest: str
    scope: str
    step: str
    host: str
    asks: str
    required: int
    of: list[str]
    requested_by: list[str]
    asked_at: str
    expires_at: str
    answers: list[str]
    command: str
    """To be run by a person who may decide; `pilotage approval show` before it shows the whole plan."""


class ApprovalRows(Answer):
    """Requests, newest first; `next` is empty at the end."""

    items: list[ApprovalRow]
    next: str


@tool("get_pending_approvals", "List what waits for approval", Toolset.READ, "approval.list")
async def get_pending_approvals(call: Call, request: PendingApprovals) -> ApprovalRows:
    """List requests for approval: what is asked of whom, who has answered, and how a person decides."""
    refuse_other_names(call, "approver", request.approver)
    page = await call.ask(
        approvals.list_approvals,
        approvals.ListApprovals(
            cursor=request.cursor, limit=request.limit, state=request.state, execution=request.execution_id
        ),
    )
    mine = {call.caller.principal, *(f"role:{each}" for each in call.caller.roles)}
    rows = [each for each in page.items if not request.approver or not each.asks or mine & set(each.asks)]
    return ApprovalRows(items=[_row(call.fence, each) for each in rows], next=page.next)


@tool("approve_workflow_step", "Approve", Toolset.RUN, "approval.approve", destructive=True, open_world=True)
async def approve_workflow_step(call: Call, request: Approve) -> ApprovalRow:
    """Approve a request, as the person who is asked, with a signature that only this person can make.

    Without `proof` nothing is decided, and the request stays open: the refusal names the command that signs.
    """
    refuse_other_names(call, "approver", request.approver)
    asked = approvals.Decide(approval=request.approval_id, proof=request.proof, comment=request.comment)
    return _row(call.fence, await call.ask(approvals.approve, asked))


@tool("reject_workflow_step", "Reject", Toolset.RUN, "approval.reject", destructive=True)
async def reject_workflow_step(call: Call, request: Reject) -> ApprovalRow:
    """Reject a request, as the person who is asked, with a signature that only this person can make."""
    refuse_other_names(call, "approver", request.approver)
    asked = approvals.Decide(approval=request.approval_id, proof=request.proof, comment=request.reason)
    return _row(call.fence, await call.ask(approvals.reject, asked))


def _row(fence: Fence, row: ApprovalSummary) -> ApprovalRow:
    return ApprovalRow(
        approval_id=row.id,
        state=row.state,
        execution_id=row.execution,
        plan_digest=row.plan_digest,
        scope=row.scope,
        step=row.step,
        host=row.host,
        asks=fence("", row.prompt, 1000),
        required=row.asked.required,
        of=row.asks,
        requested_by=row.requested_by,
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        answers=[f"{each.person}: {each.answer}" for each in row.decisions],
        command=f"pilotage approval approve {row.id}" if row.state == "open" else "",
    )
