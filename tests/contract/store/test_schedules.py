"""Schedules and their firings: one row a time, whoever writes it, and nothing of a step that is not stored."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import FiringRecord, Progress, ScheduleRecord, ScheduleStep

from tests.contract.store.conftest import Reopen
from tests.contract.store.records import NOW, audit, change, creation

TIMETABLE = {"cron": "0 2 * * *", "zone": "UTC", "start": None, "end": None}


def schedule(id: str = "sch_1", name: str = "nightly", **more: Any) -> ScheduleRecord:
    row = ScheduleRecord(id, name, "ann", "check", TIMETABLE, NOW, "ann", NOW, "ann", {"days": 3})
    return replace(
        row, next_nominal=NOW + 10, due_at=NOW + 12, number=1, hosts=("db1",), seen={"check@1.0.0": "sha256:ab"}, **more
    )


def firing(nominal: int = NOW + 10, outcome: str = "skipped", **more: Any) -> FiringRecord:
    return FiringRecord("sch_1", nominal, outcome, NOW, **more)


async def test_a_schedule_is_kept_whole_and_found_by_name_and_id(store: Store, reopen: Reopen) -> None:
    await store.schedules.add(schedule(), (audit(),))
    store = await reopen()
    assert await store.schedules.get("nightly") == await store.schedules.get("sch_1") == schedule()
    with pytest.raises(NotFound, match="schedule list"):
        await store.schedules.get("weekly")
    with pytest.raises(Refused, match="another name"):
        await store.schedules.add(schedule("sch_2"))


async def test_the_name_of_a_cancelled_one_is_free(store: Store) -> None:
    await store.schedules.add(schedule())
    await store.schedules.step(ScheduleStep(schedule(state="cancelled")))
    await store.schedules.add(schedule("sch_2"))
    assert (await store.schedules.get("nightly")).id == "sch_2"
    with pytest.raises(Refused, match="another name"):
        await store.schedules.step(ScheduleStep(schedule(version=1)))
    page = await store.schedules.find()
    assert [row.id for row in page.rows] == ["sch_2"]
    assert [row.id for row in (await store.schedules.find(cancelled=True)).rows] == ["sch_2", "sch_1"]


async def test_lists_come_in_pages(store: Store) -> None:
    for n in range(3):
        await store.schedules.add(schedule(f"sch_{n}", f"n{n}"))
    first = await store.schedules.find(limit=2)
    rest = await store.schedules.find(first.cursor, limit=2)
    assert [row.id for row in (*first.rows, *rest.rows)] == ["sch_2", "sch_1", "sch_0"]
    assert rest.cursor == ""


async def test_what_is_due_first_comes_first_and_what_is_never_due_never(store: Store) -> None:
    for n, due in enumerate((30, 10, None, 20)):
        row = schedule(f"sch_{n}", f"n{n}")
        await store.schedules.add(replace(row, due_at=due))
    assert [row.id for row in await store.schedules.soonest(2)] == ["sch_1", "sch_3"]
    assert len(await store.schedules.soonest(10)) == 3


async def test_a_step_on_what_has_changed_stores_nothing(store: Store) -> None:
    await store.schedules.add(schedule())
    await store.schedules.step(ScheduleStep(schedule(runs=1), (firing(),), audit=(audit(),)))
    with pytest.raises(Conflict, match="changed in between"):
        await store.schedules.step(ScheduleStep(schedule(runs=9), (firing(NOW + 11),)))
    assert (await store.schedules.get("sch_1")).runs == 1
    assert len((await store.schedules.firings("sch_1")).rows) == 1
    with pytest.raises(NotFound):
        await store.schedules.step(ScheduleStep(schedule("sch_9")))


async def test_a_time_that_has_its_row_takes_the_whole_step_with_it(store: Store) -> None:
    await store.schedules.add(schedule())
    await store.schedules.step(ScheduleStep(schedule(), (firing(),)))
    with pytest.raises(Conflict, match="has its row already"):
        await store.schedules.step(ScheduleStep(schedule(version=1, runs=9), (firing(NOW + 11), firing())))
    assert (await store.schedules.get("sch_1")).version == 1
    assert len((await store.schedules.firings("sch_1")).rows) == 1


async def test_an_execution_and_its_firing_are_stored_together_or_not_at_all(store: Store) -> None:
    await store.schedules.add(schedule())
    ran = firing(outcome="ran", execution="exe_1", open=True)
    step = ScheduleStep(schedule(runs=1), (ran,))
    await store.executions.create(replace(creation(), schedule=step))
    assert await store.schedules.running("sch_1") == ("exe_1",)
    second = replace(creation(), execution=replace(creation().execution, id="exe_2"), schedule=step)
    with pytest.raises(Conflict):
        await store.executions.create(second)
    with pytest.raises(NotFound):
        await store.executions.get("exe_2")
    (row,) = (await store.schedules.firings("sch_1")).rows
    assert (row.execution, row.status) == ("exe_1", creation().execution.progress.status)


async def test_an_end_is_told_until_it_is_taken_into_account(store: Store) -> None:
    await store.schedules.add(schedule())
    ran = firing(outcome="ran", execution="exe_1", open=True)
    await store.executions.create(replace(creation(), schedule=ScheduleStep(schedule(), (ran,))))
    assert await store.schedules.over() == ()
    await store.executions.commit(change(progress=Progress("failed", ended_at=NOW)))
    assert await store.schedules.running("sch_1") == ()
    assert [(each.nominal, each.status) for each in await store.schedules.over()] == [(NOW + 10, "failed")]
    await store.schedules.step(ScheduleStep(schedule(version=1), closed=(NOW + 10,)))
    assert await store.schedules.over() == ()


async def test_what_waits_is_taken_once(store: Store) -> None:
    await store.schedules.add(schedule())
    waits = (firing(outcome="waiting", open=True), firing(NOW + 20, outcome="waiting", open=True))
    await store.schedules.step(ScheduleStep(schedule(), waits))
    assert await store.schedules.all_waiting() == ("sch_1",)
    assert [each.nominal for each in await store.schedules.waiting("sch_1")] == [NOW + 10, NOW + 20]
    await store.schedules.step(ScheduleStep(schedule(version=1), taken=firing(reason="too late")))
    assert [each.nominal for each in await store.schedules.waiting("sch_1")] == [NOW + 20]
    with pytest.raises(Conflict, match="does not wait any more"):
        await store.schedules.step(ScheduleStep(schedule(version=2, runs=9), taken=firing()))
    assert (await store.schedules.get("sch_1")).runs == 0


async def test_going_back_takes_back_what_was_called_missed_and_nothing_else(store: Store) -> None:
    await store.schedules.add(schedule())
    kinds = ("missed", "missed", "skipped", "missed", "missed")
    told = tuple(firing(NOW + n, outcome) for n, outcome in enumerate(kinds))
    await store.schedules.step(ScheduleStep(schedule(last_nominal=NOW + 4), told))
    assert [row.id for row in await store.schedules.ahead(NOW + 3)] == ["sch_1"]
    assert await store.schedules.ahead(NOW + 4) == ()
    assert await store.schedules.newest("sch_1", but_missed_after=NOW) == NOW + 2
    assert await store.schedules.newest("sch_1", but_missed_after=NOW + 3) == NOW + 3
    with pytest.raises(Conflict):
        await store.schedules.rewind(ScheduleStep(schedule()), NOW)
    assert len((await store.schedules.firings("sch_1")).rows) == len(kinds)
    await store.schedules.rewind(ScheduleStep(schedule(version=1, last_nominal=NOW + 2)), NOW)
    left = (await store.schedules.firings("sch_1")).rows
    assert [(each.nominal, each.outcome) for each in left] == [(NOW + 2, "skipped"), (NOW, "missed")]


async def test_old_firings_go_but_never_one_that_is_open(store: Store) -> None:
    await store.schedules.add(schedule())
    rows = (firing(), firing(NOW + 20, "waiting", open=True), firing(NOW + 30))
    await store.schedules.step(ScheduleStep(schedule(), rows))
    assert await store.schedules.prune(NOW) == 0
    assert await store.schedules.prune(NOW + 1, rows=1) == 1
    assert await store.schedules.prune(NOW + 1) == 1
    assert [each.outcome for each in (await store.schedules.firings("sch_1")).rows] == ["waiting"]
