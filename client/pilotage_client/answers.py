"""What a coordinator answers, as typed dictionaries. Times are RFC 3339 in UTC, empty for "not yet"."""

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar

Json: TypeAlias = Any
"""Whatever JSON holds."""

T = TypeVar("T")


class Page(TypedDict, Generic[T]):
    """A part of a list; `next` is the cursor of the part after it, empty at the end."""

    items: list[T]
    next: str


class BlueprintSummary(TypedDict):
    """A blueprint in a list."""

    id: str
    version: str
    name: str
    description: str
    digest: str
    added_at: str
    added_by: str


class Parameter(TypedDict):
    """A parameter that a blueprint asks for."""

    name: str
    type: str
    required: bool
    default: Json
    description: str
    choices: list[Json]
    choices_from: str
    sensitive: bool


class Choice(TypedDict):
    """One value for a parameter, and the hosts that have it."""

    value: Json
    hosts: list[str]


class SilentHost(TypedDict):
    """A host that told nothing, or not all, and why."""

    host: str
    reason: str


class Choices(TypedDict):
    """What can be chosen for a parameter."""

    parameter: str
    asked: str
    items: list[Choice]
    left_out: int
    incomplete: list[SilentHost]


class StepOutline(TypedDict):
    """A step of a blueprint, and what is inside it."""

    id: str
    name: str
    kind: str
    type: str
    calls: str
    dependencies: list[str]
    steps: list["StepOutline"]


class BlueprintDetail(BlueprintSummary):
    """One blueprint, whole."""

    category: str
    tags: list[str]
    owner: str
    documentation: str
    versions: list[str]
    parameters: list[Parameter]
    steps: list[StepOutline]
    finally_steps: list[StepOutline]
    source: str


class ValidatedBlueprint(TypedDict):
    """A blueprint that holds; `expanded` is its normalised form as YAML."""

    id: str
    version: str
    name: str
    steps: int
    expanded: str


class Validated(TypedDict):
    """Every blueprint of a file."""

    items: list[ValidatedBlueprint]


class Added(TypedDict):
    """What a file brought into the library."""

    items: list[BlueprintSummary]


class Asked(TypedDict):
    """An approval that is asked for: `required` of `of`, where an empty `of` is whoever may decide."""

    required: int
    of: list[str]
    source: str
    description: str
    comment: bool
    timeout: int
    """Microseconds."""
    on_timeout: str
    escalate: list[str]


class Wave(TypedDict):
    """Hosts of one batch of a rollout; then a wait (microseconds), a gate and an approval, if there are any."""

    number: int
    hosts: list[str]
    wait: int
    gate: str
    approval: Asked | None


class Change(TypedDict):
    """One thing that would happen on a host."""

    action: str
    subject: str
    before: str | None
    after: str | None
    note: str


class Preview(TypedDict):
    """What would change on one host, for one item where the step loops."""

    host: str
    item: str
    changes: list[Change]
    complete: bool
    note: str


class Health(TypedDict):
    """A health gate, in microseconds."""

    stable: int
    within: int
    every: int


class PlannedItem(TypedDict):
    """One item of a loop on one host, by its key, with the parameters that depend on it."""

    key: str
    parameters: dict[str, Json]


class PlannedHost(TypedDict):
    """What a step's expressions come to on one host (empty: the coordinator), as far as a plan can know.

    `{"run_time": TEMPLATE}` stands for what it cannot know, `{"sensitive": HMAC}` for what nobody is shown. `items` is
    None without a loop, and where the items are known at run time only.
    """

    host: str
    skipped: bool
    parameters: dict[str, Json]
    items: list[PlannedItem] | None


class PlanStep(TypedDict):
    """One step of a plan."""

    path: str
    name: str
    kind: str
    type: str
    effect: str
    place: str
    destructive: bool
    irreversible: bool
    approvals: list[Asked]
    run_once: bool
    dependencies: list[str]
    when: str
    hosts_from: str
    waves: list[Wave]
    max_parallel: int
    max_failures: int | None
    rollout_on_failure: str
    order_by: str
    health: Health | None
    loops: bool
    max_items: int
    parameters: dict[str, Json]
    hosts: list[PlannedHost]
    run_time: list[str]
    undo: str
    on_failure: str
    previews: list[Preview]
    refresh_steps: list["PlanStep"]
    steps: list["PlanStep"]
    finally_steps: list["PlanStep"]
    analysis_steps: list["PlanStep"]


