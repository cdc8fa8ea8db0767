"""The one place on the coordinator's side that maps between protobuf and values.

Everything read here comes from an agent that may lie: sizes, ranges and JSON are checked, and BadMessage is raised with
a text that names the field. Items of a kind that this version does not know are left out, as the protocol demands.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NoReturn, cast

from pilotage_proto.attempt import AttemptKey, AttemptKind
from pilotage_proto.canonical import LARGEST_EXACT_INTEGER, CanonicalError, canonical
from pilotage_proto.limits import (
    LARGEST_EVIDENCE,
    LARGEST_JSON,
    LARGEST_LOG,
    LARGEST_OUTPUTS,
    LONGEST_TEXT,
    MOST_ITEMS,
)
from pilotage_proto.result import result_digest
from pilotage_proto.v1 import fleet_pb2 as pb

from pilotage_coordinator.audit.head import SignedHead
from pilotage_coordinator.domain.fleet import (
    Assignment,
    AttemptReport,
    Greeting,
    HostInventory,
    JournalEntry,
    JournalState,
    LogPiece,
    Outcome,
    Query,
    QueryAnswer,
    QueryPurpose,
    SeenHead,
    SignedPlan,
)
from pilotage_coordinator.domain.plan import Effect, FailureKind, Json
from pilotage_coordinator.fleet.errors import BadMessage, RefusalReason, Refused
from pilotage_coordinator.fleet.inventory_check import fitting_facts, fitting_step_types, marks
from pilotage_coordinator.fleet.messages import (
    Accepted,
    AgentMessage,
    Answered,
    Heartbeat,
    Hello,
    JournalPage,
    Progress,
    Started,
)
from pilotage_coordinator.store.records import RecoveryRecord

LONGEST_ID: Final = 256
LONGEST_PATH: Final = 4_096
LONGEST_TIMEOUT: Final = 2**63 - 1

_KINDS: Final = {pb.ATTEMPT_KIND_RUN: AttemptKind.RUN, pb.ATTEMPT_KIND_UNDO: AttemptKind.UNDO}
_KIND_NUMBERS: Final = {kind: number for number, kind in _KINDS.items()}
_STATES: Final = {
    pb.JOURNAL_STATE_ACCEPTED: JournalState.ACCEPTED,
    pb.JOURNAL_STATE_STARTED: JournalState.STARTED,
    pb.JOURNAL_STATE_EXITED: JournalState.EXITED,
}
_OUTCOMES: Final = {
    pb.OUTCOME_SUCCEEDED: Outcome.SUCCEEDED,
    pb.OUTCOME_FAILED: Outcome.FAILED,
    pb.OUTCOME_CANCELLED: Outcome.CANCELLED,
    pb.OUTCOME_INTERRUPTED: Outcome.INTERRUPTED,
    pb.OUTCOME_DECLINED: Outcome.DECLINED,
}
_FAILURES: Final = {
    pb.FAILURE_KIND_UNSPECIFIED: None,
    pb.FAILURE_KIND_PARAMETER: FailureKind.PARAMETER,
    pb.FAILURE_KIND_TARGET: FailureKind.TARGET,
    pb.FAILURE_KIND_POLICY: FailureKind.POLICY,
    pb.FAILURE_KIND_APPROVAL: FailureKind.APPROVAL,
    pb.FAILURE_KIND_STEP: FailureKind.STEP,
    pb.FAILURE_KIND_INFRASTRUCTURE: FailureKind.INFRASTRUCTURE,
}
_EFFECTS: Final = {
    Effect.READ: pb.EFFECT_READ,
    Effect.IDEMPOTENT: pb.EFFECT_IDEMPOTENT,
    Effect.PROBE: pb.EFFECT_PROBE,
    Effect.ONCE: pb.EFFECT_ONCE,
}
_PURPOSES: Final = {
    QueryPurpose.PREVIEW: pb.QUERY_PURPOSE_PREVIEW,
    QueryPurpose.READ: pb.QUERY_PURPOSE_READ,
}
_REFUSALS: Final = {
    RefusalReason.PROTOCOL: pb.REFUSAL_REASON_PROTOCOL,
    RefusalReason.REVOKED: pb.REFUSAL_REASON_REVOKED,
    RefusalReason.QUARANTINED: pb.REFUSAL_REASON_QUARANTINED,
    RefusalReason.SUPERSEDED: pb.REFUSAL_REASON_SUPERSEDED,
    RefusalReason.STALE_SESSION: pb.REFUSAL_REASON_STALE_SESSION,
    RefusalReason.BAD_MESSAGE: pb.REFUSAL_REASON_BAD_MESSAGE,
    RefusalReason.OLD_COORDINATOR: pb.REFUSAL_REASON_OLD_COORDINATOR,
}


def read_items(items: Sequence[pb.AgentItem]) -> list[AgentMessage]:
    """Return the values of one message's items, in order."""
    if len(items) > MOST_ITEMS:
        raise BadMessage(f"a message holds {len(items)} items; at most {MOST_ITEMS} are taken")
    messages: list[AgentMessage] = []
    for item in items:
        reader = _READERS.get(item.WhichOneof("item"))
        if reader is not None:
            messages.append(reader(item))
    return messages


