"""What passes between the coordinator and its agents, as values: assignments down, reports up.

The wire form is `proto/pilotage_proto/v1/fleet.proto`, whose comments hold the rules of the exchange; only the room
`fleet` maps between the two. Times are UTC microseconds, durations microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.words import JournalState as JournalState
from pilotage_proto.words import Outcome as Outcome
from pilotage_proto.words import QueryPurpose as QueryPurpose

from pilotage_coordinator.domain.plan import Effect, FailureKind, Json


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt for one host to make. Delivered at least once; the agent dedupes by key."""

    key: AttemptKey
    epoch: int
    plan_digest: str
    step_type: str
    effect: Effect
    parameters: Mapping[str, Json]
    outputs: Mapping[str, Json] = field(default_factory=dict)
    """For an undo: the outputs of the run that is undone."""
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    """Name to value sealed for the executing agent."""
    timeout: int = 0
    host_variables: Mapping[str, Json] = field(default_factory=dict)
    sensitive_outputs: tuple[str, ...] = ()
    planned_step: bytes = b""
    """For a host that wants plans signed: what the plan says of the step, canonical JSON."""
    signed_plan: "SignedPlan | None" = None
    """For such a host: what it must have seen before; sent once in a session."""


@dataclass(frozen=True, slots=True)
class SignedApproval:
    """A request that was approved. `signatures`: public key, `TYPE BASE64`, to the signature of a yes by it."""

    gate: str
    number: int
    asked_at: int
    signatures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """A host's slice of an execution's plan (canonical JSON), what proves that it is one, and who has agreed."""

    execution: str
    head: str
    slice: bytes
    slice_digests: bytes
    approvals: tuple[SignedApproval, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """How one attempt ended. `digest` equals the one in the agent's journal."""

    key: AttemptKey
    epoch: int
    outcome: Outcome
    outputs: Mapping[str, Json] = field(default_factory=dict)
    digest: str = ""
    failure_kind: FailureKind | None = None
    error: str = ""
    started_at: int = 0
    ended_at: int = 0
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One open attempt in an agent's journal, as told at the start of a session."""

    key: AttemptKey
    state: JournalState
    epoch: int
    started_at: int = 0
    report: AttemptReport | None = None


@dataclass(frozen=True, slots=True)
class HostInventory:
    """What an agent says of its host: facts, step types that it can run, plugins that failed to load."""

    facts: Mapping[str, Json]
    step_types: tuple[Mapping[str, Json], ...]
    quarantined: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class SeenHead:
    """The signed end of an audit log as a host has seen it (`audit.head` makes them)."""

    log: str
    sequence: int
    hash: str
    key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Greeting:
    """How an agent introduced itself at the start of a session (the wire's Hello without the inventory)."""

    agent_version: str
    instance_id: str
    journal_id: str
    journal_sequence: int
    session_counter: int
    highest_epoch: int
    boot_id: str
    clock: int
    slots: int
    witness: SeenHead | None = None
    """The newest head of an audit log that it has seen."""


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Whole NDJSON lines of one attempt's log, beginning at byte `offset`; `dropped` bytes are missing before it."""

    key: AttemptKey
    offset: int
    data: bytes
    dropped: int = 0
    last: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A read-only question to one host, for a plan. Not journaled; lost with the session."""

    purpose: QueryPurpose
    step_type: str
    parameters: Mapping[str, Json]
    timeout: int
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    host_variables: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The answer to a Query: the outputs or the preview, or why there is none."""

    ok: bool
    answer: Mapping[str, Json] = field(default_factory=dict)
    failure_kind: FailureKind | None = None
    error: str = ""
