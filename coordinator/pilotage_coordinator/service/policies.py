"""Operations on the policy: what may be done on hosts. Every version is kept, and each decision can be explained."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, StringConstraints

from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.compliance.rule import ComplianceRule
from pilotage_coordinator.domain.compliance.summary import asked_for, narrowed
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.policy.comparing import compared
from pilotage_coordinator.domain.policy.content import policy_content
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.question import Question, Verdict
from pilotage_coordinator.domain.policy.rule import Policy, Rule
from pilotage_coordinator.domain.policy.summary import restrictions
from pilotage_coordinator.domain.policy.testing import Tried, question_of_case, try_cases
from pilotage_coordinator.service.blueprints import FileName, Source
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Fault, Invalid, NotFound
from pilotage_coordinator.service.requested import ClassName
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Name, Page, PageRequest, Reason, Request, microseconds, rfc3339
from pilotage_coordinator.store.records import PolicyRecord

Text = Annotated[str, StringConstraints(max_length=1000)]
MEND = "mend the named places; `pilotage policy test FILE` checks again"


class ShowPolicy(Request):
    """Ask for the policy; `version` 0 is the one that counts."""

    version: Annotated[int, Field(ge=0)] = 0


class PolicyHistory(PageRequest):
    """Ask for the versions of the policy, newest first."""


class SetPolicy(Request):
    """Let the text of a policy count from now on.

    With `check` nothing is set: the answer says what it would change. `expected_version` refuses it when another
    version counts by now; without it, what counts is replaced.
    """

    source: Source
    file: FileName = "<request>"
    comment: Reason = ""
    check: bool = False
    expected_version: Annotated[int, Field(ge=0)] | None = None

    def subject(self) -> str:
        return self.file


class RollBackPolicy(Request):
    """Bring an earlier version back, as a new one."""

    version: Annotated[int, Field(ge=1)]
    comment: Reason = ""

    def subject(self) -> str:
        return f"version {self.version}"


class TestPolicy(Request):
    """Try the table of cases in a policy's text; without one, that of the policy which counts."""

    source: Source | None = None
    file: FileName = "<request>"


class ExplainPolicy(Request):
    """Ask what the policy says, and what every rule has to do with it.

    About the caller, unless `principal`, `kind` or `roles` say about whom. A host that is not known is made of `labels`
    and `environment`.
    """

    operation: Name
    host: Text = ""
    principal: Text = ""
    kind: Literal["person", "service", "assistant"] | None = None
    roles: list[Text] | None = None
    effect: Literal["read", "idempotent", "probe", "once"] = "once"
    destructive: bool = False
    irreversible: bool = False
    blueprint: Text = ""
    category: Text = ""
    labels: dict[str, str] = Field(default_factory=dict)
    environment: Text = ""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    change_class: ClassName | None = None
    at: Text = ""
    """A moment in RFC 3339; empty: now."""

    def subject(self) -> str:
        return self.operation


class RuleAnswer(Answer):
    """A rule; `restrictions` says in words when it matches."""

    name: str
    level: str
    decision: str
    description: str
    restrictions: list[str]


class ComplianceRuleAnswer(Answer):
    """A rule of compliance: in words, which runs it is about, and what must be true of them."""

    name: str
    enforce: str
    description: str
    restrictions: list[str]
    requires: list[str]


class PolicyVersion(Answer):
    """One version of the policy; `restores` is the earlier one that it brought back."""

    version: int
    set_at: str
    set_by: str
    comment: str
    restores: int | None


class PolicyAnswer(PolicyVersion):
    """A version of the policy, whole. `fault` says why the one that counts cannot be read, if so."""

    counts: bool
    source: str
    rules: list[RuleAnswer]
    compliance: list[ComplianceRuleAnswer]
    external: str
    fault: str


class RuleChange(Answer):
    """How a rule differs from the version before: added, removed or changed."""

    rule: str
    change: str
    details: list[str]


class AffectedAnswer(Answer):
    """An execution under way about which the new policy decides otherwise."""

    execution: str
    blueprint: str
    requested_by: str
    state: str
    text: str


class PolicySet(Answer):
    """The policy was set, or with `check` would be; `version` is its number."""

    version: int
    set: bool
    changes: list[RuleChange]
    affected: list[AffectedAnswer]
    cases: int
    """How many cases of its table were tried; all have passed."""


