"""Journal entries as JSON, for the journal's rows and the attempts' folders."""

import base64
import json
from typing import Any

from pilotage_proto.attempt import AttemptKey, AttemptKind

from pilotage_agent.ledger import Entry, WorkerIdentity
from pilotage_agent.messages import Assignment, Effect, EntryState, FailureKind, Outcome, Result


def entry_to_json(entry: Entry) -> str:
    """Write an entry. The assignment, which may be large, is kept only for a recovery or a probe, once it has begun.

    One that is merely accepted is sent again after a restart, and taken then because it has none.
    """
    kept = entry.assignment if entry.outlives_its_start else None
    return json.dumps(
        {
            "key": _key_to_list(entry.key),
            "state": entry.state.value,
            "epoch": entry.epoch,
            "effect": entry.effect.value,
            "step_type": entry.step_type,
            "timeout_ms": entry.timeout_ms,
            "started_at": entry.started_at,
            "worker": _worker_to_list(entry.worker),
            "assignment": None if kept is None else _assignment_to_dict(kept),
            "result": result_to_dict(entry.result) if entry.result else None,
            "recovers": entry.recovers,
        }
    )


def entry_from_json(text: str) -> Entry:
    """Read what `entry_to_json` wrote; raises ValueError for anything else."""
    try:
        return _entry_from_dict(json.loads(text))
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise ValueError(f"no journal record ({type(error).__name__}: {error})") from error


def _entry_from_dict(data: dict[str, Any]) -> Entry:
    key = _key_from_list(data["key"])
    epoch = int(data["epoch"])
    worker = data["worker"]
    return Entry(
        key=key,
        state=EntryState(data["state"]),
        epoch=epoch,
        effect=Effect(data["effect"]),
        step_type=str(data["step_type"]),
        timeout_ms=int(data["timeout_ms"]),
        started_at=int(data["started_at"]),
        worker=None if worker is None else WorkerIdentity(str(worker[0]), int(worker[1]), int(worker[2])),
        assignment=None if data["assignment"] is None else _assignment_from_dict(key, epoch, data["assignment"]),
        result=None if data["result"] is None else result_from_dict(key, epoch, data["result"]),
        # Records of an agent that knew no recovery lack it.
        recovers=bool(data.get("recovers", False)),
    )


def result_to_dict(result: Result) -> dict[str, Any]:
    """Return a result, without its key and epoch, as JSON values."""
    return {
        "outcome": result.outcome.value,
        "outputs": result.outputs.decode(),
        "digest": result.digest,
        "failure_kind": result.failure_kind or "",
        "error": result.error,
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "evidence": result.evidence.decode(),
    }


def result_from_dict(key: AttemptKey, epoch: int, data: dict[str, Any]) -> Result:
    """Read what `result_to_dict` wrote."""
    return Result(
        key=key,
        epoch=epoch,
        outcome=Outcome(data["outcome"]),
        outputs=str(data["outputs"]).encode(),
        digest=str(data["digest"]),
        failure_kind=FailureKind(kind) if (kind := data["failure_kind"]) else None,
        error=str(data["error"]),
        started_at=int(data["started_at"]),
        ended_at=int(data["ended_at"]),
        evidence=str(data["evidence"]).encode(),
    )


def _key_to_list(key: AttemptKey) -> list[Any]:
    return [key.execution, key.path, key.host, key.item, key.kind.value, key.attempt]


def _key_from_list(data: list[Any]) -> AttemptKey:
    execution, path, host, item, kind, attempt = data
    return AttemptKey(str(execution), str(path), str(host), str(item), AttemptKind(kind), int(attempt))


def _worker_to_list(worker: WorkerIdentity | None) -> list[Any] | None:
    return None if worker is None else [worker.boot_id, worker.pid, worker.start_time]


def _assignment_to_dict(assignment: Assignment) -> dict[str, Any]:
    """Secrets stay sealed: only this agent's key opens them, and only for this attempt."""
    return {
        "plan_digest": assignment.plan_digest,
        "step_type": assignment.step_type,
        "effect": assignment.effect.value,
        "parameters": assignment.parameters.decode(),
        "outputs": assignment.outputs.decode(),
        "secrets": {name: base64.b64encode(blob).decode() for name, blob in assignment.secrets.items()},
        "timeout_ms": assignment.timeout_ms,
        "host_variables": assignment.host_variables.decode(),
        "sensitive_outputs": list(assignment.sensitive_outputs),
    }


def _assignment_from_dict(key: AttemptKey, epoch: int, data: dict[str, Any]) -> Assignment:
    return Assignment(
        key=key,
        epoch=epoch,
        plan_digest=str(data["plan_digest"]),
        step_type=str(data["step_type"]),
        effect=Effect(data["effect"]),
        parameters=str(data["parameters"]).encode(),
        outputs=str(data["outputs"]).encode(),
        secrets={str(name): base64.b64decode(blob) for name, blob in data["secrets"].items()},
        timeout_ms=int(data["timeout_ms"]),
        host_variables=str(data["host_variables"]).encode(),
        sensitive_outputs=tuple(data["sensitive_outputs"]),
    )