class Note(TypedDict):
    """Something to know before saying yes."""

    message: str
    step: str
    host: str


class ComplianceFinding(TypedDict):
    """One thing that a rule asks for: `result` is passed, failed or unknown, and the evidence what was looked at."""

    rule: str
    enforce: str
    requirement: str
    result: str
    message: str
    fix: str
    evidence: list[dict[str, Json]]
    left_out: int


class Ruling(TypedDict):
    """What the policy says about some steps (by path), and the rules that decided."""

    decision: str
    rules: list[str]
    steps: list[str]


class Plan(TypedDict):
    """A plan; `digest` names it, and starting that digest does exactly this."""

    digest: str
    blueprint: str
    version: str
    name: str
    blueprint_digest: str
    made_at: str
    targets: list[str]
    parameters: dict[str, Json]
    on_failure: str
    deadline: int
    approvals: list[Asked]
    steps: list[PlanStep]
    finally_steps: list[PlanStep]
    rollback_steps: list[PlanStep]
    policy: list[Ruling]
    compliance: list[ComplianceFinding]
    notes: list[Note]
    changes_anything: bool
    step_runs: int
    most_step_runs: int
    secrets: list[str]


class Started(TypedDict):
    """An execution was started; `repeated`: by an earlier request with the same idempotency key."""

    execution: str
    plan_digest: str
    repeated: bool


class ExecutionSummary(TypedDict):
    """An execution in a list. `name` is what people call its blueprint, `counts` holds step runs by state."""

    id: str
    blueprint: str
    version: str
    name: str
    plan_digest: str
    state: str
    reason: str
    requested_by: str
    created_at: str
    started_at: str
    ended_at: str
    counts: dict[str, int]
    warnings: list[str]


class StepRun(TypedDict):
    """One step on one host (empty: the coordinator), for one item (empty: no loop)."""

    step: str
    name: str
    host: str
    item: str
    state: str
    waits_for: str
    detail: str
    attempts: int
    started_at: str
    ended_at: str
    error: str
    failure_kind: str
    outputs: dict[str, Json]
    evidence: dict[str, Json]


class Gate(TypedDict):
    """A gate that somebody must release; with `approval`, persons must approve."""

    name: str
    step: str
    host: str
    prompt: str
    opened_at: str
    approval: str
    """Id of the request that is answered; empty where the gate is released."""
    asks: str
    """Who must agree, in words."""
    agreed: list[str]
    expires_at: str


class ChangeRecord(TypedDict):
    """What an execution was started for; and how the change was closed, all empty while it is open."""

    change_class: str
    reference: str
    reason: str
    outcome: str
    note: str
    closed_at: str
    closed_by: str


class ExecutionDetail(ExecutionSummary):
    """One execution, whole; `sequence` is that of the newest event in it."""

    sequence: int
    parameters: dict[str, Json]
    outputs: dict[str, Json]
    runs: list[StepRun]
    runs_omitted: int
    gates: list[Gate]
    change: ChangeRecord | None


class Event(TypedDict):
    """One event of an execution's history."""

    execution: str
    sequence: int
    at: str
    type: str
    data: dict[str, Json]


class Progress(TypedDict):
    """How far a running step is, as it says itself; `fraction` from 0 to 1, or None."""

    step: str
    host: str
    item: str
    fraction: float | None
    text: str


class Watched(TypedDict):
    """One thing seen while watching."""

    event: Event | None
    progress: list[Progress]


class Replayed(TypedDict):
    """How an execution stood, and the event that brought it there."""

    execution: ExecutionDetail
    event: Event | None


class ScheduleSettings(TypedDict, total=False):
    """What can be said of a schedule; exactly one of `cron`, `every` and `at` says when a new one is due.

    `at`, `start` and `end` are RFC 3339, or times of the wall clock in `timezone`; spans are texts such as `10m`.
    """

    cron: str
    every: str
    at: str
    timezone: str
    start: str
    end: str
    parameters: Mapping[str, Json]
    parameter_texts: Mapping[str, str]
    limit_to: str
    overlap: Literal["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"]
    catchup: str
    jitter: str
    count: int
    pause_on_failure: bool
    reason: str
    reference: str
    change_class: Literal["standard", "normal", "emergency"] | None


