"""A coordinator's services over a simulated store, with everything that would need a fleet faked."""

import asyncio
import secrets as secrets_of_python
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from immutables import Map
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import Role
from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.approval.request import asked as request
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.compliance.finding import Checked
from pilotage_coordinator.domain.execution.inputs import Input
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import GateScope, OpenGate
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.notification import composed
from pilotage_coordinator.domain.plan import BlueprintRef, Effect, Json, Plan, PlannedStep, StepKind, StepTypeUse
from pilotage_coordinator.domain.planning.codec import to_json
from pilotage_coordinator.domain.planning.offers import Offers
from pilotage_coordinator.domain.planning.request import Note
from pilotage_coordinator.domain.policy.content import policy_content
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.rule import ChangeClass, Policy
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.domain.secret_grant import SecretGrant
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_coordinator.runtime.audit_log import AuditLog
from pilotage_coordinator.runtime.backup import Backup, Backups
from pilotage_coordinator.runtime.compliance import Compliance
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.library import Library
from pilotage_coordinator.runtime.policies import Affected
from pilotage_coordinator.runtime.policy import PolicyKeeper
from pilotage_coordinator.runtime.schedule_steps import timed
from pilotage_coordinator.runtime.scheduling import Alarm
from pilotage_coordinator.runtime.witnesses import Witnesses
from pilotage_coordinator.security.api_tokens import new_api_token, token_digest
from pilotage_coordinator.service.authentication import Authentication
from pilotage_coordinator.service.caller import Caller, socket_owner
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.subjects import Subjects
from pilotage_coordinator.store.backup_file import Manifest
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import (
    AnswerRecord,
    ApprovalRecord,
    AuditEntry,
    CertificateRecord,
    DelegationRecord,
    DeliveryRecord,
    EnrolmentRecord,
    EventRecord,
    ExecutionChange,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    GivenUp,
    GrantRecord,
    HostRecord,
    NotificationRecord,
    PlanRecord,
    PolicyRecord,
    PrincipalRecord,
    Progress,
    RoleRecord,
    ScheduleRecord,
    ScheduleStep,
    SecretRecord,
    TokenRecord,
)
from pilotage_coordinator.store.sqlite import SimulatedDisk, open_simulated_store

from tests.unit.audit.logs import audit_key
from tests.unit.service.signing import Signer

NOW = 1_790_000_000_000_000
OWNER = socket_owner("ann")
GUEST = Caller("eve", PrincipalKind.ASSISTANT, (Grant(Role("guest", frozenset({"run.read"}))),))
DIGEST = "sha256:" + "ab" * 32
EXECUTION = "exe_" + "0" * 31 + "1"
APPROVAL = "apr_" + "0" * 31 + "1"
DELEGATION = "dlg_" + "0" * 31 + "1"
ANN = Signer("ann")
NOTIFICATION = "ntf_" + "0" * 31 + "1"
TOKEN = "tok_" + "0" * 31 + "1"
DAY = 24 * 3600 * 1_000_000
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43 + " bob@laptop"
ASSERT = StepTypeInfo(
    "validation.assert",
    Effect.READ,
    params_schema={"type": "object", "properties": {"that": {"type": "string"}}, "required": ["that"]},
)
SOURCE = """\
pilotage: 1
workflows:
  check:
    name: Check
    version: "1.0.0"
    description: Asserts something.
    parameters:
      days: {type: integer, default: 3}
      note: {type: string, default: hello}
      tags: {type: list, items: string, default: []}
    steps:
      - {id: sane, type: validation.assert, parameters: {that: "parameters.days > 0"}}
"""


POLICY = """\
policy: 1
rules:
  - {name: owner, level: role, roles: owner, decision: allow}
  - {name: assistants, level: role, kinds: assistant, effects: read, decision: allow}
tests:
  - {name: the owner may, ask: {roles: [owner], operation: container.upgrade}, decision: allow}
"""


