"""The one place where the agent's values meet protobuf. fleet.proto is the contract."""

from collections.abc import Iterable
from typing import Any, Final

from pilotage_proto.attempt import AttemptKey, AttemptKind
from pilotage_proto.limits import MOST_ITEMS
from pilotage_proto.v1 import fleet_pb2 as pb

from pilotage_agent import messages as m
from pilotage_agent.errors import LinkLost
from pilotage_agent.results import bounded

LONGEST_NAME: Final = 4_096
"""Characters of one field of an attempt's key."""
LARGEST_STORED: Final = 2**63 - 1

LONGEST_HEAD_FIELD: Final = 256
LARGEST_RECOVERY: Final = 16 * 1024
MOST_RECOVERIES: Final = 32
"""Of a coordinator that was restored more often, the newest."""
MOST_APPROVALS: Final = 256
"""Of one execution, the newest."""
MOST_SIGNATURES: Final = 64
"""Of one approval."""
_KIND: Final = {AttemptKind.RUN: pb.ATTEMPT_KIND_RUN, AttemptKind.UNDO: pb.ATTEMPT_KIND_UNDO}
_KIND_BACK: Final = {number: kind for kind, number in _KIND.items()}
_STATE: Final = {
    m.EntryState.ACCEPTED: pb.JOURNAL_STATE_ACCEPTED,
    m.EntryState.STARTED: pb.JOURNAL_STATE_STARTED,
    m.EntryState.EXITED: pb.JOURNAL_STATE_EXITED,
}
_OUTCOME: Final = {
    m.Outcome.SUCCEEDED: pb.OUTCOME_SUCCEEDED,
    m.Outcome.FAILED: pb.OUTCOME_FAILED,
    m.Outcome.CANCELLED: pb.OUTCOME_CANCELLED,
    m.Outcome.INTERRUPTED: pb.OUTCOME_INTERRUPTED,
    m.Outcome.DECLINED: pb.OUTCOME_DECLINED,
}
_FAILURE: Final = {
    None: pb.FAILURE_KIND_UNSPECIFIED,
    m.FailureKind.PARAMETER: pb.FAILURE_KIND_PARAMETER,
    m.FailureKind.TARGET: pb.FAILURE_KIND_TARGET,
    m.FailureKind.POLICY: pb.FAILURE_KIND_POLICY,
    m.FailureKind.APPROVAL: pb.FAILURE_KIND_APPROVAL,
    m.FailureKind.STEP: pb.FAILURE_KIND_STEP,
    m.FailureKind.INFRASTRUCTURE: pb.FAILURE_KIND_INFRASTRUCTURE,
}
_EFFECT: Final = {
    pb.EFFECT_READ: m.Effect.READ,
    pb.EFFECT_IDEMPOTENT: m.Effect.IDEMPOTENT,
    pb.EFFECT_PROBE: m.Effect.PROBE,
    pb.EFFECT_ONCE: m.Effect.ONCE,
}
_REASON: Final = {
    pb.REFUSAL_REASON_PROTOCOL: m.RefusalReason.PROTOCOL,
    pb.REFUSAL_REASON_REVOKED: m.RefusalReason.REVOKED,
    pb.REFUSAL_REASON_QUARANTINED: m.RefusalReason.QUARANTINED,
    pb.REFUSAL_REASON_SUPERSEDED: m.RefusalReason.SUPERSEDED,
    pb.REFUSAL_REASON_STALE_SESSION: m.RefusalReason.STALE_SESSION,
    pb.REFUSAL_REASON_BAD_MESSAGE: m.RefusalReason.BAD_MESSAGE,
    pb.REFUSAL_REASON_OLD_COORDINATOR: m.RefusalReason.OLD_COORDINATOR,
}
_PURPOSE: Final = {
    pb.QUERY_PURPOSE_PREVIEW: m.QueryPurpose.PREVIEW,
    pb.QUERY_PURPOSE_READ: m.QueryPurpose.READ,
}


def to_request(items: Iterable[m.AgentItem]) -> pb.SessionRequest:
    """Return the message that carries these items."""
    return pb.SessionRequest(items=[_item_out(item) for item in items])