class ScheduleAnswer(TypedDict):
    """A schedule. Exactly one of `cron`, `every` and `at` is not empty; `next_run` is empty when nothing will start."""

    id: str
    name: str
    state: Literal["active", "paused", "disabled", "stopped", "finished", "cancelled"]
    note: str
    owner: str
    blueprint: str
    parameters: dict[str, Json]
    limit_to: str
    hosts: list[str]
    words: str
    cron: str
    every: str
    at: str
    timezone: str
    start: str
    end: str
    overlap: Literal["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"]
    catchup: str
    jitter: str
    delay: str
    count: int
    runs: int
    pause_on_failure: bool
    reason: str
    reference: str
    change_class: Literal["standard", "normal", "emergency"] | None
    next_run: str
    next_run_local: str
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str
    warning: str


class FiringAnswer(TypedDict):
    """A time of a schedule and what became of it."""

    schedule: str
    nominal: str
    local: str
    cause: Literal["time", "person"]
    outcome: Literal["ran", "waiting", "skipped", "missed"]
    reason: str
    execution: str
    execution_state: str
    recorded_at: str


class UpcomingTime(TypedDict):
    """A time to come."""

    schedule: str
    name: str
    blueprint: str
    nominal: str
    runs_at: str
    local: str
    timezone: str
    note: str


class UpcomingTimes(TypedDict):
    """Times to come, soonest first."""

    items: list[UpcomingTime]


class ScheduleExplained(TypedDict):
    """A cron expression in words."""

    words: str
    clock: str
    upcoming: list[UpcomingTime]


class LogLine(TypedDict):
    """One line of a step's log. What hosts say is data: never trust it."""

    cursor: str
    at: str
    step: str
    host: str
    item: str
    kind: str
    attempt: int
    stream: str
    text: str


class Token(TypedDict):
    """A join token, shown once, and the command to run on the machine that joins."""

    token: str
    expires_at: str
    command: str


class HostSummary(TypedDict):
    """A host in a list; `state` is online, offline, quarantined or revoked."""

    id: str
    name: str
    state: str
    state_reason: str
    labels: dict[str, Json]
    environment: str
    agent_version: str
    joined_at: str
    last_seen_at: str
    last_backup_at: str
    """When the newest good backup of it began; empty without one."""
    last_drill_at: str
    """When the newest drill began that its backups passed; empty without one."""


class HostProof(TypedDict):
    """A backup or a drill of a host: which step run it was, when it began, and what it told (snapshot_id, rto_s...)."""

    at: str
    execution: str
    step: str
    item: str
    detail: dict[str, Json]


class HostDetail(HostSummary):
    """One host, whole."""

    last_backup: HostProof | None
    last_failed_backup: HostProof | None
    last_drill: HostProof | None
    last_failed_drill: HostProof | None

    variables: dict[str, Json]
    facts: dict[str, Json]
    step_types: list[dict[str, Json]]
    quarantined_plugins: list[dict[str, Json]]


class SecretGrant(TypedDict, total=False):
    """Who may be given a secret's value; what is left out limits nothing."""

    step_types: list[str]
    blueprints: list[str]
    categories: list[str]
    environments: list[str]
    hosts: str


class SecretGranted(TypedDict):
    """Who may be given a secret's value now; `granted_to` says each grant in words."""

    name: str
    grants: list[SecretGrant]
    granted_to: list[str]


class Secret(SecretGranted):
    """What may be known of a secret; each value that is set is a new `version`."""

    reference: str
    version: int
    updated_at: str
    updated_by: str


class SecretStored(SecretGranted):
    """A secret was stored; `new` is false when it replaced one."""

    reference: str
    new: bool


class SecretsExported(TypedDict):
    """Every secret in one file of age, in base64."""

    count: int
    encrypted_base64: str


class SecretRemoved(TypedDict):
    """A secret was removed."""

    name: str


class Decision(TypedDict):
    """How one person answered a request for approval; `counts` is false for who was removed before its end."""

    person: str
    answer: Literal["approve", "reject"]
    at: str
    on_behalf_of: str
    comment: str
    self_approved: bool
    counts: bool


class ApprovalSummary(TypedDict):
    """A request for approval in a list; `state` is open, approved, denied, expired or cancelled."""

    id: str
    state: str
    execution: str
    plan_digest: str
    gate: str
    scope: Literal["execution", "step", "batch", "run"]
    step: str
    host: str
    prompt: str
    asked: Asked
    asks: list[str]
    """Who may answer by now; empty: whoever may decide."""
    requested_by: list[str]
    """Who may not approve it: they asked."""
    asked_at: str
    expires_at: str
    ended_at: str
    reason: str
    decisions: list[Decision]


