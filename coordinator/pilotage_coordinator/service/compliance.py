"""Operations on compliance: what the rules say of blueprints now, and what they said of everything that was started."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from pydantic import AwareDatetime, model_validator

from pilotage_coordinator.domain.compliance.finding import Outcome, Result
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.runtime.compliance_record import read_checked
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.compliance_view import ComplianceFinding, findings_of
from pilotage_coordinator.service.errors import Invalid
from pilotage_coordinator.service.plans import Selector
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Name, Request, microseconds, rfc3339
from pilotage_coordinator.store.records import ApprovalFilter, ComplianceFilter, ComplianceRecord

MOST_CHECKS: Final = 1_000
"""Checks of one report that are told in full; all are counted."""
_AT_ONCE: Final = 200
_EVER: Final = 2**62


class CheckCompliance(Request):
    """Ask what the rules of compliance say of one stored blueprint, or of all."""

    blueprint: Name | None = None
    """`id`, `id@1` or `id@1.2.0`."""
    all: bool = False
    limit_to: Selector = ""
    """The hosts to look at; without it, those of the newest execution."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "CheckCompliance":
        if (self.blueprint is None) is not self.all:
            raise ValueError("name a blueprint, or ask for all of them")
        return self

    def subject(self) -> str:
        return self.blueprint or "all blueprints"


class ReportCompliance(Request):
    """Ask what was checked in a period: from `since` on, before `until`; of one blueprint or of all."""

    blueprint: Name | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def subject(self) -> str:
        return self.blueprint or "all blueprints"


class BlueprintCheck(Answer):
    """What the rules say of a blueprint: passed, warned, blocked, or nothing (no rule is about it)."""

    blueprint: str
    version: str
    digest: str
    outcome: str
    hosts: str
    """Which hosts were looked at, in words; empty: which ones it would touch is not known."""
    findings: list[ComplianceFinding]
    fault: str
    """Why it could not be checked, if so; then its outcome is `unknown`."""


class ComplianceChecked(Answer):
    """What the rules of one version of the policy say now."""

    checked_at: str
    policy: int
    rules: int
    """How many rules of compliance there are."""
    blueprints: list[BlueprintCheck]


class ComplianceDecision(Answer):
    """How a person answered a request for approval of an execution."""

    approval: str
    person: str
    answer: str
    at: str


class ComplianceCheck(Answer):
    """One check: of an execution before it began, or, without one, of what it has kept from being started."""

    at: str
    stage: str
    execution: str
    version: str
    digest: str
    plan_digest: str
    principal: str
    principal_kind: str
    policy: int
    outcome: str
    findings: list[ComplianceFinding]
    decisions: list[ComplianceDecision]


class RuleTally(Answer):
    """How often what a rule asks for held, did not, or was not known."""

    rule: str
    passed: int
    failed: int
    unknown: int


class BlueprintReport(Answer):
    """What was checked of one blueprint. `nothing`: no rule was about it; `unchecked`: there were no rules then."""

    blueprint: str
    passed: int
    warned: int
    nothing: int
    blocked: int
    """Plans and starts that a rule refused."""
    unchecked: int
    rules: list[RuleTally]
    checks: list[ComplianceCheck]
    """Oldest first."""


class ComplianceReport(Answer):
    """A report about a period. Times are empty where it has no such end."""

    since: str
    until: str
    made_at: str
    blueprints: list[BlueprintReport]
    left_out: int
    """Checks that are counted, and not told in full."""


@verb("compliance.check")
async def check_compliance(services: Services, caller: Caller, request: CheckCompliance) -> ComplianceChecked:
    """Check one stored blueprint, or all, against the rules of compliance, with what was looked at."""
    policy = services.policies.policy
    if request.blueprint is not None:
        id, _, version = request.blueprint.partition("@")
        found = [await _check(services, id, version, request.limit_to)]
    else:
        found = []
        for summary in await services.store.blueprints.list():
            try:
                found.append(await _check(services, summary.id, "", request.limit_to))
            except DomainError as error:
                found.append(_unread(summary.id, error))
    outcomes = {each.blueprint: each.outcome for each in found}
    await services.store.audit.append(
        *allowed(
            services,
            caller,
            "compliance.check",
            request.subject(),
            policy=services.policies.version,
            limit_to=request.limit_to,
            outcomes=dict(sorted(outcomes.items())[:200]),
        )
    )
    return ComplianceChecked(
        checked_at=rfc3339(services.clock.now()),
        policy=services.policies.version,
        rules=len(policy.compliance) if policy is not None else 0,
        blueprints=found,
    )