def from_response(response: pb.SessionResponse) -> list[m.CoordinatorItem]:
    """Return the items of a message. Kinds that this version does not know are left out; raises LinkLost for known
    kinds that make no sense."""
    found = []
    if len(response.items) > MOST_ITEMS:
        raise LinkLost(
            f"the coordinator sent {len(response.items)} items in one message; at most {MOST_ITEMS} are taken"
        )
    for item in response.items:
        kind = item.WhichOneof("item")
        if kind is None:
            continue
        try:
            found.append(_READERS[kind](getattr(item, kind)))
        except (KeyError, ValueError) as error:
            raise LinkLost(f"the coordinator sent a {kind} that cannot be read: {error!r}") from error
    return found


def key_out(key: AttemptKey) -> pb.AttemptKey:
    """Return the wire form of a key."""
    return pb.AttemptKey(
        execution=key.execution,
        path=key.path,
        host=key.host,
        item=key.item,
        kind=_KIND[key.kind],
        attempt=key.attempt,
    )


def key_in(key: pb.AttemptKey) -> AttemptKey:
    """Read a key; raises KeyError for a kind that is none, ValueError for what the protocol does not allow."""
    if not key.execution or not key.path or not key.attempt:
        raise ValueError("an attempt key without execution, path or attempt")
    fields = (key.execution, key.path, key.host, key.item)
    if any(len(field) > LONGEST_NAME or "\0" in field for field in fields):
        raise ValueError(f"an attempt key with a field beyond {LONGEST_NAME} characters, or with a NUL in it")
    return AttemptKey(key.execution, key.path, key.host, key.item, _KIND_BACK[key.kind], key.attempt)


def _item_out(item: m.AgentItem) -> pb.AgentItem:
    match item:
        case m.Result():
            return pb.AgentItem(result=_result_out(item))
        case m.Accepted():
            return pb.AgentItem(accepted=pb.Accepted(key=key_out(item.key), epoch=item.epoch))
        case m.Started():
            started = pb.Started(key=key_out(item.key), epoch=item.epoch, started_at=item.started_at)
            return pb.AgentItem(started=started)
        case m.LogChunk():
            chunk = pb.LogChunk(
                key=key_out(item.key), offset=item.offset, data=item.data, dropped=item.dropped, last=item.last
            )
            return pb.AgentItem(log=chunk)
        case m.Progress():
            progress = pb.Progress(key=key_out(item.key), fraction=item.fraction, text=item.text)
            return pb.AgentItem(progress=progress)
        case m.Heartbeat():
            beat = pb.Heartbeat(clock=item.clock, nonce=item.nonce, running=item.running, waiting=item.waiting)
            return pb.AgentItem(heartbeat=beat)
        case m.Inventory():
            return pb.AgentItem(inventory=_inventory_out(item))
        case m.QueryAnswer():
            answer = pb.QueryAnswer(
                query_id=item.query_id,
                ok=item.ok,
                answer=item.answer,
                failure_kind=_FAILURE[item.failure_kind],
                error=item.error,
            )
            return pb.AgentItem(query_answer=answer)
        case m.JournalPage():
            page = pb.JournalPage(entries=[_line_out(line) for line in item.entries], complete=item.complete)
            return pb.AgentItem(journal=page)
        case m.Hello():
            return pb.AgentItem(hello=_hello_out(item))


def _hello_out(hello: m.Hello) -> pb.Hello:
    return pb.Hello(
        protocol_min=hello.protocol_min,
        protocol_max=hello.protocol_max,
        agent_version=hello.agent_version,
        instance_id=hello.instance_id,
        journal_id=hello.journal_id,
        journal_sequence=hello.journal_sequence,
        session_counter=hello.session_counter,
        highest_epoch=hello.highest_epoch,
        boot_id=hello.boot_id,
        clock=hello.clock,
        slots=hello.slots,
        inventory=_inventory_out(hello.inventory),
        witness=None if hello.witness is None else _head_out(hello.witness),
    )


def _head_out(head: m.AuditHead) -> pb.AuditHead:
    return pb.AuditHead(log=head.log, sequence=head.sequence, hash=head.hash, key=head.key, signature=head.signature)


def _head_in(head: pb.AuditHead) -> m.AuditHead:
    texts, blobs = (head.log, head.hash), (head.key, head.signature)
    if not all(0 < len(each) <= LONGEST_HEAD_FIELD for each in (*texts, *blobs)):
        raise ValueError("an audit head with a field that is empty or too long")
    return m.AuditHead(head.log, _stored(head.sequence, "audit entry"), head.hash, head.key, head.signature)


def _recovery_in(recovery: pb.Recovery) -> m.Recovery:
    if len(recovery.statement) > LARGEST_RECOVERY or len(recovery.signature) > LARGEST_RECOVERY:
        raise ValueError("a recovery record that is too large")
    return m.Recovery(recovery.statement, recovery.signature)