class ApprovalAsker(TypedDict):
    """Who asked for what is to be approved."""

    name: str
    kind: Literal["person", "service", "assistant"]
    acts_for: str
    """The person who answers for an assistant; empty for others."""


class ApprovalDetail(ApprovalSummary):
    """One request for approval with all that a person needs to know to decide."""

    askers: list[ApprovalAsker]
    change: ChangeRecord
    blueprint: str
    version: str
    name: str
    irreversible: list[str]
    destructive: list[str]
    hosts: list[str]
    policy: list[str]
    plan: Plan
    namespace: str
    to_approve: str
    """What is signed for a yes, exactly."""
    to_reject: str
    why_not: str
    """Why the caller cannot answer; empty where they can."""
    keys: list[str]
    """The public keys that are registered for the caller."""


class Delegation(TypedDict):
    """A say on approvals that a person has lent to another until a date."""

    id: str
    delegator: str
    delegate: str
    begins_at: str
    ends_at: str
    reason: str


class Notification(TypedDict):
    """A notification and its delivery; `next_try_at` is empty unless it waits, `ended_at` while it does."""

    id: str
    execution: str
    step: str
    host: str
    item: str
    channel: str
    severity: str
    title: str
    text: str
    recorded_at: str
    state: Literal["waiting", "delivered", "dead"]
    attempts: int
    next_try_at: str
    ended_at: str
    error: str


class SeenHead(TypedDict):
    """A place of the audit log that somebody saw earlier."""

    sequence: int
    hash: str


class Witness(TypedDict):
    """The newest head that a host has seen."""

    host: str
    sequence: int


class AuditVerified(TypedDict):
    """What checking the audit log found: `sound`, or the first thing that does not hold in `fault`."""

    sound: bool
    fault: str
    checked: int
    head: SeenHead
    key_fingerprint: str
    witnesses: list[Witness]


class AuditEntry(TypedDict):
    """One entry of the audit log."""

    sequence: int
    at: str
    principal: str
    operation: str
    subject: str
    outcome: str
    detail: dict[str, Json]
    hash: str


class AuditLines(TypedDict):
    """Lines of an export; `next` is what to ask for as `after`, 0 at the end."""

    lines: list[str]
    next: int
    head: str
    head_sequence: int


class BackupCreated(TypedDict):
    """A backup of the coordinator, in its state folder."""

    file: str
    size: int
    encrypted: bool
    logs: bool
    audit_sequence: int
    audit_hash: str
    store_key: str
    audit_key: str


class Recovery(TypedDict):
    """What a restore has lost; `statement` (base64) is the text to sign, `lost_up_to` 0: nothing that was seen."""

    statement: str
    namespace: str
    resumes_after: int
    lost_up_to: int
    recorded_at: str
    signed: bool


class PolicyRule(TypedDict):
    """A rule; `restrictions` says in words when it matches."""

    name: str
    level: str
    decision: str
    description: str
    restrictions: list[str]


class PolicyVersion(TypedDict):
    """One version of the policy; `restores` is the earlier one that it brought back."""

    version: int
    set_at: str
    set_by: str
    comment: str
    restores: int | None


class ComplianceRule(TypedDict):
    """A rule of compliance: which runs it is about, and what must be true of them, in words."""

    name: str
    enforce: str
    description: str
    restrictions: list[str]
    requires: list[str]


class PolicyAnswer(PolicyVersion):
    """A version of the policy, whole. `fault` says why the one that counts cannot be read, if so."""

    counts: bool
    source: str
    rules: list[PolicyRule]
    compliance: list[ComplianceRule]
    external: str
    fault: str


class RuleChange(TypedDict):
    """How a rule differs from the version before: added, removed or changed."""

    rule: str
    change: str
    details: list[str]


class Affected(TypedDict):
    """An execution under way about which the new policy decides otherwise."""

    execution: str
    blueprint: str
    requested_by: str
    state: str
    text: str


class PolicySet(TypedDict):
    """The policy was set, or with `check` would be; `version` is its number."""

    version: int
    set: bool
    changes: list[RuleChange]
    affected: list[Affected]
    cases: int


class PolicyCase(TypedDict):
    """A case of the policy's table; `fault` is empty where it passed."""

    name: str
    passed: bool
    decision: str
    rules: list[str]
    fault: str


class PolicyTested(TypedDict):
    """What came of the table of cases."""

    passed: int
    failed: int
    cases: list[PolicyCase]


