"""Old executions go with their logs; the audit log and what is newer stay."""

from dataclasses import replace
from pathlib import Path

import pytest
from pilotage_coordinator.domain.fleet import LogPiece
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.upkeep import DAY, Upkeep
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.logs import LogFolder
from pilotage_coordinator.store.records import (
    AuditEntry,
    EventRecord,
    ExecutionChange,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    PlanRecord,
    Progress,
)
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import open_simulated_store
from pilotage_proto.attempt import AttemptKey, AttemptKind

NOW = 1_000 * DAY


class StoppedClock:
    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0


async def test_history_is_forgotten_with_its_logs_and_the_audit_log_stays(tmp_path: Path) -> None:
    store = await open_simulated_store(SimulatedDisk(), now=0, new_id=lambda prefix: f"{prefix}_1")
    logs = LogFolder(tmp_path)
    upkeep = Upkeep(store, logs, LiveInventory(store.hosts, StoppedClock()), StoppedClock(), history_days=10)
    await store.plans.put(PlanRecord("sha256:1", {"plan": 1}))
    await store.audit.append(AuditEntry(0, "anna", "run.start", "exe_old", "allowed"))
    for name, ended in (("exe_old", NOW - 11 * DAY), ("exe_new", NOW - 9 * DAY), ("exe_open", None)):
        await _store_execution(store, name, ended)
        await logs.append(LogPiece(AttemptKey(name, "a", "h", "", AttemptKind.RUN, 1), 0, b'{"m":"x"}\n', last=True))
    await upkeep.round()
    with pytest.raises(NotFound):
        await store.executions.get("exe_old")
    assert not (await logs.read(AttemptKey("exe_old", "a", "h", "", AttemptKind.RUN, 1))).data
    for kept in ("exe_new", "exe_open"):
        assert (await store.executions.get(kept)).id == kept
        assert (await logs.read(AttemptKey(kept, "a", "h", "", AttemptKind.RUN, 1))).data
    assert len(await store.audit.read()) == 1
    await logs.close()
    await store.close()


async def test_nothing_is_forgotten_where_history_is_kept_for_ever(tmp_path: Path) -> None:
    store = await open_simulated_store(SimulatedDisk(), now=0, new_id=lambda prefix: f"{prefix}_1")
    logs = LogFolder(tmp_path)
    await store.plans.put(PlanRecord("sha256:1", {"plan": 1}))
    await _store_execution(store, "exe_old", 1)
    await Upkeep(store, logs, LiveInventory(store.hosts, StoppedClock()), StoppedClock(), history_days=0).round()
    assert (await store.executions.get("exe_old")).id == "exe_old"
    await logs.close()
    await store.close()


async def _store_execution(store, name: str, ended: int | None) -> None:  # type: ignore[no-untyped-def]
    record = ExecutionRecord(name, "b", "1.0.0", "sha256:1", "anna", 0, Progress("running"))
    await store.executions.create(ExecutionCreation(record, ExecutionInputs()))
    if ended is not None:
        progress = replace(record.progress, status="completed", started_at=1, ended_at=ended)
        event = EventRecord(1, ended, "execution_moved", {"to": "completed"})
        await store.executions.commit(ExecutionChange(name, 0, progress, (event,)))
