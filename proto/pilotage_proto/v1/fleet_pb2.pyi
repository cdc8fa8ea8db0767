from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttemptKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_KIND_UNSPECIFIED: _ClassVar[AttemptKind]
    ATTEMPT_KIND_RUN: _ClassVar[AttemptKind]
    ATTEMPT_KIND_UNDO: _ClassVar[AttemptKind]

class JournalState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOURNAL_STATE_UNSPECIFIED: _ClassVar[JournalState]
    JOURNAL_STATE_ACCEPTED: _ClassVar[JournalState]
    JOURNAL_STATE_STARTED: _ClassVar[JournalState]
    JOURNAL_STATE_EXITED: _ClassVar[JournalState]

class RefusalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_REASON_UNSPECIFIED: _ClassVar[RefusalReason]
    REFUSAL_REASON_PROTOCOL: _ClassVar[RefusalReason]
    REFUSAL_REASON_REVOKED: _ClassVar[RefusalReason]
    REFUSAL_REASON_QUARANTINED: _ClassVar[RefusalReason]
    REFUSAL_REASON_SUPERSEDED: _ClassVar[RefusalReason]
    REFUSAL_REASON_STALE_SESSION: _ClassVar[RefusalReason]
    REFUSAL_REASON_BAD_MESSAGE: _ClassVar[RefusalReason]
    REFUSAL_REASON_OLD_COORDINATOR: _ClassVar[RefusalReason]

class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFECT_UNSPECIFIED: _ClassVar[Effect]
    EFFECT_READ: _ClassVar[Effect]
    EFFECT_IDEMPOTENT: _ClassVar[Effect]
    EFFECT_PROBE: _ClassVar[Effect]
    EFFECT_ONCE: _ClassVar[Effect]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_SUCCEEDED: _ClassVar[Outcome]
    OUTCOME_FAILED: _ClassVar[Outcome]
    OUTCOME_CANCELLED: _ClassVar[Outcome]
    OUTCOME_INTERRUPTED: _ClassVar[Outcome]
    OUTCOME_DECLINED: _ClassVar[Outcome]

class FailureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_KIND_UNSPECIFIED: _ClassVar[FailureKind]
    FAILURE_KIND_PARAMETER: _ClassVar[FailureKind]
    FAILURE_KIND_TARGET: _ClassVar[FailureKind]
    FAILURE_KIND_POLICY: _ClassVar[FailureKind]
    FAILURE_KIND_APPROVAL: _ClassVar[FailureKind]
    FAILURE_KIND_STEP: _ClassVar[FailureKind]
    FAILURE_KIND_INFRASTRUCTURE: _ClassVar[FailureKind]

class LogStream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_STREAM_UNSPECIFIED: _ClassVar[LogStream]
    LOG_STREAM_STDOUT: _ClassVar[LogStream]
    LOG_STREAM_STDERR: _ClassVar[LogStream]
    LOG_STREAM_STEP: _ClassVar[LogStream]

class QueryPurpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUERY_PURPOSE_UNSPECIFIED: _ClassVar[QueryPurpose]
    QUERY_PURPOSE_PREVIEW: _ClassVar[QueryPurpose]
    QUERY_PURPOSE_READ: _ClassVar[QueryPurpose]
ATTEMPT_KIND_UNSPECIFIED: AttemptKind
ATTEMPT_KIND_RUN: AttemptKind
ATTEMPT_KIND_UNDO: AttemptKind
JOURNAL_STATE_UNSPECIFIED: JournalState
JOURNAL_STATE_ACCEPTED: JournalState
JOURNAL_STATE_STARTED: JournalState
JOURNAL_STATE_EXITED: JournalState
REFUSAL_REASON_UNSPECIFIED: RefusalReason
REFUSAL_REASON_PROTOCOL: RefusalReason
REFUSAL_REASON_REVOKED: RefusalReason
REFUSAL_REASON_QUARANTINED: RefusalReason
REFUSAL_REASON_SUPERSEDED: RefusalReason
REFUSAL_REASON_STALE_SESSION: RefusalReason
REFUSAL_REASON_BAD_MESSAGE: RefusalReason
REFUSAL_REASON_OLD_COORDINATOR: RefusalReason
EFFECT_UNSPECIFIED: Effect
EFFECT_READ: Effect
EFFECT_IDEMPOTENT: Effect
EFFECT_PROBE: Effect
EFFECT_ONCE: Effect
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_SUCCEEDED: Outcome
OUTCOME_FAILED: Outcome
OUTCOME_CANCELLED: Outcome
OUTCOME_INTERRUPTED: Outcome
OUTCOME_DECLINED: Outcome
FAILURE_KIND_UNSPECIFIED: FailureKind
FAILURE_KIND_PARAMETER: FailureKind
FAILURE_KIND_TARGET: FailureKind
FAILURE_KIND_POLICY: FailureKind
FAILURE_KIND_APPROVAL: FailureKind
FAILURE_KIND_STEP: FailureKind
FAILURE_KIND_INFRASTRUCTURE: FailureKind
LOG_STREAM_UNSPECIFIED: LogStream
LOG_STREAM_STDOUT: LogStream
LOG_STREAM_STDERR: LogStream
LOG_STREAM_STEP: LogStream
QUERY_PURPOSE_UNSPECIFIED: QueryPurpose
QUERY_PURPOSE_PREVIEW: QueryPurpose
QUERY_PURPOSE_READ: QueryPurpose

