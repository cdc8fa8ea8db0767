"""Checks of compliance in the store: with their execution, oldest first, and never changed."""

import asyncio
from dataclasses import replace

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.store.errors import Conflict
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import ComplianceFilter, ComplianceRecord, UncheckedRuns

from tests.contract.store.conftest import Reopen
from tests.contract.store.records import NOW, PLAN, creation


def record(
    at: int = NOW, execution: str = "", blueprint: str = "nightly", outcome: str = "blocked"
) -> ComplianceRecord:
    content: dict[str, Json] = {"policy": 3, "at": at, "findings": []}
    return ComplianceRecord(
        at, "start", execution, blueprint, "1.0.0", "sha256:1", "sha256:2", "ann", "person", 3, outcome, content
    )


async def test_checks_are_read_oldest_first_page_by_page_by_blueprint_and_period(store: Store, reopen: Reopen) -> None:
    for number in range(5):
        await store.compliance.add(record(NOW + number, blueprint="nightly" if number % 2 else "weekly"))
    store = await reopen()
    page = await store.compliance.find(ComplianceFilter(), "", 3)
    assert [each.at - NOW for each in page.rows] == [0, 1, 2]
    rest = await store.compliance.find(ComplianceFilter(), page.cursor, 3)
    assert ([each.at - NOW for each in rest.rows], rest.cursor) == ([3, 4], "")
    nightly = await store.compliance.find(ComplianceFilter("nightly", NOW + 1, NOW + 3))
    assert nightly.rows == (record(NOW + 1),)


async def test_a_check_is_stored_with_its_execution_or_not_at_all(store: Store) -> None:
    await store.plans.put(PLAN)
    first = creation("exe_1")
    await store.executions.create(replace(first, compliance=record(execution="exe_1", outcome="passed")))
    twice = replace(first, compliance=record(execution="exe_1", outcome="warned"))
    results = await asyncio.gather(store.executions.create(twice), return_exceptions=True)
    assert isinstance(results[0], Conflict)
    page = await store.compliance.find(ComplianceFilter())
    assert [(each.execution, each.outcome) for each in page.rows] == [("exe_1", "passed")]


async def test_executions_without_a_check_are_counted(store: Store) -> None:
    await store.plans.put(PLAN)
    await store.executions.create(replace(creation("exe_1"), compliance=record(execution="exe_1", outcome="passed")))
    await store.executions.create(creation("exe_2"))
    await store.executions.create(creation("exe_3"))
    blueprint = (await store.executions.get("exe_1")).blueprint_id
    created = (await store.executions.get("exe_1")).created_at
    assert await store.compliance.unchecked(ComplianceFilter()) == (UncheckedRuns(blueprint, 2),)
    assert await store.compliance.unchecked(ComplianceFilter(since=created + 1)) == ()
    assert await store.compliance.unchecked(ComplianceFilter("other")) == ()