def _inventory_out(inventory: m.Inventory) -> pb.Inventory:
    return pb.Inventory(facts=inventory.facts, step_types=inventory.step_types, quarantined=inventory.quarantined)


def _line_out(line: m.JournalLine) -> pb.JournalEntry:
    return pb.JournalEntry(
        key=key_out(line.key),
        state=_STATE[line.state],
        epoch=line.epoch,
        result=None if line.result is None else _result_out(line.result),
        started_at=line.started_at,
    )


def _result_out(result: m.Result) -> pb.Result:
    return pb.Result(
        key=key_out(result.key),
        epoch=result.epoch,
        outcome=_OUTCOME[result.outcome],
        outputs=result.outputs,
        digest=result.digest,
        failure_kind=_FAILURE[result.failure_kind],
        error=result.error,
        started_at=result.started_at,
        ended_at=result.ended_at,
        evidence=result.evidence,
    )


def _stored(number: int, what: str) -> int:
    """Return a number that the journal can hold; raises ValueError for a larger one."""
    if number > LARGEST_STORED:
        raise ValueError(f"{what} {number} is beyond any that is kept")
    return number


def _welcome_in(item: pb.Welcome) -> m.Welcome:
    return m.Welcome(
        protocol=item.protocol,
        epoch=_stored(item.epoch, "epoch"),
        clock=item.clock,
        heartbeat_seconds=item.heartbeat_seconds,
        log_window=item.log_window,
        coordinator_version=item.coordinator_version,
        audit_head=_head_in(item.audit_head) if item.HasField("audit_head") else None,
        recoveries=tuple(_recovery_in(each) for each in item.recoveries[-MOST_RECOVERIES:]),
    )


def _assignment_in(item: pb.Assignment) -> m.Assignment:
    return m.Assignment(
        key=key_in(item.key),
        epoch=_stored(item.epoch, "epoch"),
        plan_digest=item.plan_digest,
        step_type=item.step_type,
        # An effect that a newer coordinator may know and we do not gets the most careful treatment.
        effect=_EFFECT.get(item.effect, m.Effect.ONCE),
        parameters=item.parameters,
        outputs=item.outputs,
        secrets=dict(item.secrets),
        timeout_ms=_stored(item.timeout_ms, "timeout"),
        host_variables=item.host_variables,
        sensitive_outputs=tuple(item.sensitive_outputs),
        planned_step=item.planned_step,
    )


def _signed_plan_in(item: pb.SignedPlan) -> m.SignedPlan:
    if not item.execution or len(item.execution) > LONGEST_NAME or len(item.head) > LONGEST_HEAD_FIELD:
        raise ValueError("a signed plan of no execution, or with a head that is no digest")
    approvals = item.approvals[-MOST_APPROVALS:]
    return m.SignedPlan(
        execution=item.execution,
        head=item.head,
        slice=item.slice,
        slice_digests=item.slice_digests,
        approvals=tuple(
            m.SignedApproval(
                each.gate, each.number, _stored(each.asked_at, "time of asking"),
                {one.key: one.signature for one in each.signatures[:MOST_SIGNATURES]},
            )
            for each in approvals
        ),
    )  # fmt: skip


def _query_in(item: pb.Query) -> m.Query:
    return m.Query(
        query_id=item.query_id,
        purpose=_PURPOSE[item.purpose],
        step_type=item.step_type,
        parameters=item.parameters,
        timeout_ms=_stored(item.timeout_ms, "timeout"),
        secrets=dict(item.secrets),
        host_variables=item.host_variables,
    )


def _refusal_in(item: pb.Refusal) -> m.Refusal:
    return m.Refusal(_REASON.get(item.reason), item.message, item.retry)


_READERS: Final[dict[str, Any]] = {
    "welcome": _welcome_in,
    "refusal": _refusal_in,
    "assignment": _assignment_in,
    "cancel": lambda item: m.Cancel(key_in(item.key), _stored(item.epoch, "epoch"), bounded(item.reason)),
    "result_ack": lambda item: m.ResultAck(key_in(item.key)),
    "log_ack": lambda item: m.LogAck(key_in(item.key), _stored(item.offset, "offset")),
    "ping": lambda item: m.Ping(item.nonce),
    "query": _query_in,
    "goodbye": lambda item: m.Goodbye(item.reconnect_ms),
    "audit_head": _head_in,
    "signed_plan": _signed_plan_in,
}