def write_welcome(
    *,
    protocol: int,
    epoch: int,
    clock: int,
    heartbeat_seconds: int,
    log_window: int,
    version: str,
    audit_head: SignedHead | None = None,
    recoveries: Sequence[RecoveryRecord] = (),
) -> pb.CoordinatorItem:
    """Return the item that admits a session; of recoveries, the newest come last."""
    return pb.CoordinatorItem(
        welcome=pb.Welcome(
            protocol=protocol,
            epoch=epoch,
            clock=clock,
            heartbeat_seconds=heartbeat_seconds,
            log_window=log_window,
            coordinator_version=version,
            audit_head=None if audit_head is None else _write_head(audit_head),
            recoveries=[pb.Recovery(statement=each.statement, signature=each.signature) for each in recoveries],
        )
    )


def write_audit_head(head: SignedHead) -> pb.CoordinatorItem:
    """Return the item that shows an agent how far the audit log has come."""
    return pb.CoordinatorItem(audit_head=_write_head(head))


def _write_head(head: SignedHead) -> pb.AuditHead:
    return pb.AuditHead(log=head.log, sequence=head.sequence, hash=head.hash, key=head.key, signature=head.signature)


def write_refusal(refused: Refused) -> pb.CoordinatorItem:
    """Return the item that refuses or ends a session."""
    return pb.CoordinatorItem(
        refusal=pb.Refusal(reason=_REFUSALS[refused.reason], message=refused.message, retry=refused.retry)
    )


def write_assignment(assignment: Assignment) -> pb.CoordinatorItem:
    """Return the item that carries an attempt to its agent; raises ValueError for what JSON cannot hold."""
    return pb.CoordinatorItem(
        assignment=pb.Assignment(
            key=_write_key(assignment.key),
            epoch=assignment.epoch,
            plan_digest=assignment.plan_digest,
            step_type=assignment.step_type,
            effect=_EFFECTS[assignment.effect],
            parameters=_write_json(assignment.parameters),
            outputs=_write_json(assignment.outputs) if assignment.outputs else b"",
            secrets=assignment.secrets,
            timeout_ms=_milliseconds(assignment.timeout),
            host_variables=_write_json(assignment.host_variables) if assignment.host_variables else b"",
            sensitive_outputs=assignment.sensitive_outputs,
            planned_step=assignment.planned_step,
        )
    )


def write_signed_plan(plan: SignedPlan) -> pb.CoordinatorItem:
    """Return the item that shows a host its slice of a plan, and who has agreed to it."""
    approvals = [
        pb.SignedApproval(
            gate=each.gate,
            number=each.number,
            asked_at=each.asked_at,
            signatures=[pb.DecisionSignature(key=key, signature=made) for key, made in each.signatures.items()],
        )
        for each in plan.approvals
    ]
    return pb.CoordinatorItem(
        signed_plan=pb.SignedPlan(
            execution=plan.execution,
            head=plan.head,
            slice=plan.slice,
            slice_digests=plan.slice_digests,
            approvals=approvals,
        )
    )


