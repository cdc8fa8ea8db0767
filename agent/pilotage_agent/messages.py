"""What agent and coordinator say to each other, as values; fleet.proto is the contract, link/wire.py maps them.

JSON travels as bytes and stays bytes here, so that nothing is decoded before somebody needs it.
Times are UTC microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_proto.approval_id import approval_id
from pilotage_proto.attempt import AttemptKey
from pilotage_proto.words import Effect, FailureKind, Outcome, QueryPurpose, RefusalReason
from pilotage_proto.words import JournalState as EntryState

# --- from the agent -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inventory:
    """Facts and step types of this host, each as JSON bytes."""

    facts: bytes = b"{}"
    step_types: bytes = b"[]"
    quarantined: bytes = b"[]"


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The signed end of a coordinator's audit log; kept, and told again, as it came."""

    log: str
    sequence: int
    hash: str
    key: bytes = b""
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Recovery:
    """That a coordinator was restored: a statement, and an owner's SSH signature of it (empty: none)."""

    statement: bytes
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first item of a session."""

    agent_version: str
    instance_id: str
    journal_id: str
    journal_sequence: int
    session_counter: int
    highest_epoch: int
    boot_id: str
    clock: int
    slots: int
    inventory: Inventory
    protocol_min: int
    protocol_max: int
    witness: AuditHead | None = None
    """The newest head of the coordinator's audit log that was seen here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an attempt ended; `digest` covers the canonical form of {outcome, outputs, error}."""

    key: AttemptKey
    epoch: int
    outcome: Outcome
    outputs: bytes
    digest: str
    failure_kind: FailureKind | None
    error: str
    started_at: int
    ended_at: int
    evidence: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One open attempt, as Hello's pages report it."""

    key: AttemptKey
    state: EntryState
    epoch: int
    result: Result | None
    started_at: int


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Some of the open attempts; `complete` on the last page."""

    entries: tuple[JournalLine, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """The assignment is here."""

    key: AttemptKey
    epoch: int


@dataclass(frozen=True, slots=True)
class Started:
    """The attempt has begun."""

    key: AttemptKey
    epoch: int
    started_at: int


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Whole NDJSON lines of an attempt's log. `offset` is the place of `data` in all that was ever written; `dropped`
    is how many bytes were left out just before it."""

    key: AttemptKey
    offset: int
    data: bytes
    dropped: int
    last: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt is: 0 to 1, negative when unknown."""

    key: AttemptKey
    fraction: float
    text: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The agent lives; `nonce` echoes the Ping that asked."""

    clock: int
    nonce: str
    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The answer to a query: JSON when `ok`, else what went wrong."""

    query_id: str
    ok: bool
    answer: bytes = b""
    failure_kind: FailureKind | None = None
    error: str = ""


AgentItem = (
    Hello | JournalPage | Accepted | Started | Result | LogChunk | Progress | Heartbeat | Inventory | QueryAnswer
)

# --- from the coordinator -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The session is open."""

    protocol: int
    epoch: int
    clock: int
    heartbeat_seconds: int
    log_window: int
    coordinator_version: str = ""
    audit_head: AuditHead | None = None
    recoveries: tuple[Recovery, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The session will not go on. `reason` is None for one that only newer coordinators know."""

    reason: RefusalReason | None
    message: str
    retry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One attempt to be made. Secrets are sealed (see sealing.py)."""

    key: AttemptKey
    epoch: int
    plan_digest: str
    step_type: str
    effect: Effect
    parameters: bytes = b"{}"
    outputs: bytes = b""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    timeout_ms: int = 0
    host_variables: bytes = b"{}"
    sensitive_outputs: tuple[str, ...] = ()
    planned_step: bytes = b""
    """For a host that wants plans signed: what the plan says of the step, canonical JSON."""


@dataclass(frozen=True, slots=True)
class SignedApproval:
    """A request for approval. `signatures`: public key, `TYPE BASE64`, to the SSH signature of a yes by it."""

    gate: str
    number: int
    asked_at: int
    signatures: Mapping[str, str]

    def id(self, execution: str) -> str:
        """Return the id that was signed, which is made of what the request is about."""
        return approval_id(execution, self.gate, self.number, self.asked_at)


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """What a plan is to this host, and who has agreed to it; proved by digests and signatures, not by who sent it."""

    execution: str
    head: str
    slice: bytes
    slice_digests: bytes
    approvals: tuple[SignedApproval, ...] = ()

    @property
    def size(self) -> int:
        """Return about how many bytes it holds."""
        return len(self.slice) + len(self.slice_digests)


@dataclass(frozen=True, slots=True)
class ResultAck:
    """The result is kept; the agent may forget the attempt."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the attempt; always answered by a Result."""

    key: AttemptKey
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class LogAck:
    """Everything before `offset` is kept."""

    key: AttemptKey
    offset: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with a Heartbeat that echoes the nonce."""

    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A read-only question for a plan."""

    query_id: str
    purpose: QueryPurpose
    step_type: str
    parameters: bytes = b"{}"
    timeout_ms: int = 0
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    host_variables: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The coordinator is about to stop; dial again after about this long."""

    reconnect_ms: int


CoordinatorItem = (
    Welcome | Refusal | Assignment | SignedPlan | Cancel | ResultAck | LogAck | Ping | Query | Goodbye | AuditHead
)

__all__ = [
    "Accepted",
    "AgentItem",
    "Assignment",
    "AuditHead",
    "Cancel",
    "CoordinatorItem",
    "Effect",
    "EntryState",
    "FailureKind",
    "Goodbye",
    "Heartbeat",
    "Hello",
    "Inventory",
    "JournalLine",
    "JournalPage",
    "LogAck",
    "LogChunk",
    "Outcome",
    "Ping",
    "Progress",
    "Query",
    "QueryAnswer",
    "QueryPurpose",
    "Recovery",
    "Refusal",
    "RefusalReason",
    "Result",
    "ResultAck",
    "SignedApproval",
    "SignedPlan",
    "Started",
    "Welcome",
]
