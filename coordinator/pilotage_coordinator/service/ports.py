"""What the service needs from the runtime, as small protocols: the runtime fits them, tests fake them.

Reads go to the store directly. Every write takes the audit entries that belong to it and stores them in its own
transaction. Times are UTC microseconds.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.compliance.finding import Checked
from pilotage_coordinator.domain.execution.inputs import Input
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import BlueprintRef, Json, Plan
from pilotage_coordinator.domain.planning.offers import Offers
from pilotage_coordinator.domain.planning.request import Note, StoredBlueprint
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.rule import ChangeClass, Policy
from pilotage_coordinator.domain.secret_grant import SecretGrant
from pilotage_coordinator.store.backup_file import Manifest
from pilotage_coordinator.store.records import (
    AnswerRecord,
    AuditEntry,
    AuditHead,
    AuditVerdict,
    BlueprintRecord,
    DeliveryRecord,
    EventRecord,
    HostRecord,
    PolicyRecord,
    ScheduleStep,
    SignedHead,
)

Audit = tuple[AuditEntry, ...]

Within = Callable[[Iterable[str]], None]
"""Raises unless all hosts of these names are such as a caller may use."""


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> int:
        """Return UTC microseconds."""
        ...


class Library(Protocol):
    """Blueprints, read and stored: `runtime.library.Library`."""

    async def read(self, source: str, file: str) -> Sequence[Blueprint]:
        """Read YAML against the step types known here, storing nothing; raises BlueprintError with every problem."""
        ...

    async def get(self, id: str, version: str) -> StoredBlueprint:
        """Return one version: exact (`1.2.0`), the newest of a major (`1`) or the newest (empty); store.NotFound."""
        ...

    def newest(self, id: str, major: int) -> StoredBlueprint | None:
        """Return the newest published version of a major, or None: what a blueprint that calls it would run."""
        ...

    async def add(self, source: str, file: str, *, added_by: str, audit: Audit) -> Sequence[BlueprintRecord]:
        """Store every blueprint of a file. The same content again changes nothing. Raises BlueprintError with every
        problem, store.Refused when a published version would change."""
        ...

    async def expand(self, blueprint: Blueprint) -> str:
        """Return the normalised form as YAML."""
        ...


class Planned(Protocol):
    """A plan as it was made and stored."""

    @property
    def plan(self) -> Plan: ...

    @property
    def notes(self) -> Sequence[Note]:
        """What people should know before they say yes."""
        ...

    @property
    def previews(self) -> Mapping[str, Sequence[Mapping[str, Json]]]:
        """Step path to host name to a Preview of the plugin API as JSON; empty where none was asked for."""
        ...

    @property
    def made_at(self) -> int: ...

    @property
    def compliance(self) -> Checked | None:
        """What the rules of compliance found; None where there were none."""
        ...

    @property
    def change_class(self) -> ChangeClass | None:
        """The class of change with which it was made."""
        ...


class PlanMaker(Protocol):
    """Makes plans: `runtime.planner.PlanMaker`."""

    async def make(
        self,
        blueprint: str | Blueprint,
        version: str,
        parameters: Mapping[str, Json],
        limit_to: str,
        requested_by: str,
        *,
        previews: bool,
        within: Within | None = None,
        audit: Audit = (),
        requested: Requested | None = None,
    ) -> Planned:
        """Plan a stored blueprint by id and version (empty = newest, `1` = newest of a major), or one that was read.

        `limit_to` is a selector as people write it (`role=db`); with no targets in the blueprint it is them. The plan
        is stored under its digest. `within` is told the names of hosts before any of them is asked, and of all that
        the plan touches before it is stored; what it raises passes. Raises an error with `problems` (sequence of
        Problem) naming every reason not to.
        """
        ...

    async def stored(self, digest: str) -> Planned:
        """Return a plan that was made before; raises store.NotFound."""
        ...

    async def offers(
        self,
        blueprint: str,
        version: str,
        name: str,
        parameters: Mapping[str, Json],
        limit_to: str,
        within: Within | None = None,
        requested: Requested | None = None,
    ) -> Offers:
        """Ask the hosts what can be chosen for a parameter with `choices_from`; `parameters` are the values so far.

        `within` is told the names of the hosts before any of them is asked.

        Raises an error with `problems`, as `make` does, and store.NotFound.
        """
        ...


class Runs(Protocol):
    """Executions as they live: `runtime.executor.Executor`."""

    async def start(
        self,
        planned: Planned,
        *,
        execution_id: str,
        requested_by: str,
        reason: str,
        audit: Audit,
        answer: AnswerRecord | None,
        requested: Requested | None = None,
        schedule: ScheduleStep | None = None,
    ) -> None:
        """Start a plan; returns once the execution, its audit entries, the remembered answer and the step of the
        schedule that starts it are durable, in one transaction. Raises store.Conflict when the answer's key is taken or
        the schedule has changed, a DomainError when the plan drifted."""
        ...

    async def require_same(self, execution_id: str) -> None:
        """Plan what an execution was started with once more; raises `runtime.planner.PlanDrifted` when that differs."""
        ...

    async def reopen(self, execution_id: str, input: Input, requested: Requested, *, audit: Audit) -> None:
        """Take up an ended execution again, where the policy lets whoever asks start its plan now."""
        ...

    async def submit(self, execution_id: str, input: Input, *, audit: Audit) -> None:
        """Give the engine an input; raises its refusal when the state does not allow it."""
        ...

    async def state(self, execution_id: str) -> ExecutionState:
        """Return where an execution is, live or loaded; raises store.NotFound."""
        ...

    async def replay(self, execution_id: str, at: int) -> ExecutionState:
        """Return where it was after the event with sequence `at`; raises store.NotFound."""
        ...

    def watch(self, execution_id: str, after: int) -> AsyncIterator[EventRecord]:
        """Yield event records above the sequence `after`, from the store and then live, until a terminal state."""
        ...

    def progress(self, execution_id: str) -> Mapping[RunKey, tuple[float | None, str]]:
        """Return the newest progress of running step runs, by RunKey; empty when none is known."""
        ...


class JoinToken(Protocol):
    """A token that lets one machine join. It is shown once and stored hashed."""

    @property
    def text(self) -> str:
        """The token with the coordinator's address and pin: what `pilotage-agent join` takes."""
        ...

    @property
    def expires_at(self) -> int: ...