class CaseAnswer(Answer):
    """A case of the table; `fault` is empty where it passed."""

    name: str
    passed: bool
    decision: str
    rules: list[str]
    fault: str


class PolicyTested(Answer):
    """What came of the table of cases."""

    passed: int
    failed: int
    cases: list[CaseAnswer]


class ConsideredRule(Answer):
    """What a rule has to do with a question: yes, no, later (known when the step is due) or unsure."""

    rule: str
    level: str
    decision: str
    matches: str
    why: str
    decided: bool


class Explained(Answer):
    """What the policy says to a question, and why."""

    version: int
    decision: str
    rules: list[str]
    reasons: list[str]
    considered: list[ConsideredRule]


@verb("policy.show")
async def show_policy(services: Services, caller: Caller, request: ShowPolicy) -> PolicyAnswer:
    """Show the policy: the version that counts, or an earlier one."""
    record = await _record(services, request.version)
    counts = record.version == services.policies.version
    fault = services.policies.fault if counts else ""
    try:
        policy = await services.policies.read(record.source, f"version {record.version}")
    except BlueprintError as error:
        policy, fault = Policy(), fault or str(error.problems[0])
    return PolicyAnswer(
        **_version(record).model_dump(),
        counts=counts,
        source=record.source,
        rules=[_rule(each) for each in policy.rules],
        compliance=[_compliance(each) for each in policy.compliance],
        external=policy.external.url if policy.external else "",
        fault=fault,
    )


@verb("policy.history")
async def policy_history(services: Services, caller: Caller, request: PolicyHistory) -> Page[PolicyVersion]:
    """List the versions of the policy, newest first: who set them, when and why."""
    page = await services.store.policies.history(request.cursor, request.limit)
    return Page(items=[_version(each) for each in page.rows], next=page.cursor)


@verb("policy.set")
async def set_policy(services: Services, caller: Caller, request: SetPolicy) -> PolicySet:
    """Let a policy count from now on, and say whom that affects. One with an error is refused whole."""
    policy = await _read(services, request.source, request.file)
    return await _set(services, caller, "policy.set", policy, request, restores=None)


@verb("policy.rollback")
async def roll_back_policy(services: Services, caller: Caller, request: RollBackPolicy) -> PolicySet:
    """Bring an earlier version of the policy back, as a new version."""
    record = await _record(services, request.version)
    policy = await _read(services, record.source, f"version {record.version}")
    again = SetPolicy(source=record.source, file=f"version {record.version}", comment=request.comment)
    return await _set(services, caller, "policy.rollback", policy, again, restores=record.version)


@verb("policy.test")
async def test_policy(services: Services, caller: Caller, request: TestPolicy) -> PolicyTested:
    """Try the table of cases of a policy, without setting it."""
    if request.source is not None:
        policy = await _read(services, request.source, request.file)
    else:
        policy = _counting(services)
    tried = try_cases(Ruleset(policy), Expressions(), services.clock.now())
    cases = [
        CaseAnswer(
            name=each.case.name,
            passed=not each.fault,
            decision=each.verdict.decision.value,
            rules=list(each.verdict.rules),
            fault=each.fault,
        )
        for each in tried
    ]
    passed = sum(each.passed for each in cases)
    return PolicyTested(passed=passed, failed=len(cases) - passed, cases=cases)


@verb("policy.explain")
async def explain_policy(services: Services, caller: Caller, request: ExplainPolicy) -> Explained:
    """Say what the policy decides about a question, and what every rule has to do with it."""
    rules = Ruleset(_counting(services))
    question = _question(services, caller, request)
    expressions = Expressions()
    verdict = rules.judge(question, expressions)
    return Explained(
        version=services.policies.version,
        decision=verdict.decision.value,
        rules=list(verdict.rules),
        reasons=list(verdict.reasons),
        considered=_considered(rules, question, expressions, verdict),
    )


def _considered(rules: Ruleset, question: Question, expressions: Expressions, verdict: Verdict) -> list[ConsideredRule]:
    return [
        ConsideredRule(
            rule=rule.name,
            level=rule.level.value,
            decision=rule.decision.value,
            matches=answer.fit.value,
            why=answer.why,
            decided=rule.name in verdict.rules,
        )
        for rule, answer in rules.explain(question, expressions)
    ]


