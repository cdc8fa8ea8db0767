"""Rows of executions: the execution itself, its events, step runs and attempts, and one change to all of them.

Times are UTC microseconds, None = not yet. Status, kind and outcome columns hold the values of the domain's enums; the
store never interprets them, except that an execution or attempt with an `ended_at` is over: retention may remove it,
and an attempt takes no update.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.audit.entry import AuditEntry
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.proof import Proof
from pilotage_coordinator.store.records.approval import ApprovalRecord, ApprovalUpdate
from pilotage_coordinator.store.records.compliance import ComplianceRecord
from pilotage_coordinator.store.records.delivery import GivenUp, NotificationRecord
from pilotage_coordinator.store.records.ledger import AnswerRecord, SecretRecord
from pilotage_coordinator.store.records.schedule import ScheduleStep


@dataclass(frozen=True, slots=True)
class Progress:
    """What changes while an execution runs."""

    status: str
    reason: str = ""
    """Why it is in this status: a gate, a drift, who asked for the cancel."""
    outcome: str = ""
    started_at: int | None = None
    ended_at: int | None = None
    """Set by the change that ends the execution; None again if a retry opens it once more."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Step runs by status."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One row of workflow_executions."""

    id: str
    blueprint_id: str
    blueprint_version: str
    plan_digest: str
    requested_by: str
    created_at: int
    progress: Progress
    version: int = 0
    """Grows by one with each change."""
    sequence: int = 0
    """Sequence number of the newest event."""
    name: str = ""
    """What people call its blueprint; of a command, its words."""


@dataclass(frozen=True, slots=True)
class ExecutionInputs:
    """What an execution was started with; stored beside the row, because it never changes and may be large."""

    parameters: Mapping[str, Json] = field(default_factory=dict)
    """Without the sensitive ones."""
    sealed: bytes | None = None
    """The sensitive parameters as sealed by the room `security`; None when there are none."""
    answers: Mapping[str, Json] | None = None
    """What the plan's reads answered for this execution (`domain.planning.answers`); executions of one plan may differ
    in it. None: those that the stored plan holds."""
    request: Mapping[str, Json] | None = None
    """Who asked for it and what for (`domain.policy.request`); None: that was not recorded."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One row of workflow_events; `sequence` counts from 1 in each execution, without gaps."""

    sequence: int
    at: int
    type: str
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class StepRunRecord:
    """One row of workflow_step_runs: a step on a host (empty = coordinator) for an item (empty = no loop)."""

    path: str
    host: str
    item: str
    status: str
    reason: str = ""
    attempts: int = 0
    """How many attempts were made so far."""
    started_at: int | None = None
    ended_at: int | None = None
    outputs: Mapping[str, Json] | None = None
    error: str = ""
    failure_kind: str = ""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One row of workflow_attempts. Written before the assignment is sent."""

    key: AttemptKey
    epoch: int
    """The fence: the epoch of the newest assignment of this attempt."""
    status: str
    effect: str
    step_type: str
    parameters: Mapping[str, Json]
    created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    outcome: str = ""
    digest: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptUpdate:
    """What happened to an attempt that has a row. An attempt that has ended takes no update (Conflict).

    `expected_epoch` is compared with the row (Conflict when different); None compares nothing. `epoch` replaces the
    row's; None keeps it. `started_at` None keeps what the row has.
    """

    key: AttemptKey
    status: str
    expected_epoch: int | None = None
    epoch: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    outcome: str = ""
    digest: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExecutionChange:
    """One step forward of one execution: all of it is stored, or nothing."""

    execution: str
    expected_version: int
    """The version that the change was decided on; the row's becomes this + 1."""
    progress: Progress
    events: tuple[EventRecord, ...] = ()
    """Follow the newest stored event without a gap."""
    step_runs: tuple[StepRunRecord, ...] = ()
    """Inserted, or replaced whole."""
    attempts: tuple[AttemptRecord, ...] = ()
    """New ones; a key that has a row is a Conflict."""
    attempt_updates: tuple[AttemptUpdate, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    proofs: tuple[tuple[str, Proof], ...] = ()
    """What it proves of hosts, by name; each replaces an older one of its kind and outcome."""
    notifications: tuple[NotificationRecord, ...] = ()
    """What its steps hand over for delivery; due at once. An id that has a row is a Conflict."""
    given_up: tuple[GivenUp, ...] = ()
    """Deliveries that failed for good; one that does not wait is a Conflict."""
    asked: tuple[ApprovalRecord, ...] = ()
    """New requests for approval; an id that has a row is a Conflict."""
    approvals: tuple[ApprovalUpdate, ...] = ()
    """What happened to requests; one that has its outcome already is a Conflict."""
    rests_on: tuple[str, ...] = ()
    """Requests that its new attempts rest on: one that is no approval of this execution's plan is a Conflict."""
    at: int = 0
    """When it is made."""


@dataclass(frozen=True, slots=True)
class ExecutionCreation:
    """A new execution with all that must be stored together with it. Its plan must be stored already."""

    execution: ExecutionRecord
    """With version 0; `sequence` is taken from the events."""
    inputs: ExecutionInputs
    events: tuple[EventRecord, ...] = ()
    step_runs: tuple[StepRunRecord, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    answer: AnswerRecord | None = None
    """The answer to remember under the request's idempotency key."""
    secrets: tuple[SecretRecord, ...] = ()
    """Its sensitive parameters, under names that begin with `execution/ID/`: retention removes them with it."""
    compliance: ComplianceRecord | None = None
    """What the rules of compliance found before it began; outlives it."""
    schedule: ScheduleStep | None = None
    """The step of the schedule that starts it, with the firing; what makes that step fail makes this fail."""


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions to list; empty fields filter nothing."""

    blueprint_id: str = ""
    statuses: tuple[str, ...] = ()
    since: int = 0
    """Those created then (UTC microseconds) or later, also where a clock was set back in between."""


@dataclass(frozen=True, slots=True)
class StepRunFilter:
    """Which step runs of an execution to list; None filters nothing (an empty host means the coordinator)."""

    status: str | None = None
    host: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class BlueprintMetric:
    """One row of workflow_metrics: executions of a blueprint in one status."""

    blueprint_id: str
    status: str
    current: int
    """How many are in this status now."""
    entered: int
    """How many ever entered it; never decreases, also not by retention."""
    ended: int
    """How many ended in it."""
    duration: int
    """Sum over those that ended in it, from creation, in microseconds."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one call of retention removed. `more` says that another call would find more."""

    executions: tuple[str, ...]
    rows: int
    more: bool