class Hosts(Protocol):
    """What people do with hosts: `runtime.hosts.Hosts`. An unknown name raises store.NotFound."""

    async def token(self, name: str, labels: Mapping[str, str], *, created_by: str, audit: Audit) -> JoinToken:
        """Make a join token, bound to a host name if one is given."""
        ...

    def online(self, name: str) -> bool:
        """Return whether the host has a reconciled session."""
        ...

    async def label(
        self,
        name: str,
        labels: Mapping[str, str | None],
        variables: Mapping[str, Json],
        *,
        audit: Audit,
    ) -> HostRecord:
        """Merge into what people say of a host; None removes a label or a variable."""
        ...

    async def release(self, name: str, *, audit: Audit) -> HostRecord:
        """Let a host out of quarantine; raises store.Refused when it is in none."""
        ...

    async def revoke(self, name: str, *, audit: Audit) -> HostRecord:
        """End the host's certificates and session for good."""
        ...


class Secrets(Protocol):
    """The encrypted store of secrets, sealed by the room `security`."""

    async def set(
        self, name: str, value: bytes, *, updated_by: str, grants: tuple[SecretGrant, ...], audit: Audit
    ) -> bool:
        """Store or replace a secret; returns whether it is new. Without grants it keeps those that it has."""
        ...

    async def everything(self) -> Mapping[str, bytes]:
        """Return every value by name, for an export that hides them; not those that belong to one execution."""
        ...

    async def grants(self, name: str) -> tuple[SecretGrant, ...] | None:
        """Return who may be given a secret; None when there is none of this name."""
        ...


class Notifications(Protocol):
    """The delivery of notifications: `runtime.deliveries.Deliveries`."""

    async def retry(self, notification: str, *, audit: Audit) -> DeliveryRecord:
        """Let one that could not be delivered wait again, due at once; store.NotFound, store.Refused."""
        ...