class Clock:
    """Stands still."""

    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Wall:
    """The machine's wall clock, for tests to set."""

    time: int = NOW

    def __call__(self) -> int:
        return self.time


@dataclass(frozen=True)
class FakePlanned:
    plan: Plan
    notes: Sequence[Note] = ()
    previews: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    made_at: int = NOW
    change_class: ChangeClass | None = None
    compliance: Checked | None = None


def plan(hosts: tuple[str, ...] = ("db1", "db2"), digest: str = DIGEST) -> Plan:
    """Return a plan of one step on some hosts."""
    step = PlannedStep(
        path="sane", kind=StepKind.LEAF, type=StepTypeUse("command.run"), effect=Effect.ONCE, hosts=hosts
    )
    return Plan(BlueprintRef("check", "1.0.0", DIGEST), {"days": 3}, hosts, (step,), digest=digest)


@dataclass
class FakePlans:
    store: Store
    made: list[dict[str, Any]] = field(default_factory=list)
    refuse: Exception | None = None

    async def make(
        self,
        blueprint: str | Blueprint,
        version: str,
        parameters: Mapping[str, Any],
        limit_to: str,
        requested_by: str,
        *,
        previews: bool,
        within: Callable[[Iterable[str]], None] | None = None,
        audit: tuple[AuditEntry, ...] = (),
        requested: Requested | None = None,
    ) -> FakePlanned:
        if self.refuse is not None:
            raise self.refuse
        if within is not None:
            within(("db1", "db2"))
        self.made.append(
            {"blueprint": blueprint, "version": version, "parameters": dict(parameters), "limit_to": limit_to}
        )
        await self.store.audit.append(*audit)
        made = await self._plan(blueprint, version)
        await self.store.plans.put(PlanRecord(made.digest, to_json(made), {}, NOW))
        preview = {"changes": [{"action": "run", "subject": "uptime"}], "complete": True, "note": ""}
        shown = {"sane": [{**preview, "host": "db1"}]} if previews else {}
        return FakePlanned(made, (Note("db2 is offline", host="db2"),), shown)

    async def _plan(self, blueprint: str | Blueprint, version: str) -> Plan:
        """Return the plan, of the stored blueprint where there is one."""
        if not isinstance(blueprint, str) or blueprint not in {each.id for each in await self.store.blueprints.list()}:
            return plan()
        exact = "." in version
        blueprints = self.store.blueprints
        record = await (blueprints.get(blueprint, version) if exact else blueprints.newest(blueprint))
        return replace(plan(), blueprint=BlueprintRef(record.id, record.version, record.digest))

    async def offers(
        self,
        blueprint: str,
        version: str,
        name: str,
        parameters: Mapping[str, Any],
        limit_to: str,
        within: Callable[[Iterable[str]], None] | None = None,
        requested: Requested | None = None,
    ) -> Offers:
        if within is not None:
            within(("db1", "db2"))
        if self.refuse is not None:
            raise self.refuse
        self.made.append({"blueprint": blueprint, "name": name, "parameters": dict(parameters), "limit_to": limit_to})
        return Offers({"shop": ("db1", "db2"), "web": ("db1",)}, {"db3": "it is offline"}, ("db2",))

    async def stored(self, digest: str) -> FakePlanned:
        await self.store.plans.get(digest)
        return FakePlanned(plan(digest=digest))