def write_cancel(key: AttemptKey, epoch: int, reason: str) -> pb.CoordinatorItem:
    """Return the item that stops an attempt."""
    return pb.CoordinatorItem(cancel=pb.Cancel(key=_write_key(key), epoch=epoch, reason=reason[:LONGEST_TEXT]))


def write_result_ack(key: AttemptKey) -> pb.CoordinatorItem:
    """Return the item that lets the agent forget an attempt."""
    return pb.CoordinatorItem(result_ack=pb.ResultAck(key=_write_key(key)))


def write_log_ack(key: AttemptKey, offset: int) -> pb.CoordinatorItem:
    """Return the item that says how much of a log is kept."""
    return pb.CoordinatorItem(log_ack=pb.LogAck(key=_write_key(key), offset=offset))


def write_ping(nonce: str) -> pb.CoordinatorItem:
    """Return the item that asks for a heartbeat with `nonce`."""
    return pb.CoordinatorItem(ping=pb.Ping(nonce=nonce))


def write_query(query_id: str, query: Query, secrets: Mapping[str, bytes]) -> pb.CoordinatorItem:
    """Return the item that asks a host; `secrets` are sealed for it."""
    return pb.CoordinatorItem(
        query=pb.Query(
            query_id=query_id,
            purpose=_PURPOSES[query.purpose],
            step_type=query.step_type,
            parameters=_write_json(query.parameters),
            timeout_ms=_milliseconds(query.timeout),
            secrets=secrets,
            host_variables=_write_json(query.host_variables) if query.host_variables else b"",
        )
    )


def write_goodbye(reconnect_ms: int) -> pb.CoordinatorItem:
    """Return the item that announces the end of the stream."""
    return pb.CoordinatorItem(goodbye=pb.Goodbye(reconnect_ms=reconnect_ms))


def write_message(items: Iterable[pb.CoordinatorItem]) -> pb.SessionResponse:
    """Return one message with these items."""
    return pb.SessionResponse(items=items)


def _read_hello(item: pb.AgentItem) -> Hello:
    hello = item.hello
    return Hello(
        protocol_min=hello.protocol_min,
        protocol_max=hello.protocol_max,
        greeting=Greeting(
            agent_version=_text(hello.agent_version, "hello.agent_version", LONGEST_ID),
            instance_id=_named(hello.instance_id, "hello.instance_id"),
            journal_id=_named(hello.journal_id, "hello.journal_id"),
            journal_sequence=hello.journal_sequence,
            session_counter=hello.session_counter,
            highest_epoch=hello.highest_epoch,
            boot_id=_text(hello.boot_id, "hello.boot_id", LONGEST_ID),
            clock=hello.clock,
            slots=hello.slots,
            witness=_witness(hello.witness) if hello.HasField("witness") else None,
        ),
        inventory=_inventory(hello.inventory),
    )


def _witness(head: pb.AuditHead) -> SeenHead:
    if len(head.key) > LONGEST_ID or len(head.signature) > LONGEST_ID or head.sequence > LARGEST_EXACT_INTEGER:
        raise BadMessage("hello.witness has a field that is too large")
    return SeenHead(
        log=_named(head.log, "hello.witness.log"),
        sequence=head.sequence,
        hash=_named(head.hash, "hello.witness.hash"),
        key=head.key,
        signature=head.signature,
    )


def _read_inventory(item: pb.AgentItem) -> HostInventory:
    return _inventory(item.inventory)