class Affected(Protocol):
    """An execution under way about which another policy decides otherwise."""

    @property
    def execution(self) -> str: ...
    @property
    def blueprint(self) -> str: ...
    @property
    def requested_by(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def text(self) -> str: ...


class Policies(Protocol):
    """The policy that counts, and its next version: `runtime.policies.Policies`."""

    @property
    def version(self) -> int:
        """Return the version that counts; 0 where there is none."""
        ...

    @property
    def fault(self) -> str:
        """Return why the stored policy cannot be read, if so; then nothing is allowed."""
        ...

    @property
    def policy(self) -> Policy | None: ...

    def host(self, name: str) -> Host | None:
        """Return a host as the policy sees it."""
        ...

    async def read(self, source: str, file: str) -> Policy:
        """Read a policy's text; raises BlueprintError with every problem."""
        ...

    async def put(self, record: PolicyRecord, audit: Audit) -> None:
        """Let a version count from now on; raises store.Conflict when another one came first."""
        ...

    async def affected(self, policy: Policy) -> Sequence[Affected]:
        """Return the executions under way about which this policy decides otherwise than their plans say."""
        ...


class CheckedBlueprint(Protocol):
    """A blueprint, and what the rules of compliance say of it."""

    @property
    def ref(self) -> BlueprintRef: ...
    @property
    def checked(self) -> Checked: ...
    @property
    def hosts(self) -> str:
        """Which hosts were looked at, in words; empty: which ones it would touch is not known."""
        ...


class Compliance(Protocol):
    """The check that people ask for: `runtime.compliance.Compliance`."""

    async def check(self, blueprint: str, version: str, limit_to: str) -> CheckedBlueprint:
        """Check a stored blueprint; raises store.NotFound, BlueprintUnreadable and SelectorRefused."""
        ...


class LogLine(Protocol):
    """One line of a step's log."""

    @property
    def cursor(self) -> str:
        """Where reading goes on after this line."""
        ...

    @property
    def at(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def item(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def stream(self) -> str:
        """`stdout`, `stderr`, or `log` for the step's own words."""
        ...

    @property
    def text(self) -> str: ...


class Logs(Protocol):
    """The logs of steps. Empty filters match all; a step's path also matches what is inside it."""

    async def read(self, execution_id: str, path: str, host: str, after: str, limit: int) -> Sequence[LogLine]:
        """Return lines by path, host, item and attempt, in order; `after` is a line's cursor."""
        ...

    def follow(self, execution_id: str, path: str, host: str, after: str) -> AsyncIterator[LogLine]:
        """Yield what is there, then what comes, until the execution ends."""
        ...


class AuditLines(Protocol):
    """Lines of an export."""

    @property
    def lines(self) -> Sequence[str]: ...
    @property
    def next(self) -> int:
        """The entry after which to go on; 0 at the end."""
        ...


class AuditLog(Protocol):
    """The audit log, checked and exported: `runtime.audit_log.AuditLog`."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key that signs it."""
        ...

    def witnessed(self) -> Mapping[str, SignedHead]:
        """Return the newest head that each host has told of in this process's time."""
        ...

    async def verify(self, known: Sequence[AuditHead] = ()) -> AuditVerdict:
        """Check chain, signature, `known` heads and what hosts have seen."""
        ...

    async def lines(self, after: int, limit: int, until: int) -> AuditLines:
        """Return entries after one, at most up to `until`, each as its line."""
        ...

    async def head(self) -> tuple[SignedHead, str]:
        """Return the signed head and its line; raises store.NotFound while nothing is signed."""
        ...


class MadeBackup(Protocol):
    """A backup of the coordinator that was made."""

    @property
    def file(self) -> Path: ...
    @property
    def size(self) -> int: ...
    @property
    def manifest(self) -> Manifest: ...


class Backups(Protocol):
    """Backs up the coordinator itself: `runtime.backup.Backups`."""

    async def create(self, recipients: Sequence[str], *, logs: bool) -> MadeBackup:
        """Write a backup into the state folder; raises AgeError for a recipient that is none, store errors."""
        ...


class Recoveries(Protocol):
    """What restores have lost, as agents are told: `runtime.witnesses.Witnesses`."""

    async def sign(self, statement: bytes, signature: str, principal: str, detail: Mapping[str, Json]) -> None:
        """Store an owner's signature of a record, and tell agents."""
        ...


class Schedules(Protocol):
    """The scheduler, as far as those who set schedules know it: `runtime.scheduling.Alarm`."""

    def now(self) -> int:
        """Return UTC microseconds as the machine's wall clock has them: what schedules go by."""
        ...

    def ring(self) -> None:
        """Tell the scheduler that a schedule was set."""
        ...


class Finding(Protocol):
    """What one check of the doctor found."""

    @property
    def check(self) -> str: ...
    @property
    def verdict(self) -> str:
        """`ok`, `warning` or `failure`."""
        ...

    @property
    def detail(self) -> str: ...
    @property
    def fix(self) -> str: ...


class Doctor(Protocol):
    """Looks at the coordinator's own health."""

    async def examine(self) -> Sequence[Finding]:
        """Run every check; a check that breaks is a finding, never an error."""
        ...


class Coordinator(Protocol):
    """The process itself."""

    @property
    def started_at(self) -> int: ...
    @property
    def state_dir(self) -> str: ...
    @property
    def fleet_address(self) -> str: ...
    @property
    def enrol_address(self) -> str: ...
    @property
    def https_address(self) -> str: ...
    @property
    def authority_pem(self) -> str: ...
    @property
    def stopping(self) -> bool: ...

    def stop(self) -> None:
        """Begin a graceful stop; steps that run on hosts go on."""
        ...