@dataclass
class FakeRuns:
    store: Store
    submitted: list[tuple[str, Input]] = field(default_factory=list)
    refuse: Exception | None = None
    drifted: Exception | None = None
    gates: Map[str, OpenGate] = field(default_factory=Map)
    events: list[EventRecord] = field(default_factory=list)
    forever: bool = False
    status: str = "pending"
    requested: Requested | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody who watched has gone."""

    async def start(
        self,
        planned: Any,
        *,
        execution_id: str,
        requested_by: str,
        reason: str,
        audit: tuple[AuditEntry, ...],
        answer: AnswerRecord | None,
        requested: Requested | None = None,
        schedule: ScheduleStep | None = None,
    ) -> None:
        self.requested = requested
        if self.refuse is not None:
            raise self.refuse
        row = ExecutionRecord(
            execution_id, "check", "1.0.0", planned.plan.digest, requested_by, NOW, Progress("pending", reason)
        )
        creation = ExecutionCreation(row, ExecutionInputs(), audit=audit, answer=answer, schedule=schedule)
        await self.store.executions.create(creation)

    async def submit(self, execution_id: str, input: Input, *, audit: tuple[AuditEntry, ...]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.submitted.append((execution_id, input))
        await self.store.audit.append(*audit)

    async def reopen(
        self, execution_id: str, input: Input, requested: Requested, *, audit: tuple[AuditEntry, ...]
    ) -> None:
        self.requested = requested
        await self.submit(execution_id, input, audit=audit)

    async def require_same(self, execution_id: str) -> None:
        if self.drifted is not None:
            raise self.drifted

    async def state(self, execution_id: str) -> ExecutionState:
        state = ExecutionState.new(execution_id, plan())
        ended = NOW if ExecutionStatus(self.status).terminal else 0
        return replace(state, status=ExecutionStatus(self.status), begun_at=NOW, ended_at=ended, gates=self.gates)

    async def replay(self, execution_id: str, at: int) -> ExecutionState:
        return ExecutionState.new(execution_id, plan())

    async def watch(self, execution_id: str, after: int) -> AsyncIterator[EventRecord]:
        try:
            for event in self.events:
                if event.sequence > after:
                    yield event
            if self.forever:
                await asyncio.Event().wait()
        finally:
            self.left.set()

    def progress(self, execution_id: str) -> Mapping[RunKey, tuple[float | None, str]]:
        return {RunKey("sane", "db1"): (0.5, "half")} if self.events else {}


@dataclass(frozen=True)
class FakeToken:
    text: str = "plg1.secret"
    expires_at: int = NOW + 900_000_000


@dataclass
class FakeHosts:
    store: Store

    async def token(
        self, name: str, labels: Mapping[str, str], *, created_by: str, audit: tuple[AuditEntry, ...]
    ) -> FakeToken:
        await self.store.audit.append(*audit)
        return FakeToken()

    def online(self, name: str) -> bool:
        return name == "db1"

    async def label(
        self, name: str, labels: Mapping[str, Any], variables: Mapping[str, Any], *, audit: tuple[AuditEntry, ...]
    ) -> HostRecord:
        row = await self.store.hosts.named(name)
        await self.store.hosts.label(row.id, {**row.labels, **labels}, {**row.variables, **variables}, audit)
        return await self.store.hosts.named(name)

    async def release(self, name: str, *, audit: tuple[AuditEntry, ...]) -> HostRecord:
        row = await self.store.hosts.named(name)
        await self.store.hosts.release(row.id, audit)
        return await self.store.hosts.get(row.id)

    async def revoke(self, name: str, *, audit: tuple[AuditEntry, ...]) -> HostRecord:
        row = await self.store.hosts.named(name)
        await self.store.hosts.revoke(row.id, NOW, audit)
        return await self.store.hosts.get(row.id)


@dataclass
class FakeSecrets:
    store: Store
    values: dict[str, bytes] = field(default_factory=dict)

    async def set(
        self,
        name: str,
        value: bytes,
        *,
        updated_by: str,
        grants: tuple[SecretGrant, ...],
        audit: tuple[AuditEntry, ...],
    ) -> bool:
        self.values[name] = value
        return await self.store.secrets.put(SecretRecord(name, b"sealed", NOW, updated_by, grants), audit)

    async def everything(self) -> Mapping[str, bytes]:
        return self.values

    async def grants(self, name: str) -> tuple[SecretGrant, ...] | None:
        return (await self.store.secrets.get(name)).grants


@dataclass
class FakeNotifications:
    store: Store

    async def retry(self, notification: str, *, audit: tuple[AuditEntry, ...]) -> DeliveryRecord:
        await self.store.deliveries.retry(notification, NOW, audit)
        return await self.store.deliveries.get(notification)


@dataclass
class FakePolicies:
    keeper: PolicyKeeper
    hosts: dict[str, Host] = field(default_factory=dict)
    touched: Sequence[Affected] = ()

    @property
    def version(self) -> int:
        return self.keeper.version

    @property
    def fault(self) -> str:
        return self.keeper.fault

    @property
    def policy(self) -> Policy | None:
        return self.keeper.policy

    def host(self, name: str) -> Host | None:
        return self.hosts.get(name)

    async def read(self, source: str, file: str) -> Policy:
        return load_policy(source, file)

    async def put(self, record: PolicyRecord, audit: tuple[AuditEntry, ...]) -> None:
        await self.keeper.put(record, audit)

    async def affected(self, policy: Policy) -> Sequence[Affected]:
        return self.touched


@dataclass(frozen=True)
class FakeLine:
    cursor: str
    text: str
    at: int = NOW
    path: str = "sane"
    host: str = "db1"
    item: str = ""
    kind: str = "run"
    attempt: int = 1
    stream: str = "stdout"


@dataclass
class FakeLogs:
    lines: list[FakeLine] = field(default_factory=list)

    async def read(self, execution_id: str, path: str, host: str, after: str, limit: int) -> Sequence[FakeLine]:
        return [line for line in self.lines if line.cursor > after][:limit]

    async def follow(self, execution_id: str, path: str, host: str, after: str) -> AsyncIterator[FakeLine]:
        for line in self.lines:
            if line.cursor > after:
                yield line


@dataclass(frozen=True)
class FakeFinding:
    check: str = "database"
    verdict: str = "ok"
    detail: str = "fine"
    fix: str = ""


@dataclass
class FakeDoctor:
    findings: list[FakeFinding] = field(default_factory=lambda: [FakeFinding()])

    async def examine(self) -> Sequence[FakeFinding]:
        return self.findings


@dataclass
class FakeCoordinator:
    started_at: int = NOW
    state_dir: str = "/var/lib/pilotage"
    fleet_address: str = "localhost:7443"
    enrol_address: str = "localhost:7444"
    https_address: str = ""
    authority_pem: str = "-----BEGIN CERTIFICATE-----"
    stopping: bool = False

    def stop(self) -> None:
        self.stopping = True


class OneBackup:
    """Makes a file without content: what is in one is tested where it is made."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "pilotage-1.tar"

    async def create(self, recipients: object, *, logs: bool) -> Backup:
        self._file.write_text("backup")
        return Backup(self._file, 6, Manifest("coo_1", "1", 0, 1, 1, 4, "sha256:4", "s", "a", "p", logs))