def _inventory(inventory: pb.Inventory) -> HostInventory:
    """Read what a host says of itself. What cannot be used is left out and marked; the session goes on."""
    facts, wrong = _facts(inventory.facts)
    step_types, wrong_types = _step_types(inventory.step_types)
    try:
        quarantined = _json_objects(inventory.quarantined, "inventory.quarantined")
    except BadMessage as error:
        quarantined, wrong = (), (*wrong, str(error))
    return HostInventory(facts, step_types, marks((*wrong, *wrong_types), quarantined))


def _facts(data: bytes) -> tuple[Mapping[str, Json], tuple[str, ...]]:
    try:
        return fitting_facts(_json_object(data, "inventory.facts"))
    except BadMessage as error:
        return {}, (str(error),)


@lru_cache(maxsize=64)
def _step_types(data: bytes) -> tuple[tuple[Mapping[str, Json], ...], tuple[str, ...]]:
    # A thousand hosts with the same plugins announce the same bytes when they come back.
    try:
        return fitting_step_types(_json_objects(data, "inventory.step_types"))
    except BadMessage as error:
        return (), (str(error),)


def _read_journal(item: pb.AgentItem) -> JournalPage:
    return JournalPage(
        entries=tuple(_read_entry(entry) for entry in item.journal.entries),
        complete=item.journal.complete,
        size=item.ByteSize(),
    )


def _read_entry(entry: pb.JournalEntry) -> JournalEntry:
    key = _read_key(entry.key)
    state = _STATES.get(entry.state)
    if state is None:
        raise BadMessage(f"journal entry {key}: state {entry.state} is unknown")
    report = _report(entry.result) if state is JournalState.EXITED else None
    if report is not None and report.key != key:
        raise BadMessage(f"journal entry {key} holds the result of another attempt, {report.key}")
    return JournalEntry(key=key, state=state, epoch=entry.epoch, started_at=entry.started_at, report=report)


def _read_accepted(item: pb.AgentItem) -> Accepted:
    return Accepted(key=_read_key(item.accepted.key), epoch=item.accepted.epoch)


def _read_started(item: pb.AgentItem) -> Started:
    started = item.started
    return Started(key=_read_key(started.key), epoch=started.epoch, started_at=started.started_at)


def _read_result(item: pb.AgentItem) -> AttemptReport:
    return _report(item.result)


def _report(result: pb.Result) -> AttemptReport:
    key = _read_key(result.key)
    outcome = _OUTCOMES.get(result.outcome)
    if outcome is None:
        raise BadMessage(f"result of {key}: outcome {result.outcome} is unknown")
    outputs = _json_object(result.outputs, "result.outputs", LARGEST_OUTPUTS)
    if result.digest != _result_digest(key, outcome, _text(result.error, "result.error", LONGEST_TEXT), outputs):
        raise BadMessage(f"result of {key}: its digest is not that of its outcome, error and outputs")
    return AttemptReport(
        key=key,
        epoch=result.epoch,
        outcome=outcome,
        outputs=outputs,
        digest=result.digest,
        failure_kind=_failure(result.failure_kind, "result.failure_kind"),
        error=result.error,
        started_at=result.started_at,
        ended_at=result.ended_at,
        evidence=_json_object(result.evidence, "result.evidence", LARGEST_EVIDENCE),
    )


def _result_digest(key: AttemptKey, outcome: Outcome, error: str, outputs: Mapping[str, Json]) -> str:
    try:
        return result_digest(outcome.value, error, canonical(outputs))
    except (CanonicalError, RecursionError) as problem:
        raise BadMessage(f"result of {key}: its outputs have no canonical form: {str(problem)[:200]}") from problem


def _read_log(item: pb.AgentItem) -> LogPiece:
    log = item.log
    if len(log.data) > LARGEST_LOG:
        raise BadMessage(f"a log chunk has {len(log.data)} bytes; at most {LARGEST_LOG} are taken")
    if log.offset + log.dropped + len(log.data) >= 2**63:
        raise BadMessage(f"a log chunk claims the offset {log.offset}, beyond any file")
    return LogPiece(key=_read_key(log.key), offset=log.offset, data=log.data, dropped=log.dropped, last=log.last)


