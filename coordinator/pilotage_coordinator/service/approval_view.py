"""A request for approval as people are shown it: what is asked of whom, who has answered, and the plan behind it."""

from collections.abc import Sequence

from pilotage_proto.decision import NAMESPACE, Statement

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.planning.view import view_plan
from pilotage_coordinator.service.execution_view import ChangeRecordAnswer
from pilotage_coordinator.service.plan_view import AskedAnswer, PlanAnswer, asked_answer, plan_answer
from pilotage_coordinator.service.ports import Planned
from pilotage_coordinator.service.wire import Answer, rfc3339
from pilotage_coordinator.store.records import ApprovalRecord, DecisionRecord, ExecutionRecord, PrincipalRecord


class DecisionAnswer(Answer):
    """How one person answered; `counts` is false for who was disabled, or lost the role, before enough had agreed."""

    person: str
    answer: str
    at: str
    on_behalf_of: str
    """Who has lent them their say; empty for their own."""
    comment: str
    self_approved: bool
    """The only person there is approved what they had asked for."""
    counts: bool


class ApprovalSummary(Answer):
    """A request in a list. `state` is `open`, or its outcome: approved, denied, expired or cancelled."""

    id: str
    state: str
    execution: str
    plan_digest: str
    gate: str
    scope: str
    """What waits: `execution` (everything), `step`, `batch` (a rollout's next hosts) or `run` (a step that asks)."""
    step: str
    host: str
    prompt: str
    asked: AskedAnswer
    asks: list[str]
    """Who may answer by now, escalations included; empty: whoever may decide."""
    requested_by: list[str]
    """Who may not approve it: they asked."""
    asked_at: str
    expires_at: str
    ended_at: str
    reason: str
    decisions: list[DecisionAnswer]


class ApprovalAsker(Answer):
    """Who asked for what is to be approved: `kind` is person, service or assistant."""

    name: str
    kind: str
    acts_for: str
    """The person who answers for an assistant; empty for others."""


class ApprovalDetail(ApprovalSummary):
    """One request with all that a person needs to know to decide."""

    askers: list[ApprovalAsker]
    """Those of `requested_by`, and what they are."""
    change: ChangeRecordAnswer
    """What it is for, as far as whoever started it said so."""
    blueprint: str
    version: str
    name: str
    irreversible: list[str]
    """Paths of the steps that cannot be undone."""
    destructive: list[str]
    hosts: list[str]
    """Every host that any step may touch."""
    policy: list[str]
    """The rules of the policy that ask, in words."""
    plan: PlanAnswer
    namespace: str
    """Of the signature by which a person decides."""
    to_approve: str
    """What is signed for a yes, exactly."""
    to_reject: str
    why_not: str
    """Why the caller cannot answer; empty where they can."""
    keys: list[str]
    """The public keys that are registered for the caller: one of them must sign."""


def summary(row: ApprovalRecord, decisions: Sequence[DecisionRecord]) -> ApprovalSummary:
    """Return a request as it stands in a list."""
    return ApprovalSummary(
        id=row.id,
        state=row.outcome or "open",
        execution=row.execution,
        plan_digest=row.plan_digest,
        gate=row.gate,
        scope=row.scope,
        step=row.path if row.scope != "execution" else "",
        host=row.host if row.scope == "run" else "",
        prompt=row.prompt,
        asked=asked_answer(Gate.from_json(row.content)),
        asks=list(row.asks),
        requested_by=list(row.requesters),
        asked_at=rfc3339(row.asked_at),
        expires_at=rfc3339(row.expires_at),
        ended_at=rfc3339(row.ended_at or 0),
        reason=row.reason,
        decisions=[_decision(each) for each in decisions],
    )


def detail(
    row: ApprovalRecord,
    record: ExecutionRecord,
    planned: Planned,
    decisions: Sequence[DecisionRecord],
    askers: Sequence[PrincipalRecord],
    change: ChangeRecordAnswer,
    why_not: str,
    keys: Sequence[str],
) -> ApprovalDetail:
    """Return a request with its plan."""
    view = view_plan(planned.plan)
    asking = [each for each in planned.plan.policy.rulings if each.decision == "require_approval"]
    return ApprovalDetail(
        **summary(row, decisions).model_dump(),
        askers=[ApprovalAsker(name=each.name, kind=each.kind, acts_for=each.sponsor) for each in askers],
        change=change,
        blueprint=record.blueprint_id,
        version=record.blueprint_version,
        name=record.name,
        irreversible=list(view.irreversible),
        destructive=list(view.destructive),
        hosts=list(view.hosts),
        policy=[f"{', '.join(each.rules)}: {', '.join(sorted(each.steps))}" for each in asking],
        plan=plan_answer(planned),
        namespace=NAMESPACE,
        to_approve=Statement(row.id, "approve", row.plan_digest).signed_bytes().decode(),
        to_reject=Statement(row.id, "reject", row.plan_digest).signed_bytes().decode(),
        why_not=why_not,
        keys=list(keys),
    )


def _decision(row: DecisionRecord) -> DecisionAnswer:
    return DecisionAnswer(
        person=row.person,
        answer=row.answer,
        at=rfc3339(row.at),
        on_behalf_of=row.voice,
        comment=row.comment,
        self_approved=row.alone,
        counts=row.dropped_at is None,
    )