class JoinRequest(_message.Message):
    __slots__ = ("token", "signing_request", "proposed_name", "sealing_key", "agent_version")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_NAME_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    token: str
    signing_request: bytes
    proposed_name: str
    sealing_key: bytes
    agent_version: str
    def __init__(self, token: _Optional[str] = ..., signing_request: _Optional[bytes] = ..., proposed_name: _Optional[str] = ..., sealing_key: _Optional[bytes] = ..., agent_version: _Optional[str] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ("certificates", "host_id", "host_name", "fleet_address", "sealing_key_receipt")
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    FLEET_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_RECEIPT_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    host_id: str
    host_name: str
    fleet_address: str
    sealing_key_receipt: bytes
    def __init__(self, certificates: _Optional[_Iterable[bytes]] = ..., host_id: _Optional[str] = ..., host_name: _Optional[str] = ..., fleet_address: _Optional[str] = ..., sealing_key_receipt: _Optional[bytes] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("signing_request",)
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    signing_request: bytes
    def __init__(self, signing_request: _Optional[bytes] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("certificates",)
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificates: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RenewExpiredRequest(_message.Message):
    __slots__ = ("expired_certificate", "signing_request", "at", "proof")
    EXPIRED_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    expired_certificate: bytes
    signing_request: bytes
    at: int
    proof: bytes
    def __init__(self, expired_certificate: _Optional[bytes] = ..., signing_request: _Optional[bytes] = ..., at: _Optional[int] = ..., proof: _Optional[bytes] = ...) -> None: ...

class RenewExpiredResponse(_message.Message):
    __slots__ = ("certificates",)
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificates: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[AgentItem]
    def __init__(self, items: _Optional[_Iterable[_Union[AgentItem, _Mapping]]] = ...) -> None: ...

class AgentItem(_message.Message):
    __slots__ = ("hello", "journal", "accepted", "started", "result", "log", "progress", "heartbeat", "inventory", "query_answer")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    QUERY_ANSWER_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    journal: JournalPage
    accepted: Accepted
    started: Started
    result: Result
    log: LogChunk
    progress: Progress
    heartbeat: Heartbeat
    inventory: Inventory
    query_answer: QueryAnswer
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., journal: _Optional[_Union[JournalPage, _Mapping]] = ..., accepted: _Optional[_Union[Accepted, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., log: _Optional[_Union[LogChunk, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., inventory: _Optional[_Union[Inventory, _Mapping]] = ..., query_answer: _Optional[_Union[QueryAnswer, _Mapping]] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[CoordinatorItem]
    def __init__(self, items: _Optional[_Iterable[_Union[CoordinatorItem, _Mapping]]] = ...) -> None: ...

class CoordinatorItem(_message.Message):
    __slots__ = ("welcome", "refusal", "assignment", "cancel", "result_ack", "log_ack", "ping", "query", "goodbye", "audit_head", "signed_plan")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    RESULT_ACK_FIELD_NUMBER: _ClassVar[int]
    LOG_ACK_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    AUDIT_HEAD_FIELD_NUMBER: _ClassVar[int]
    SIGNED_PLAN_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    refusal: Refusal
    assignment: Assignment
    cancel: Cancel
    result_ack: ResultAck
    log_ack: LogAck
    ping: Ping
    query: Query
    goodbye: Goodbye
    audit_head: AuditHead
    signed_plan: SignedPlan
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., assignment: _Optional[_Union[Assignment, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., result_ack: _Optional[_Union[ResultAck, _Mapping]] = ..., log_ack: _Optional[_Union[LogAck, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., query: _Optional[_Union[Query, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., audit_head: _Optional[_Union[AuditHead, _Mapping]] = ..., signed_plan: _Optional[_Union[SignedPlan, _Mapping]] = ...) -> None: ...

class AttemptKey(_message.Message):
    __slots__ = ("execution", "path", "host", "item", "kind", "attempt")
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    execution: str
    path: str
    host: str
    item: str
    kind: AttemptKind
    attempt: int
    def __init__(self, execution: _Optional[str] = ..., path: _Optional[str] = ..., host: _Optional[str] = ..., item: _Optional[str] = ..., kind: _Optional[_Union[AttemptKind, str]] = ..., attempt: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_min", "protocol_max", "agent_version", "instance_id", "journal_id", "journal_sequence", "session_counter", "highest_epoch", "boot_id", "clock", "slots", "inventory", "witness")
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_ID_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_COUNTER_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    WITNESS_FIELD_NUMBER: _ClassVar[int]
    protocol_min: int
    protocol_max: int
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
    witness: AuditHead
    def __init__(self, protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., agent_version: _Optional[str] = ..., instance_id: _Optional[str] = ..., journal_id: _Optional[str] = ..., journal_sequence: _Optional[int] = ..., session_counter: _Optional[int] = ..., highest_epoch: _Optional[int] = ..., boot_id: _Optional[str] = ..., clock: _Optional[int] = ..., slots: _Optional[int] = ..., inventory: _Optional[_Union[Inventory, _Mapping]] = ..., witness: _Optional[_Union[AuditHead, _Mapping]] = ...) -> None: ...

class AuditHead(_message.Message):
    __slots__ = ("log", "sequence", "hash", "key", "signature")
    LOG_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    log: str
    sequence: int
    hash: str
    key: bytes
    signature: bytes
    def __init__(self, log: _Optional[str] = ..., sequence: _Optional[int] = ..., hash: _Optional[str] = ..., key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Recovery(_message.Message):
    __slots__ = ("statement", "signature")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    statement: bytes
    signature: str
    def __init__(self, statement: _Optional[bytes] = ..., signature: _Optional[str] = ...) -> None: ...

class Inventory(_message.Message):
    __slots__ = ("facts", "step_types", "quarantined")
    FACTS_FIELD_NUMBER: _ClassVar[int]
    STEP_TYPES_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    facts: bytes
    step_types: bytes
    quarantined: bytes
    def __init__(self, facts: _Optional[bytes] = ..., step_types: _Optional[bytes] = ..., quarantined: _Optional[bytes] = ...) -> None: ...

class JournalPage(_message.Message):
    __slots__ = ("entries", "complete")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[JournalEntry]
    complete: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[JournalEntry, _Mapping]]] = ..., complete: _Optional[bool] = ...) -> None: ...

class JournalEntry(_message.Message):
    __slots__ = ("key", "state", "epoch", "result", "started_at")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    state: JournalState
    epoch: int
    result: Result
    started_at: int
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., state: _Optional[_Union[JournalState, str]] = ..., epoch: _Optional[int] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., started_at: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "epoch", "clock", "heartbeat_seconds", "log_window", "coordinator_version", "audit_head", "recoveries")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LOG_WINDOW_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    AUDIT_HEAD_FIELD_NUMBER: _ClassVar[int]
    RECOVERIES_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    epoch: int
    clock: int
    heartbeat_seconds: int
    log_window: int
    coordinator_version: str
    audit_head: AuditHead
    recoveries: _containers.RepeatedCompositeFieldContainer[Recovery]
    def __init__(self, protocol: _Optional[int] = ..., epoch: _Optional[int] = ..., clock: _Optional[int] = ..., heartbeat_seconds: _Optional[int] = ..., log_window: _Optional[int] = ..., coordinator_version: _Optional[str] = ..., audit_head: _Optional[_Union[AuditHead, _Mapping]] = ..., recoveries: _Optional[_Iterable[_Union[Recovery, _Mapping]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "message", "retry")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    reason: RefusalReason
    message: str
    retry: bool
    def __init__(self, reason: _Optional[_Union[RefusalReason, str]] = ..., message: _Optional[str] = ..., retry: _Optional[bool] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("key", "epoch", "plan_digest", "step_type", "effect", "parameters", "outputs", "secrets", "timeout_ms", "host_variables", "sensitive_outputs", "planned_step")
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STEP_TYPE_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    HOST_VARIABLES_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PLANNED_STEP_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    epoch: int
    plan_digest: str
    step_type: str
    effect: Effect
    parameters: bytes
    outputs: bytes
    secrets: _containers.ScalarMap[str, bytes]
    timeout_ms: int
    host_variables: bytes
    sensitive_outputs: _containers.RepeatedScalarFieldContainer[str]
    planned_step: bytes
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., epoch: _Optional[int] = ..., plan_digest: _Optional[str] = ..., step_type: _Optional[str] = ..., effect: _Optional[_Union[Effect, str]] = ..., parameters: _Optional[bytes] = ..., outputs: _Optional[bytes] = ..., secrets: _Optional[_Mapping[str, bytes]] = ..., timeout_ms: _Optional[int] = ..., host_variables: _Optional[bytes] = ..., sensitive_outputs: _Optional[_Iterable[str]] = ..., planned_step: _Optional[bytes] = ...) -> None: ...

class SignedPlan(_message.Message):
    __slots__ = ("execution", "head", "slice", "slice_digests", "approvals")
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    SLICE_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    execution: str
    head: str
    slice: bytes
    slice_digests: bytes
    approvals: _containers.RepeatedCompositeFieldContainer[SignedApproval]
    def __init__(self, execution: _Optional[str] = ..., head: _Optional[str] = ..., slice: _Optional[bytes] = ..., slice_digests: _Optional[bytes] = ..., approvals: _Optional[_Iterable[_Union[SignedApproval, _Mapping]]] = ...) -> None: ...

class SignedApproval(_message.Message):
    __slots__ = ("gate", "number", "asked_at", "signatures")
    GATE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ASKED_AT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    gate: str
    number: int
    asked_at: int
    signatures: _containers.RepeatedCompositeFieldContainer[DecisionSignature]
    def __init__(self, gate: _Optional[str] = ..., number: _Optional[int] = ..., asked_at: _Optional[int] = ..., signatures: _Optional[_Iterable[_Union[DecisionSignature, _Mapping]]] = ...) -> None: ...

class DecisionSignature(_message.Message):
    __slots__ = ("key", "signature")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    key: str
    signature: str
    def __init__(self, key: _Optional[str] = ..., signature: _Optional[str] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("key", "epoch")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    epoch: int
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("key", "epoch", "started_at")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    epoch: int
    started_at: int
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., epoch: _Optional[int] = ..., started_at: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("key", "epoch", "outcome", "outputs", "digest", "failure_kind", "error", "started_at", "ended_at", "evidence")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FAILURE_KIND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    epoch: int
    outcome: Outcome
    outputs: bytes
    digest: str
    failure_kind: FailureKind
    error: str
    started_at: int
    ended_at: int
    evidence: bytes
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., epoch: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., outputs: _Optional[bytes] = ..., digest: _Optional[str] = ..., failure_kind: _Optional[_Union[FailureKind, str]] = ..., error: _Optional[str] = ..., started_at: _Optional[int] = ..., ended_at: _Optional[int] = ..., evidence: _Optional[bytes] = ...) -> None: ...

class ResultAck(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("key", "epoch", "reason")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    epoch: int
    reason: str
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., epoch: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("key", "offset", "data", "dropped", "last")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    offset: int
    data: bytes
    dropped: int
    last: bool
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., dropped: _Optional[int] = ..., last: _Optional[bool] = ...) -> None: ...

class LogAck(_message.Message):
    __slots__ = ("key", "offset")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    offset: int
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., offset: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("key", "fraction", "text")
    KEY_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    key: AttemptKey
    fraction: float
    text: str
    def __init__(self, key: _Optional[_Union[AttemptKey, _Mapping]] = ..., fraction: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("clock", "nonce", "running", "waiting")
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    clock: int
    nonce: str
    running: int
    waiting: int
    def __init__(self, clock: _Optional[int] = ..., nonce: _Optional[str] = ..., running: _Optional[int] = ..., waiting: _Optional[int] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: str
    def __init__(self, nonce: _Optional[str] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("query_id", "purpose", "step_type", "parameters", "timeout_ms", "secrets", "host_variables")
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STEP_TYPE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    HOST_VARIABLES_FIELD_NUMBER: _ClassVar[int]
    query_id: str
    purpose: QueryPurpose
    step_type: str
    parameters: bytes
    timeout_ms: int
    secrets: _containers.ScalarMap[str, bytes]
    host_variables: bytes
    def __init__(self, query_id: _Optional[str] = ..., purpose: _Optional[_Union[QueryPurpose, str]] = ..., step_type: _Optional[str] = ..., parameters: _Optional[bytes] = ..., timeout_ms: _Optional[int] = ..., secrets: _Optional[_Mapping[str, bytes]] = ..., host_variables: _Optional[bytes] = ...) -> None: ...

class QueryAnswer(_message.Message):
    __slots__ = ("query_id", "ok", "answer", "failure_kind", "error")
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_KIND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    query_id: str
    ok: bool
    answer: bytes
    failure_kind: FailureKind
    error: str
    def __init__(self, query_id: _Optional[str] = ..., ok: _Optional[bool] = ..., answer: _Optional[bytes] = ..., failure_kind: _Optional[_Union[FailureKind, str]] = ..., error: _Optional[str] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reconnect_ms",)
    RECONNECT_MS_FIELD_NUMBER: _ClassVar[int]
    reconnect_ms: int
    def __init__(self, reconnect_ms: _Optional[int] = ...) -> None: ...
