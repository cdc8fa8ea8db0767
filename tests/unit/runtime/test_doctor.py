"""What the doctor says of a disk that is full, a host in quarantine, and an old copy of the database."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pilotage_coordinator.cli import machine
from pilotage_coordinator.domain.schedule.firing import UNSEEN
from pilotage_coordinator.runtime.audit_log import AuditLog
from pilotage_coordinator.runtime.clock import SystemClock
from pilotage_coordinator.runtime.doctor import Doctor, Finding
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.restoration import Restoration
from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_coordinator.store.records import ScheduleRecord, ScheduleStep
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store

from tests.contract.store.records import NOW, audit, certificate, host, token
from tests.unit.audit.logs import audit_key


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
async def store(disk: SimulatedDisk) -> AsyncIterator[SqliteStore]:
    store = await open_simulated_store(disk, now=0, new_id=lambda prefix: f"{prefix}_1", signer=audit_key())
    await store.enrolments.create(token())
    await store.enrolments.consume("sha256:token", host("web1"), certificate("hst_web1"), NOW)
    yield store
    await store.close()


async def said(store: SqliteStore, tmp_path: Path, check: str, **fields: Any) -> Finding:
    inventory = LiveInventory(store.hosts, SystemClock())
    await inventory.load()
    log = AuditLog(store.audit, audit_key(), "")
    found = await Doctor(store, log, inventory, SystemClock(), tmp_path, **fields).examine()
    return next(each for each in found if each.check == check)


async def test_a_full_disk_is_said_and_that_it_is_over(store: SqliteStore, disk: SimulatedDisk, tmp_path: Path) -> None:
    assert (await said(store, tmp_path, "database")).verdict == "ok"
    disk.full = True
    with pytest.raises(StoreUnavailable):
        await store.audit.append(audit())
    finding = await said(store, tmp_path, "database")
    assert (finding.verdict, "full" in finding.detail) == ("failure", True)
    disk.full = False
    await store.hosts.seen({"hst_web1": NOW})
    assert (await said(store, tmp_path, "database")).verdict == "ok"


async def test_a_host_that_has_seen_another_audit_log_is_a_failure(store: SqliteStore, tmp_path: Path) -> None:
    finding = await said(store, tmp_path, "restore", contradicting=lambda: ["web1"])
    assert (finding.verdict, "web1" in finding.detail, "accept" in finding.fix) == ("failure", True, True)
    assert (await said(store, tmp_path, "restore")).verdict == "ok"


async def test_a_schedule_that_nobody_owns_any_more_is_a_warning(store: SqliteStore, tmp_path: Path) -> None:
    assert (await said(store, tmp_path, "schedules")).verdict == "ok"
    timetable = {"cron": "@daily", "zone": "UTC", "start": None, "end": None}
    row = ScheduleRecord("sch_1", "nightly", "eva", "check", timetable, NOW, "eva", NOW, "eva", {})
    await store.schedules.add(replace(row, state="stopped", note="eva is disabled"))
    finding = await said(store, tmp_path, "schedules")
    assert (finding.verdict, finding.detail) == ("warning", "1 stopped: nightly; nightly: eva is disabled")
    assert "schedule update" in finding.fix


async def test_a_schedule_that_waits_for_its_owners_word_is_a_warning(store: SqliteStore, tmp_path: Path) -> None:
    timetable = {"cron": "@daily", "zone": "UTC", "start": None, "end": None}
    row = ScheduleRecord("sch_1", "nightly", "eva", "check", timetable, NOW, "eva", NOW, "eva", {}, state="paused")
    await store.schedules.add(replace(row, note="paused by eva"))
    assert (await said(store, tmp_path, "schedules")).verdict == "ok"
    paused = await store.schedules.get("nightly")
    await store.schedules.step(ScheduleStep(replace(paused, note=f"{UNSEEN}check@1.1.0 was stored by bob")))
    finding = await said(store, tmp_path, "schedules")
    assert (finding.verdict, finding.detail[:34]) == ("warning", "1 wait for their owners: nightly; ")
    assert "stored by bob" in finding.detail
    assert "schedule resume" in finding.fix


async def test_a_host_in_quarantine_is_a_failure_that_names_both_ways_out(store: SqliteStore, tmp_path: Path) -> None:
    await store.hosts.quarantine("hst_web1", "its journal went backward")
    finding = await said(store, tmp_path, "hosts")
    assert (finding.verdict, "web1" in finding.detail) == ("failure", True)
    assert "host release" in finding.fix
    assert "host revoke" in finding.fix


async def test_a_copy_that_is_older_than_what_hosts_have_seen_is_said(store: SqliteStore, tmp_path: Path) -> None:
    assert (await said(store, tmp_path, "restore", epoch=5, highest_epoch=lambda: 5)).verdict == "ok"
    finding = await said(store, tmp_path, "restore", epoch=5, highest_epoch=lambda: 9)
    assert (finding.verdict, "--after-restore" in finding.fix) == ("failure", True)
    restoration = Restoration(store.executions, store.audit, SystemClock(), {"web1", "web2"}, {"db1": 3})
    finding = await said(store, tmp_path, "restore", epoch=1009, restoration=restoration)
    assert finding.verdict == "warning"
    assert "web1, web2" in finding.detail
    assert "3 on db1" in finding.detail


async def test_the_disk_of_the_coordinator_is_told_apart_from_that_of_the_machine_that_asks(
    store: SqliteStore, tmp_path: Path
) -> None:
    assert str(tmp_path) in (await said(store, tmp_path, "coordinator disk")).detail
    assert "local disk" in {each["check"] for each in machine.findings()}


async def test_an_execution_that_cannot_be_read_is_a_failure_that_says_why(store: SqliteStore, tmp_path: Path) -> None:
    assert (await said(store, tmp_path, "executions")).verdict == "ok"
    finding = await said(store, tmp_path, "executions", unread={"exe_1": "a query took longer than 1 s"})
    assert (finding.verdict, "exe_1: a query took" in finding.detail) == ("failure", True)