@dataclass
class Desk:
    """The services with their fakes at hand."""

    services: Services
    store: Store
    plans: FakePlans
    runs: FakeRuns
    secrets: FakeSecrets
    logs: FakeLogs
    doctor: FakeDoctor
    coordinator: FakeCoordinator
    disk: SimulatedDisk
    inventory: LiveInventory
    authentication: Authentication
    policies: FakePolicies
    wall: Wall

    async def edit_audit(self, statement: str) -> None:
        """Do to the log what somebody with the file can."""
        self.disk.connection.execute("DROP TRIGGER audit_unchanged")
        self.disk.connection.execute(statement)

    async def set_policy(self) -> None:
        """Let a policy count."""
        content = policy_content(load_policy(POLICY, "policy.yaml"))
        await self.policies.put(PolicyRecord(1, POLICY, content, NOW, "ann"), ())

    async def audit(self) -> list[tuple[str, str, str]]:
        """Return what the audit log holds: operation, outcome, subject."""
        return [
            (each.entry.operation, each.entry.outcome, each.entry.subject) for each in await self.store.audit.read()
        ]

    async def add_host(
        self, name: str = "db1", step_types: tuple[dict[str, Json], ...] = (), environment: str = ""
    ) -> None:
        """Let a host join."""
        labels: dict[str, Json] = {"role": "db", **({"environment": environment} if environment else {})}
        await self.store.enrolments.create(EnrolmentRecord(name, NOW, "ann", NOW + 1_000_000))
        await self.store.enrolments.consume(
            name,
            HostRecord(f"hst_{name}", name, NOW, "sha256:key", labels=labels, step_types=step_types),
            CertificateRecord(f"01{name.encode().hex()}", f"hst_{name}", NOW, NOW + 1_000_000),
            NOW,
        )
        await self.inventory.load()

    async def end_execution(self) -> None:
        """Let the execution have ended."""
        row = await self.store.executions.get(EXECUTION)
        ended = Progress("completed", started_at=NOW, ended_at=NOW)
        await self.store.executions.commit(ExecutionChange(EXECUTION, row.version, ended))

    async def add_approval(self) -> None:
        """Let the execution ask the owner, who has a key and has lent their say, for an approval that bob wants."""
        await self.ask_approval(Gate(source="the step"), "bob")
        lent = DelegationRecord(DELEGATION, "ann", "bob", NOW, NOW + 1_000_000, "", NOW, "ann")
        await self.store.approvals.delegate(lent)

    async def ask_approval(self, asks: Gate, *requesters: str, scope: GateScope = GateScope.STEP) -> None:
        """Let the execution ask for an approval that the requesters want; the owner has a key."""
        await self.store.access.set_keys("ann", (ANN.line,))
        row = await self.store.executions.get(EXECUTION)
        asked = ApprovalRecord(
            APPROVAL, EXECUTION, DIGEST, "sane!approval", scope.value, "sane", "", "", asks.to_json(), "before sane",
            requesters, asks.of, NOW, NOW + asks.timeout,
        )  # fmt: skip
        await self.store.executions.commit(ExecutionChange(EXECUTION, row.version, row.progress, asked=(asked,)))
        gate = OpenGate(asked.gate, "sane", scope=scope, approval=request(APPROVAL, DIGEST, asks, NOW, requesters))
        self.runs.gates = Map({asked.gate: gate})

    async def add_dead_notification(self) -> None:
        """Let the execution have sent a message that could not be delivered."""
        row = await self.store.executions.get(EXECUTION)
        message = composed("It is done", "", "info", []).to_json()
        sent = NotificationRecord(NOTIFICATION, EXECUTION, "told", "", "", "ops", message, NOW)
        change = ExecutionChange(EXECUTION, row.version, row.progress, notifications=(sent,))
        await self.store.executions.commit(change)
        lost = (GivenUp(NOTIFICATION, 15, NOW, "404"),)
        await self.store.executions.commit(
            replace(change, expected_version=row.version + 1, notifications=(), given_up=lost)
        )

    async def add_principals(self) -> str:
        """Add a person, an assistant with a token, whose text is returned, and two roles that were made."""
        access = self.store.access
        await access.add_principal(PrincipalRecord("bob", "person", NOW, "ann"))
        grant = GrantRecord("bot", "assistant", NOW, "ann")
        await access.add_principal(PrincipalRecord("bot", "assistant", NOW, "ann", sponsor="bob"), (grant,))
        await access.put_role(RoleRecord("nightly", ("run.read", "run.start"), "Starts backups.", NOW, "ann"))
        await access.put_role(RoleRecord("unused", ("run.read",), "", NOW, "ann"))
        text = new_api_token(b"t" * 32)
        await access.add_token(TokenRecord(TOKEN, token_digest(text), "bot", "laptop", NOW, "ann", NOW + DAY))
        return text

    async def add_execution(self, id: str = EXECUTION, requested_by: str = "ann") -> None:
        """Put an execution into the store."""
        made = plan()
        await self.store.plans.put(PlanRecord(made.digest, to_json(made), {}, NOW))
        row = ExecutionRecord(id, "check", "1.0.0", made.digest, requested_by, NOW, Progress("running"))
        event = EventRecord(1, NOW, "execution_begun", {"seed": "s", "requested_by": "ann"})
        await self.store.executions.create(ExecutionCreation(row, ExecutionInputs(), events=(event,)))

    async def add_schedule(self, name: str, **more: Any) -> ScheduleRecord:
        """Put a schedule into the store: the blueprint `check` of Ann, each night at two."""
        timetable = {"cron": "0 2 * * *", "zone": "UTC", "start": None, "end": None}
        row = ScheduleRecord(
            **{
                "id": f"sch_{name}",
                "name": name,
                "owner": "ann",
                "blueprint": "check",
                "timetable": timetable,
                "created_at": NOW,
                "created_by": "ann",
                "updated_at": NOW,
                "updated_by": "ann",
                "parameters": {},
                "catchup": 600_000_000,
                **more,
            }
        )
        await self.store.schedules.add(timed(row, self.wall.time))
        return await self.store.schedules.get(row.id)

    async def prove(
        self, host: str, kind: ProofKind, *, passed: bool, detail: Mapping[str, Json] | None = None
    ) -> None:
        """Let the execution bring a proof of a host."""
        version = (await self.store.executions.get(EXECUTION)).version
        proof = Proof(kind, passed, NOW, EXECUTION, "save", "srv", detail or {})
        await self.store.executions.commit(
            ExecutionChange(EXECUTION, version, Progress("running"), proofs=((host, proof),))
        )