class ConsideredRule(TypedDict):
    """What a rule has to do with a question; `matches` is yes, no, later or unsure."""

    rule: str
    level: str
    decision: str
    matches: str
    why: str
    decided: bool


class Explained(TypedDict):
    """What the policy says to a question, and why."""

    version: int
    decision: str
    rules: list[str]
    reasons: list[str]
    considered: list[ConsideredRule]


class BlueprintCheck(TypedDict):
    """What the rules of compliance say of a blueprint: passed, warned, blocked, nothing, or unknown with its fault."""

    blueprint: str
    version: str
    digest: str
    outcome: str
    hosts: str
    findings: list[ComplianceFinding]
    fault: str


class ComplianceChecked(TypedDict):
    """What the rules of compliance of one version of the policy say now."""

    checked_at: str
    policy: int
    rules: int
    blueprints: list[BlueprintCheck]


class ComplianceDecision(TypedDict):
    """How a person answered a request for approval of an execution."""

    approval: str
    person: str
    answer: str
    at: str


class ComplianceCheck(TypedDict):
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


class RuleTally(TypedDict):
    """How often what a rule asks for held, did not, or was not known."""

    rule: str
    passed: int
    failed: int
    unknown: int


class BlueprintReport(TypedDict):
    """What was checked of one blueprint in a period."""

    blueprint: str
    passed: int
    warned: int
    nothing: int
    blocked: int
    unchecked: int
    rules: list[RuleTally]
    checks: list[ComplianceCheck]


class ComplianceReport(TypedDict):
    """A report about a period; `left_out` checks are counted, and not told in full."""

    since: str
    until: str
    made_at: str
    blueprints: list[BlueprintReport]
    left_out: int


class Finding(TypedDict):
    """What one check of the doctor found; `verdict` is ok, warning or failure."""

    check: str
    verdict: str
    detail: str
    fix: str


class Examined(TypedDict):
    """All findings of the doctor."""

    healthy: bool
    items: list[Finding]


class Grant(TypedDict):
    """A role that a principal holds; `scope` says its limits in words, `limits` in parts."""

    role: str
    scope: str
    limits: dict[str, Any]
    granted_by: str
    granted_at: str


class PublicKey(TypedDict):
    """A public key with which a person signs decisions."""

    type: str
    fingerprint: str
    comment: str
    line: str


class PrincipalSummary(TypedDict):
    """Somebody who acts: a person, a service or an assistant; `local`: the coordinator's own socket is its."""

    principal: str
    kind: str
    description: str
    enabled: bool
    roles: list[str]
    sponsor: str
    local: bool
    created_at: str
    created_by: str


class PrincipalDetail(PrincipalSummary):
    """One principal, whole; `permissions` are what it may do, limits aside, `:own` for its own things only."""

    grants: list[Grant]
    permissions: list[str]
    keys: list[PublicKey]
    disabled_at: str


class Whoami(TypedDict):
    """The caller as the coordinator sees it."""

    principal: str
    kind: str
    through: str
    token: str
    token_expires_at: str
    sponsor: str
    grants: list[Grant]
    permissions: list[str]
    single_operator: bool


class RoleSummary(TypedDict):
    """A role: a named set of permissions."""

    role: str
    description: str
    built_in: bool
    permissions: list[str]


class RoleDetail(RoleSummary):
    """One role, whole: the operations that it gives, and who holds it."""

    operations: list[str]
    holders: list[str]


class RoleRemoved(TypedDict):
    """A role was removed."""

    role: str


class ApiToken(TypedDict):
    """What may be known of an API token; `token` is its id."""

    token: str
    principal: str
    name: str
    state: str
    created_at: str
    created_by: str
    expires_at: str
    last_used_at: str
    revoked_at: str
    revoked_by: str
    replaced_by: str


class ApiTokenMade(ApiToken):
    """A token that was made, with its text, which is shown here and never again."""

    text: str


class Authority(TypedDict):
    """The certificate (PEM) of the coordinator's own authority."""

    certificate: str


class Status(TypedDict):
    """The coordinator, at a glance."""

    coordinator_id: str
    version: str
    epoch: int
    started_at: str
    state_dir: str
    fleet_address: str
    enrol_address: str
    https_address: str
    hosts_online: int
    hosts_total: int
    executions_active: int
    stopping: bool


class Stopping(TypedDict):
    """The coordinator will stop."""

    executions_active: int