@verb("compliance.report")
async def report_compliance(services: Services, caller: Caller, request: ReportCompliance) -> ComplianceReport:
    """Report what was checked in a period: every execution and every refusal, blueprint by blueprint, with evidence."""
    since = microseconds(request.since) if request.since else 0
    until = microseconds(request.until) if request.until else _EVER
    if since >= until:
        raise Invalid("the period ends before it begins", fix="let --from be earlier than --to")
    chosen = ComplianceFilter(request.blueprint or "", since, until)
    found: dict[str, _Gathered] = {}
    told = left_out = 0
    async for record in _records(services, chosen):
        gathered = found.setdefault(record.blueprint, _Gathered())
        check = await _told(services, record, full=told < MOST_CHECKS)
        gathered.count(record, check.findings)
        if told < MOST_CHECKS:
            gathered.checks.append(check)
            told += 1
        else:
            left_out += 1
    for each in await services.store.compliance.unchecked(chosen):
        found.setdefault(each.blueprint, _Gathered()).unchecked = each.count
    return ComplianceReport(
        since=rfc3339(since),
        until=rfc3339(until) if request.until else "",
        made_at=rfc3339(services.clock.now()),
        blueprints=[gathered.report(blueprint) for blueprint, gathered in sorted(found.items())],
        left_out=left_out,
    )


async def _check(services: Services, id: str, version: str, limit_to: str) -> BlueprintCheck:
    found = await services.compliance.check(id, version, limit_to)
    return BlueprintCheck(
        blueprint=found.ref.id,
        version=found.ref.version,
        digest=found.ref.digest,
        outcome=found.checked.outcome.value,
        hosts=found.hosts,
        findings=findings_of(found.checked),
        fault="",
    )


def _unread(blueprint: str, error: DomainError) -> BlueprintCheck:
    """Return the word on a blueprint that could not be checked."""
    return BlueprintCheck(
        blueprint=blueprint, version="", digest="", outcome="unknown", hosts="", findings=[], fault=str(error)[:1000]
    )


async def _records(services: Services, chosen: ComplianceFilter) -> AsyncIterator[ComplianceRecord]:
    cursor = ""
    while True:
        page = await services.store.compliance.find(chosen, cursor, _AT_ONCE)
        for record in page.rows:
            yield record
        cursor = page.cursor
        if not cursor:
            return


@dataclass(slots=True)
class _Gathered:
    """What a report says of one blueprint, as it is counted."""

    unchecked: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    rules: dict[str, dict[str, int]] = field(default_factory=dict)
    checks: list[ComplianceCheck] = field(default_factory=list)

    def count(self, record: ComplianceRecord, findings: list[ComplianceFinding]) -> None:
        self.outcomes[record.outcome] = self.outcomes.get(record.outcome, 0) + 1
        for each in findings:
            tally = self.rules.setdefault(each.rule, {})
            tally[each.result] = tally.get(each.result, 0) + 1

    def report(self, blueprint: str) -> BlueprintReport:
        outcomes = {each.value: self.outcomes.get(each.value, 0) for each in Outcome}
        rules = [
            RuleTally(rule=rule, **{each.value: tally.get(each.value, 0) for each in Result})
            for rule, tally in sorted(self.rules.items())
        ]
        return BlueprintReport(
            blueprint=blueprint, unchecked=self.unchecked, rules=rules, checks=self.checks, **outcomes
        )


async def _told(services: Services, record: ComplianceRecord, *, full: bool) -> ComplianceCheck:
    """Return a check; only a `full` one says how people decided."""
    return ComplianceCheck(
        at=rfc3339(record.at),
        stage=record.stage,
        execution=record.execution,
        version=record.version,
        digest=record.digest,
        plan_digest=record.plan_digest,
        principal=record.principal,
        principal_kind=record.principal_kind,
        policy=record.policy,
        outcome=record.outcome,
        findings=findings_of(read_checked(record.content)),
        decisions=await _decisions(services, record.execution) if full and record.execution else [],
    )


async def _decisions(services: Services, execution: str) -> list[ComplianceDecision]:
    """Return how people answered the execution's requests for approval; they go with it in retention."""
    found: list[ComplianceDecision] = []
    page = await services.store.approvals.find(ApprovalFilter(execution=execution), "", 100)
    for approval in page.rows:
        for each in await services.store.approvals.decisions(approval.id):
            if each.dropped_at is None:
                at = rfc3339(each.at)
                found.append(ComplianceDecision(approval=approval.id, person=each.person, answer=each.answer, at=at))
    return found