def always(caller: Caller) -> Callable[[Any], Awaitable[Caller]]:
    """Return what finds the same caller behind every request."""

    async def identify(request: Any) -> Caller:
        return caller

    return identify


async def open_desk(folder: Path = Path("/nowhere")) -> tuple[Desk, SimulatedDisk]:
    """Return services over an empty store; close both."""
    disk = SimulatedDisk()
    key = audit_key()
    store = await open_simulated_store(disk, now=NOW, new_id=lambda prefix: f"{prefix}_1", signer=key)
    owner = PrincipalRecord("ann", "person", NOW, "coordinator", local_user="ann")
    await store.access.add_principal(owner, (GrantRecord("ann", "owner", NOW, "coordinator"),))
    counter = iter(range(100, 10_000))
    clock, wall = Clock(), Wall()
    plans, runs, secrets, logs = FakePlans(store), FakeRuns(store), FakeSecrets(store), FakeLogs()
    doctor, coordinator = FakeDoctor(), FakeCoordinator()
    inventory = LiveInventory(store.hosts, clock)
    policies = FakePolicies(PolicyKeeper(store.policies))
    library = Library(store.blueprints, inventory, {ASSERT.name: ASSERT}, clock)
    services = Services(
        clock=clock,
        new_id=lambda prefix: f"{prefix}_{next(counter):032x}",
        store=store,
        library=library,
        plans=plans,
        runs=runs,
        schedules=Alarm(wall),
        hosts=FakeHosts(store),
        secrets=secrets,
        notifications=FakeNotifications(store),
        policies=policies,
        compliance=Compliance(policies.keeper, library, inventory, {ASSERT.name: ASSERT}, store, clock),
        logs=logs,
        audit=AuditLog(store.audit, key, key.fingerprint),
        backups=Backups(store, clock, folder, store_key="s", audit_key=key.fingerprint, authority="a"),
        recoveries=Witnesses(store.audit, key, store.coordinator_id, clock),
        doctor=doctor,
        coordinator=coordinator,
        subjects=Subjects(store, inventory),
        owner="ann",
        random_bytes=secrets_of_python.token_bytes,
        request_key=b"r" * 32,
    )
    return Desk(
        services,
        store,
        plans,
        runs,
        secrets,
        logs,
        doctor,
        coordinator,
        disk,
        inventory,
        Authentication(store, clock, "ann"),
        policies,
        wall,
    ), disk
