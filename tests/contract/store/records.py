"""Rows to test with: each function makes a valid one, whose fields a test may change."""

from dataclasses import replace
from typing import Any

from pilotage_coordinator.store.records import (
    AttemptRecord,
    AuditEntry,
    BlueprintRecord,
    CertificateRecord,
    EnrolmentRecord,
    EventRecord,
    ExecutionChange,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    HostRecord,
    PlanRecord,
    Progress,
    StepRunRecord,
)
from pilotage_proto.attempt import AttemptKey, AttemptKind

NOW = 1_760_000_000_000_000
PLAN = PlanRecord(digest="sha256:plan", content={"steps": ["backup"]}, view={"title": "Backup"}, created_at=NOW)


def execution(id: str = "exe_1", blueprint: str = "backup", **progress: Any) -> ExecutionRecord:
    return ExecutionRecord(
        id=id,
        blueprint_id=blueprint,
        blueprint_version="1.0.0",
        plan_digest=PLAN.digest,
        requested_by="ann",
        created_at=NOW,
        progress=replace(Progress(status="pending"), **progress),
    )


def creation(id: str = "exe_1", blueprint: str = "backup", **fields: Any) -> ExecutionCreation:
    return replace(
        ExecutionCreation(
            execution=execution(id, blueprint),
            inputs=ExecutionInputs(parameters={"days": 30}, sealed=b"\x00sealed"),
            events=(event(1, "created"),),
        ),
        **fields,
    )


def event(sequence: int, type: str = "step_started") -> EventRecord:
    return EventRecord(sequence=sequence, at=NOW + sequence, type=type, data={"step": "backup", "n": sequence})


def change(id: str = "exe_1", version: int = 0, **fields: Any) -> ExecutionChange:
    """Return the change from a version to the next, with one event, in a history where each version brought one."""
    base = ExecutionChange(
        execution=id,
        expected_version=version,
        progress=Progress(status="running", started_at=NOW + 1, counts={"running": 1}, warnings=("slow",)),
        events=(event(version + 2),),
    )
    return replace(base, **fields)


def step_run(path: str = "backup", host: str = "db1", item: str = "", **fields: Any) -> StepRunRecord:
    return replace(StepRunRecord(path=path, host=host, item=item, status="running", attempts=1), **fields)


def key(execution: str = "exe_1", path: str = "backup", host: str = "db1", attempt: int = 1) -> AttemptKey:
    return AttemptKey(execution, path, host, "", AttemptKind.RUN, attempt)


def attempt(key: AttemptKey, **fields: Any) -> AttemptRecord:
    return replace(
        AttemptRecord(
            key=key,
            epoch=1,
            status="assigned",
            effect="once",
            step_type="backup.create",
            parameters={"paths": ["/etc"]},
            created_at=NOW,
        ),
        **fields,
    )


def audit(operation: str = "run.start", **fields: Any) -> AuditEntry:
    return replace(
        AuditEntry(
            at=NOW, principal="ann", operation=operation, subject="exe_1", outcome="allowed", detail={"from": "cli"}
        ),
        **fields,
    )


def blueprint(version: str = "1.0.0", digest: str = "sha256:a", **fields: Any) -> BlueprintRecord:
    return replace(
        BlueprintRecord(
            id="backup",
            version=version,
            digest=digest,
            source="id: backup\n",
            normalised={"id": "backup", "name": "Backup", "steps": []},
            added_at=NOW,
            added_by="ann",
        ),
        **fields,
    )


def host(name: str = "db1", id: str = "", **fields: Any) -> HostRecord:
    return replace(HostRecord(id=id or f"hst_{name}", name=name, joined_at=NOW, key_digest=f"sha256:{name}"), **fields)


def token(hash: str = "sha256:token", **fields: Any) -> EnrolmentRecord:
    return replace(
        EnrolmentRecord(token_hash=hash, created_at=NOW, created_by="ann", expires_at=NOW + 900_000_000), **fields
    )


def certificate(host: str = "hst_db1", serial: str = "01", **fields: Any) -> CertificateRecord:
    return replace(
        CertificateRecord(serial=serial, host=host, not_before=NOW, not_after=NOW + 86_400_000_000), **fields
    )