def _question(services: Services, caller: Caller, request: ExplainPolicy) -> Question:
    ask: dict[str, Any] = request.model_dump(mode="json", exclude_none=True)
    about_another = bool(request.principal or request.kind or request.roles is not None)
    if not about_another:
        ask |= {"principal": caller.principal, "kind": caller.kind.value, "roles": list(caller.roles)}
    ask["principal"] = ask["principal"] or "somebody"
    ask["class"] = ask.pop("change_class", "")
    at = ask.pop("at")
    host = services.policies.host(request.host) if request.host and not request.labels else None
    return question_of_case(ask, _moment(at) if at else services.clock.now(), host)


def _moment(text: str) -> int:
    try:
        return microseconds(datetime.fromisoformat(text).astimezone(UTC))
    except ValueError as error:
        raise Invalid(f"`{text[:40]}` is no moment", fix="write 2027-03-01T08:00:00Z") from error


async def _set(
    services: Services, caller: Caller, operation: str, policy: Policy, request: SetPolicy, restores: int | None
) -> PolicySet:
    tried = try_cases(Ruleset(policy), Expressions(), services.clock.now())
    if failed := [each for each in tried if each.fault]:
        raise _failing(failed)
    before = services.policies.version
    if request.expected_version is not None and request.expected_version != before:
        raise Invalid(
            f"the policy is at version {before}, not {request.expected_version}",
            fix="look at what has changed (pilotage policy history), and set it again",
        )
    changes = [
        RuleChange(rule=each.rule, change=each.change, details=list(each.details))
        for each in compared(services.policies.policy or Policy(), policy)
    ]
    affected = [
        AffectedAnswer(
            execution=each.execution,
            blueprint=each.blueprint,
            requested_by=each.requested_by,
            state=each.status,
            text=each.text,
        )
        for each in await services.policies.affected(policy)
    ]
    answer = PolicySet(version=before + 1, set=not request.check, changes=changes, affected=affected, cases=len(tried))
    subject = f"version {answer.version}"
    detail: dict[str, Any] = {
        "comment": request.comment,
        "rules": [f"{each.change} {each.rule}" for each in changes][:100],
        "affected": [each.execution for each in affected][:100],
        "check": request.check,
    }
    audit = allowed(services, caller, operation, subject, **detail)
    if request.check:
        await services.store.audit.append(*audit)
        return answer
    record = PolicyRecord(
        answer.version,
        request.source,
        policy_content(policy),
        services.clock.now(),
        caller.principal,
        request.comment,
        restores,
    )
    await services.policies.put(record, audit)
    return answer


def _failing(failed: list[Tried]) -> Invalid:
    problems = [Fault(f"case `{each.case.name}`: {each.fault}") for each in failed]
    return Invalid(
        f"{len(failed)} of the policy's own cases fail, so it was not set: {problems[0].message}",
        problems=problems,
        fix="mend the rules, or the cases if they are what is wrong",
    )


async def _read(services: Services, source: str, file: str) -> Policy:
    try:
        return await services.policies.read(source, file)
    except BlueprintError as error:
        count = len(error.problems)
        raise Invalid(
            f"the policy has {count} problem{'s' if count != 1 else ''}, and the one before stays",
            problems=[Fault.of_blueprint(each) for each in error.problems],
            fix=MEND,
        ) from error
    except DomainError as error:
        raise Invalid(f"the policy cannot be read: {error}", fix=MEND) from error


async def _record(services: Services, version: int) -> PolicyRecord:
    if version:
        return await services.store.policies.get(version)
    record = await services.store.policies.newest()
    if record is None:
        raise _none()
    return record


def _counting(services: Services) -> Policy:
    policy = services.policies.policy
    if policy is None:
        raise _none()
    return policy


def _none() -> NotFound:
    return NotFound("there is no policy: everything is allowed", fix="set one: pilotage policy set FILE")


def _version(record: PolicyRecord) -> PolicyVersion:
    return PolicyVersion(
        version=record.version,
        set_at=rfc3339(record.set_at),
        set_by=record.set_by,
        comment=record.comment,
        restores=record.restores,
    )


def _rule(rule: Rule) -> RuleAnswer:
    return RuleAnswer(
        name=rule.name,
        level=rule.level.value,
        decision=rule.decision.value,
        description=rule.description,
        restrictions=list(restrictions(rule)),
    )


def _compliance(rule: ComplianceRule) -> ComplianceRuleAnswer:
    return ComplianceRuleAnswer(
        name=rule.name,
        enforce=rule.enforce.value,
        description=rule.description,
        restrictions=list(narrowed(rule)),
        requires=list(asked_for(rule.require)),
    )