def _read_progress(item: pb.AgentItem) -> Progress:
    progress = item.progress
    fraction = progress.fraction if 0 <= progress.fraction <= 1 else None
    return Progress(key=_read_key(progress.key), fraction=fraction, text=_text(progress.text, "progress.text", 1_024))


def _read_heartbeat(item: pb.AgentItem) -> Heartbeat:
    beat = item.heartbeat
    return Heartbeat(
        clock=beat.clock,
        nonce=_text(beat.nonce, "heartbeat.nonce", LONGEST_ID),
        running=beat.running,
        waiting=beat.waiting,
    )


def _read_query_answer(item: pb.AgentItem) -> Answered:
    answer = item.query_answer
    return Answered(
        query_id=_text(answer.query_id, "query_answer.query_id", LONGEST_ID),
        answer=QueryAnswer(
            ok=answer.ok,
            answer=_json_object(answer.answer, "query_answer.answer"),
            failure_kind=_failure(answer.failure_kind, "query_answer.failure_kind"),
            error=_text(answer.error, "query_answer.error", LONGEST_TEXT),
        ),
    )


_READERS: Final[Mapping[str | None, Callable[[pb.AgentItem], AgentMessage]]] = {
    "hello": _read_hello,
    "journal": _read_journal,
    "accepted": _read_accepted,
    "started": _read_started,
    "result": _read_result,
    "log": _read_log,
    "progress": _read_progress,
    "heartbeat": _read_heartbeat,
    "inventory": _read_inventory,
    "query_answer": _read_query_answer,
}


def _read_key(key: pb.AttemptKey) -> AttemptKey:
    kind = _KINDS.get(key.kind)
    if kind is None or key.attempt < 1:
        raise BadMessage(f"an attempt key has kind {key.kind} and number {key.attempt}; the protocol allows neither")
    return AttemptKey(
        execution=_named(key.execution, "key.execution"),
        path=_text(key.path, "key.path", LONGEST_PATH),
        host=_text(key.host, "key.host", LONGEST_ID),
        item=_text(key.item, "key.item", LONGEST_PATH),
        kind=kind,
        attempt=key.attempt,
    )


def _write_key(key: AttemptKey) -> pb.AttemptKey:
    return pb.AttemptKey(
        execution=key.execution,
        path=key.path,
        host=key.host,
        item=key.item,
        kind=_KIND_NUMBERS[key.kind],
        attempt=key.attempt,
    )


def _failure(number: pb.FailureKind, what: str) -> FailureKind | None:
    try:
        return _FAILURES[number]
    except KeyError:
        raise BadMessage(f"{what} {number} is unknown") from None


def _text(text: str, field: str, longest: int) -> str:
    if len(text) > longest:
        raise BadMessage(f"{field} has {len(text)} characters; at most {longest} are taken")
    return text


def _named(text: str, field: str) -> str:
    if not text:
        raise BadMessage(f"{field} is empty")
    return _text(text, field, LONGEST_ID)


def _json_object(data: bytes, field: str, largest: int = LARGEST_JSON) -> Mapping[str, Json]:
    if not data:
        return {}
    value = _json(data, field, largest)
    if not isinstance(value, dict):
        raise BadMessage(f"{field} is no JSON object")
    return cast("Mapping[str, Json]", value)


def _json_objects(data: bytes, field: str) -> tuple[Mapping[str, Json], ...]:
    value = _json(data, field) if data else []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise BadMessage(f"{field} is no JSON list of objects")
    return tuple(value)


def _json(data: bytes, field: str, largest: int = LARGEST_JSON) -> Any:
    if len(data) > largest:
        raise BadMessage(f"{field} has {len(data)} bytes; at most {largest} are taken")
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"{field} is no JSON: {str(error)[:200]}") from error


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _write_json(value: Mapping[str, Json]) -> bytes:
    return _ENCODER.encode(value).encode()


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def _milliseconds(microseconds: int) -> int:
    return -(-microseconds // 1_000)
