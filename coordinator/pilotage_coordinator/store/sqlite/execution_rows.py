"""Between records of executions and rows of their tables."""

from collections.abc import Iterable

from pilotage_proto.attempt import AttemptKey, AttemptKind

from pilotage_coordinator.store.records import (
    AttemptRecord,
    AttemptUpdate,
    EventRecord,
    ExecutionChange,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    Progress,
    StepRunRecord,
)
from pilotage_coordinator.store.sqlite.access import Row
from pilotage_coordinator.store.sqlite.codec import read_json, write_json


def creation_row(creation: ExecutionCreation) -> Row:
    """Return the parameters of `execution_insert`."""
    record = creation.execution
    return (
        record.id,
        record.blueprint_id,
        record.blueprint_version,
        record.plan_digest,
        record.requested_by,
        record.created_at,
        creation.events[-1].sequence if creation.events else 0,
        record.progress.status,
        record.progress.reason,
        record.progress.outcome,
        record.progress.started_at,
        record.progress.ended_at,
        write_json(record.progress.counts),
        write_json(record.progress.warnings),
        record.name,
    )


def inputs_row(creation: ExecutionCreation) -> Row:
    """Return the parameters of `inputs_insert`."""
    inputs = creation.inputs
    answers = None if inputs.answers is None else write_json(inputs.answers)
    request = None if inputs.request is None else write_json(inputs.request)
    return (creation.execution.id, write_json(inputs.parameters), inputs.sealed, answers, request)


def execution_inputs(row: Row) -> ExecutionInputs:
    """Read a row with the columns of `inputs_by_execution`."""
    answers, request = (None if text is None else read_json(text) for text in row[2:4])
    return ExecutionInputs(read_json(row[0]), row[1], answers, request)


def advance_row(change: ExecutionChange) -> dict[str, object]:
    """Return the parameters of `execution_advance` and `execution_advance_silently`."""
    progress = change.progress
    row: dict[str, object] = {
        "id": change.execution,
        "version": change.expected_version,
        "status": progress.status,
        "reason": progress.reason,
        "outcome": progress.outcome,
        "started_at": progress.started_at,
        "ended_at": progress.ended_at,
        "counts": write_json(progress.counts),
        "warnings": write_json(progress.warnings),
    }
    if change.events:
        row["before"] = change.events[0].sequence - 1
        row["last"] = change.events[-1].sequence
    return row


def event_rows(execution: str, events: Iterable[EventRecord]) -> list[Row]:
    """Return the parameters of `event_insert`."""
    return [(execution, event.sequence, event.at, event.type, write_json(event.data)) for event in events]


def step_run_rows(execution: str, runs: Iterable[StepRunRecord]) -> list[Row]:
    """Return the parameters of `step_run_put`."""
    return [
        (
            execution,
            run.path,
            run.host,
            run.item,
            run.status,
            run.reason,
            run.attempts,
            run.started_at,
            run.ended_at,
            None if run.outputs is None else write_json(run.outputs),
            run.error,
            run.failure_kind,
        )
        for run in runs
    ]


def attempt_rows(attempts: Iterable[AttemptRecord]) -> list[Row]:
    """Return the parameters of `attempt_insert`."""
    return [
        (
            *key_row(attempt.key),
            attempt.epoch,
            attempt.status,
            attempt.effect,
            attempt.step_type,
            write_json(attempt.parameters),
            attempt.created_at,
            attempt.started_at,
            attempt.ended_at,
            attempt.outcome,
            attempt.digest,
            write_json(attempt.evidence),
        )
        for attempt in attempts
    ]


def attempt_update_row(update: AttemptUpdate) -> dict[str, object]:
    """Return the parameters of `attempt_update`."""
    key = update.key
    return {
        "execution": key.execution,
        "path": key.path,
        "host": key.host,
        "item": key.item,
        "kind": key.kind.value,
        "attempt": key.attempt,
        "status": update.status,
        "expected": update.expected_epoch,
        "epoch": update.epoch,
        "started_at": update.started_at,
        "ended_at": update.ended_at,
        "outcome": update.outcome,
        "digest": update.digest,
        "evidence": write_json(update.evidence),
    }


def key_row(key: AttemptKey) -> Row:
    """Return the columns of an attempt's primary key."""
    return (key.execution, key.path, key.host, key.item, key.kind.value, key.attempt)


def read_key(row: Row) -> AttemptKey:
    """Read the columns of an attempt's primary key, the first of a row."""
    return AttemptKey(row[0], row[1], row[2], row[3], AttemptKind(row[4]), row[5])


def execution_record(row: Row) -> ExecutionRecord:
    """Read a row with the columns of `execution_by_id`."""
    return ExecutionRecord(
        id=row[0],
        blueprint_id=row[1],
        blueprint_version=row[2],
        plan_digest=row[3],
        requested_by=row[4],
        created_at=row[5],
        version=row[6],
        sequence=row[7],
        progress=Progress(
            status=row[8],
            reason=row[9],
            outcome=row[10],
            started_at=row[11],
            ended_at=row[12],
            counts=read_json(row[13]),
            warnings=tuple(read_json(row[14])),
        ),
        name=row[15],
    )


def event_record(row: Row) -> EventRecord:
    """Read a row with the columns of `events_after`."""
    return EventRecord(sequence=row[0], at=row[1], type=row[2], data=read_json(row[3]))


def step_run_record(row: Row) -> StepRunRecord:
    """Read a row with the columns of `step_run_by_key`."""
    return StepRunRecord(
        path=row[0],
        host=row[1],
        item=row[2],
        status=row[3],
        reason=row[4],
        attempts=row[5],
        started_at=row[6],
        ended_at=row[7],
        outputs=None if row[8] is None else read_json(row[8]),
        error=row[9],
        failure_kind=row[10],
    )


def attempt_record(row: Row) -> AttemptRecord:
    """Read a row with the columns of `attempts_of_path`."""
    return AttemptRecord(
        key=read_key(row),
        epoch=row[6],
        status=row[7],
        effect=row[8],
        step_type=row[9],
        parameters=read_json(row[10]),
        created_at=row[11],
        started_at=row[12],
        ended_at=row[13],
        outcome=row[14],
        digest=row[15],
        evidence=read_json(row[16]),
    )
