"""Schedules on the real store and the way of every start: what runs, as whom, and that each time has one row."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN, Role
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.planning.errors import PlanProblem, PlanRefused
from pilotage_coordinator.domain.policy.errors import PolicyRefused
from pilotage_coordinator.domain.schedule.firing import LONGEST_OUTAGE
from pilotage_coordinator.domain.values import DAY, HOUR, MINUTE, SECOND
from pilotage_coordinator.runtime.scheduling import Alarm, Scheduler
from pilotage_coordinator.service import schedule_reads, schedules
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Denied, Invalid, NotFound
from pilotage_coordinator.service.firing import Firing
from pilotage_coordinator.service.schedule_requests import AskUpcoming, CreateSchedule, ListSchedules
from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_coordinator.store.records import ExecutionChange, GrantRecord, PrincipalRecord, Progress, ScheduleStep

from tests.unit.access.test_limits import limited
from tests.unit.service.desk import OWNER, SOURCE, Desk, open_desk


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


EVENING = at("2026-11-10T20:00:00")
TWO = at("2026-11-11T02:00:00")


def clock(moment: int | None) -> str:
    return "" if moment is None else datetime.fromtimestamp(moment // SECOND, UTC).strftime("%d %H:%M:%S")


@dataclass
class World:
    """A desk with a scheduler, which can be killed and started again, and a wall clock."""

    desk: Desk
    schedulers: list[Scheduler] = field(default_factory=list)

    @property
    def scheduler(self) -> Scheduler:
        if not self.schedulers:
            self.restart()
        return self.schedulers[-1]

    def restart(self, lost_until: int = 0) -> None:
        """Begin with a scheduler that remembers nothing."""
        services: Any = self.desk.services
        store = services.store.schedules
        self.schedulers.append(Scheduler(store, Firing(services), services.schedules, lost_until=lost_until))

    async def goes_to(self, moment: int) -> None:
        """Let the wall clock show a moment, and the scheduler look until nothing is left to do."""
        self.desk.wall.time = moment
        for _ in range(400):
            self.desk.services.schedules.news.clear()  # type: ignore[attr-defined]
            await self.scheduler.look()
            await self.scheduler.settled()
            if not self.desk.services.schedules.news.is_set():  # type: ignore[attr-defined]
                return
        raise AssertionError("the scheduler does not come to rest")

    async def told(self, name: str) -> list[str]:
        """Return the rows of a schedule, oldest first: when, what, and why."""
        rows = (await self.desk.store.schedules.firings((await self.row(name)).id, limit=1000)).rows
        return [f"{clock(each.nominal)} {each.outcome}" for each in reversed(rows)]

    async def why(self, name: str) -> str:
        """Return why the newest time became what it is."""
        return (await self.desk.store.schedules.firings((await self.row(name)).id)).rows[0].reason

    async def row(self, name: str) -> Any:
        return await self.desk.store.schedules.get(name)

    async def runs(self) -> list[str]:
        """Return the executions that are not over, oldest first."""
        return sorted(each.id for each in await self.desk.store.executions.active())

    async def end(self, execution: str, status: str = "completed") -> None:
        """Let an execution be over."""
        row = await self.desk.store.executions.get(execution)
        ended = Progress(status, started_at=1, ended_at=self.desk.wall.time)
        await self.desk.store.executions.commit(ExecutionChange(execution, row.version, ended))

    async def end_all(self) -> None:
        for execution in await self.runs():
            await self.end(execution)

    async def create(self, name: str = "nightly", caller: Caller = OWNER, **fields: Any) -> Any:
        given = fields if {"every", "at", "cron"} & set(fields) else {"cron": "0 2 * * *", **fields}
        request = CreateSchedule(name=name, **{"blueprint": "check", **given})
        return await schedules.create_schedule(self.desk.services, caller, request)

    async def ask(self, verb: Any, name: str = "nightly", caller: Caller = OWNER, **fields: Any) -> Any:
        return await verb(self.desk.services, caller, verb.request(schedule=name, **fields))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    desk, disk = await open_desk()
    await desk.add_host()
    await desk.add_host("db2")
    await desk.services.library.add(SOURCE, "check.yaml", added_by="ann", audit=())
    desk.wall.time = EVENING
    yield World(desk)
    await desk.store.close()
    disk.close()


# --- firing -------------------------------------------------------------------------------------------------------


async def test_a_time_starts_one_execution_of_its_owner_on_the_way_of_every_start(world: World) -> None:
    made = await world.create(reason="each night", parameters={"note": "x"}, limit_to="role=db")
    assert (made.owner, made.next_run_local) == ("ann", "2026-11-11T02:00:00+00:00")
    await world.goes_to(TWO - 1)
    assert await world.runs() == []
    await world.goes_to(TWO)
    (execution,) = await world.runs()
    record = await world.desk.store.executions.get(execution)
    assert (record.requested_by, record.progress.reason) == ("ann", "each night")
    assert world.desk.plans.made[-1]["parameters"] == {"note": "x"}
    assert await world.told("nightly") == ["11 02:00:00 ran"]
    assert clock((await world.row("nightly")).due_at) == "12 02:00:00"
    entries = [each.entry for each in await world.desk.store.audit.read()]
    start = next(each for each in entries if each.operation == "run.start")
    assert (start.principal, start.outcome, start.detail["through"]) == ("ann", "allowed", "schedule")
    assert start.detail["schedule_name"] == "nightly"


@pytest.mark.parametrize("seconds", [-1, 0, 1])
async def test_a_restart_around_a_firing_leaves_exactly_one_row_each(world: World, seconds: int) -> None:
    await world.create(overlap="allow_all")
    for day in range(4):
        for offset in (seconds, seconds, 2):
            world.restart()
            await world.goes_to(TWO + day * DAY + offset * SECOND)
    assert await world.told("nightly") == [f"{11 + day} 02:00:00 ran" for day in range(4)]
    assert len(await world.runs()) == 4


@pytest.mark.parametrize("landed", [False, True])
async def test_a_write_of_unknown_fate_neither_loses_nor_repeats_a_firing(
    world: World, landed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies, or the disk fails, before or after the one transaction that matters."""
    await world.create()
    start = type(world.desk.runs).start

    async def fails(self: Any, *arguments: Any, **more: Any) -> None:
        if landed:
            await start(self, *arguments, **more)
        monkeypatch.setattr(type(world.desk.runs), "start", start)
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(type(world.desk.runs), "start", fails)
    monkeypatch.setattr("pilotage_coordinator.runtime.scheduling.RETRY_PAUSE", 0)
    await world.goes_to(TWO)
    world.restart()
    await world.goes_to(TWO + SECOND)
    assert await world.told("nightly") == ["11 02:00:00 ran"]
    assert len(await world.runs()) == 1


async def test_after_a_restore_nothing_runs_that_may_have_run_already(world: World) -> None:
    await world.create(catchup="1d")
    await world.create("waits", overlap="buffer_one", catchup="1d")
    await world.goes_to(TWO)
    await world.goes_to(TWO + DAY)
    await world.end_all()
    world.restart(lost_until=TWO + 2 * DAY + MINUTE)
    await world.goes_to(TWO + 2 * DAY + MINUTE)
    assert (await world.told("nightly"))[-1] == "13 02:00:00 missed"
    assert await world.told("waits") == ["11 02:00:00 ran", "12 02:00:00 skipped", "13 02:00:00 missed"]
    assert "restored from a backup" in await world.why("waits")
    await world.goes_to(TWO + 3 * DAY)
    assert (await world.told("nightly"))[-1] == "14 02:00:00 ran"


async def test_twoschedulers_at_once_start_one(world: World) -> None:
    """As if an earlier process had not died yet: the row decides."""
    await world.create()
    world.desk.wall.time = TWO
    first, second = world.scheduler, World(world.desk).scheduler
    await first.look()
    await second.look()
    await first.settled()
    await second.settled()
    assert len(await world.runs()) == 1
    assert await world.told("nightly") == ["11 02:00:00 ran"]


async def test_after_an_outage_each_time_has_its_row_and_the_newest_alone_runs(world: World) -> None:
    await world.create(cron="*/10 * * * *", catchup="15m")
    await world.goes_to(EVENING + 65 * MINUTE)
    told = await world.told("nightly")
    assert told == [f"10 {20 + n // 6}:{n % 6}0:00 missed" for n in range(1, 6)] + ["10 21:00:00 ran"]


async def test_what_is_too_late_is_missed(world: World) -> None:
    await world.create()
    await world.goes_to(TWO + 10 * MINUTE + 1)
    assert await world.told("nightly") == ["11 02:00:00 missed"]
    assert await world.why("nightly") == "10m late, more than the 10m allowed"
    assert await world.runs() == []


async def test_off_for_a_week_each_minute_has_its_row(world: World) -> None:
    await world.create(every="1m", catchup="1h")
    await world.goes_to(EVENING + 7 * DAY)
    rows, cursor = 0, ""
    while True:
        page = await world.desk.store.schedules.firings((await world.row("nightly")).id, cursor, 1000)
        rows += len(page.rows)
        cursor = page.cursor
        if not cursor:
            break
    assert rows == 7 * 24 * 60
    assert len(await world.runs()) == 1


async def test_a_clock_that_was_wrong_by_years_does_not_fill_the_disk(world: World) -> None:
    await world.create(cron="@daily")
    await world.goes_to(EVENING + 4 * 365 * DAY)
    told = await world.told("nightly")
    assert 0 <= len(told) - LONGEST_OUTAGE // DAY <= 1
    page = await world.desk.store.schedules.firings((await world.row("nightly")).id, limit=1000)
    assert page.rows[-1].reason.startswith("nobody was there for 1459 days")


async def test_a_clock_that_goes_back_never_fires_again(world: World) -> None:
    await world.create(cron="0 * * * *", overlap="allow_all")
    for hour in (1, 2, 3):
        await world.goes_to(EVENING + hour * HOUR)
    before = await world.told("nightly")
    for moment in (EVENING + HOUR - 1, EVENING + HOUR, EVENING + 2 * HOUR, EVENING + 3 * HOUR):
        await world.goes_to(moment)
        assert await world.told("nightly") == before
        assert clock((await world.row("nightly")).due_at) == "11 00:00:00"
    await world.goes_to(EVENING + 4 * HOUR)
    assert len(await world.runs()) == 4


async def test_what_a_wrong_clock_called_missed_comes_in_its_time(world: World) -> None:
    await world.create(cron="0 * * * *", overlap="allow_all")
    await world.create("once", at="2026-11-10T22:00")
    await world.goes_to(EVENING + 5 * HOUR + 30 * MINUTE)
    assert len(await world.told("nightly")) == 5
    assert (await world.row("once")).state == "finished"
    world.restart()
    await world.goes_to(EVENING + 90 * MINUTE)
    assert await world.told("nightly") == ["10 21:00:00 missed"]
    assert (clock((await world.row("nightly")).due_at), clock((await world.row("once")).due_at)) == (
        "10 22:00:00",
        "10 22:00:00",
    )
    await world.goes_to(EVENING + 2 * HOUR)
    assert await world.told("nightly") == ["10 21:00:00 missed", "10 22:00:00 ran"]
    assert await world.told("once") == ["10 22:00:00 ran"]


async def test_a_schedule_that_was_made_by_a_wrong_clock_finds_its_times(world: World) -> None:
    world.desk.wall.time = EVENING + 900 * DAY
    await world.create(every="1h")
    await world.goes_to(EVENING + 900 * DAY + SECOND)
    await world.goes_to(EVENING)
    assert clock((await world.row("nightly")).due_at) == "10 21:00:00"


async def test_the_jitter_shifts_what_runs_and_not_its_nominal_time(world: World) -> None:
    made = await world.create(jitter="1h", catchup="1s")
    row = await world.row("nightly")
    delay = row.due_at - row.next_nominal
    assert 0 < delay <= HOUR
    assert made.next_run_local == datetime.fromtimestamp(row.due_at // SECOND, UTC).isoformat()
    await world.goes_to(TWO + delay - 1)
    assert await world.told("nightly") == []
    await world.goes_to(TWO + delay)
    assert await world.told("nightly") == ["11 02:00:00 ran"]


async def test_ends_are_looked_for_when_there_are_any_and_now_and_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.create()
    asked = 0
    over = type(world.desk.store.schedules).over

    async def counted(self: Any, limit: int = 100) -> Any:
        nonlocal asked
        asked += 1
        return await over(self, limit)

    monkeypatch.setattr(type(world.desk.store.schedules), "over", counted)
    ends = 0
    alarm = Alarm(world.desk.wall, ends=lambda: ends)
    scheduler = Scheduler(world.desk.store.schedules, Firing(world.desk.services), alarm)
    for _ in range(5):
        await scheduler.look()
    assert asked == 1
    ends = 1
    await scheduler.look()
    await scheduler.look()
    assert asked == 2
    world.desk.wall.time += 31 * SECOND
    await scheduler.look()
    assert asked == 3
    world.desk.wall.time -= HOUR
    await scheduler.look()
    assert asked == 4


async def test_more_are_due_at_once_than_are_started_at_once(world: World) -> None:
    for n in range(30):
        await world.create(f"n{n}")
    await world.goes_to(TWO)
    assert len(await world.runs()) == 30


# --- whose word counts ----------------------------------------------------------------------------------------------


NEWER = SOURCE.replace('version: "1.0.0"', 'version: "1.1.0"').replace("> 0", "> 1")
CALLER = """\
pilotage: 1
workflows:
  outer:
    version: "1.0.0"
    steps: [{id: inner, blueprint: check@1}]
"""


async def store_as(world: World, who: str, source: str, role: str = "author") -> None:
    """Let somebody store a blueprint."""
    if who != "ann":
        grants = (GrantRecord(who, role, EVENING, "ann"),)
        await world.desk.store.access.add_principal(PrincipalRecord(who, "person", EVENING, "ann"), grants)
    await world.desk.services.library.add(source, "check.yaml", added_by=who, audit=())


@pytest.mark.parametrize("reference", ["check", "check@1", "outer"])
async def test_what_an_author_stores_does_not_run_as_a_schedules_owner_before_the_owner_says_so(
    world: World, reference: str
) -> None:
    await world.desk.services.library.add(CALLER, "outer.yaml", added_by="ann", audit=())
    await world.create(blueprint=reference)
    await world.create("exact", blueprint="check@1.0.0", overlap="allow_all")
    await store_as(world, "eve", NEWER)
    await world.goes_to(TWO)
    assert await world.told("nightly") == ["11 02:00:00 skipped"]
    row = await world.row("nightly")
    assert row.state == "paused"
    assert "check@1.1.0" in row.note
    assert "stored by eve" in row.note
    assert await world.why("nightly") == row.note
    entries = [each.entry for each in await world.desk.store.audit.read()]
    told = next(each for each in entries if each.operation == "schedule.fire")
    assert (told.detail["state"], told.detail["reason"]) == ("paused", row.note)
    await world.goes_to(TWO + DAY)
    assert await world.told("nightly") == ["11 02:00:00 skipped", "12 02:00:00 skipped"]
    assert await world.told("exact") == ["11 02:00:00 ran", "12 02:00:00 ran"]
    with pytest.raises(Conflict, match=r"check@1\.1\.0"):
        await world.ask(schedules.resume_schedule, caller=replace(OWNER, principal="bob"))
    await world.ask(schedules.resume_schedule)
    assert (await world.row("nightly")).seen.keys() >= {"check@1.1.0"}


async def test_a_resume_says_yes_to_what_the_note_names_and_to_nothing_newer(world: World) -> None:
    await world.create()
    await store_as(world, "eve", NEWER)
    await world.goes_to(TWO)
    newest = NEWER.replace("1.1.0", "1.2.0")
    await world.desk.services.library.add(newest, "check.yaml", added_by="eve", audit=())
    with pytest.raises(Conflict, match=r"check@1\.2\.0"):
        await world.ask(schedules.resume_schedule)
    updated = await world.ask(schedules.update_schedule)
    assert (updated.state, updated.note) == ("active", "")
    await world.goes_to(TWO + DAY)
    assert (await world.told("nightly"))[-1] == "12 02:00:00 ran"


@pytest.mark.parametrize(
    ("who", "role", "outcome"), [("ann", "", "ran"), ("oda", "owner", "ran"), ("a", "author", "skipped")]
)
async def test_a_newer_version_of_the_schedules_owner_or_of_an_owner_runs_at_once(
    world: World, who: str, role: str, outcome: str
) -> None:
    await world.create()
    await store_as(world, who, NEWER, role)
    await world.goes_to(TWO)
    assert await world.told("nightly") == [f"11 02:00:00 {outcome}"]


async def test_what_is_stored_while_a_firing_is_planned_does_not_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.create()
    make = type(world.desk.plans).make

    async def slow(self: Any, *arguments: Any, **more: Any) -> Any:
        await store_as(world, "eve", NEWER)
        return await make(self, *arguments, **more)

    monkeypatch.setattr(type(world.desk.plans), "make", slow)
    await world.goes_to(TWO)
    assert await world.told("nightly") == ["11 02:00:00 skipped"]
    assert "stored while this was planned" in await world.why("nightly")
    assert await world.runs() == []


# --- overlap --------------------------------------------------------------------------------------------------------


async def test_skip_leaves_out_what_comes_while_one_runs(world: World) -> None:
    await world.create()
    await world.goes_to(TWO)
    await world.goes_to(TWO + DAY)
    assert await world.told("nightly") == ["11 02:00:00 ran", "12 02:00:00 skipped"]
    assert await world.why("nightly") == f"{(await world.runs())[0]} of this schedule is not over"


@pytest.mark.parametrize(("overlap", "waiting"), [("buffer_one", 1), ("buffer_all", 3)])
async def test_what_waits_begins_when_what_runs_is_over(world: World, overlap: str, waiting: int) -> None:
    await world.create(overlap=overlap)
    for day in range(4):
        await world.goes_to(TWO + day * DAY)
    outcomes = [each.split()[-1] for each in await world.told("nightly")]
    assert outcomes == ["ran"] + ["waiting"] * waiting + ["skipped"] * (3 - waiting)
    for _ in range(waiting):
        world.restart()
        await world.goes_to(TWO + 3 * DAY + HOUR)
        assert len(await world.runs()) == 1
        await world.end_all()
    await world.goes_to(TWO + 3 * DAY + 2 * HOUR)
    outcomes = [each.split()[-1] for each in await world.told("nightly")]
    assert outcomes == ["ran"] * (1 + waiting) + ["skipped"] * (3 - waiting)
    assert (await world.row("nightly")).runs == 1 + waiting


async def test_what_waits_begins_too_when_the_process_died_once_it_knew_of_the_end(world: World) -> None:
    await world.create(overlap="buffer_one")
    await world.goes_to(TWO)
    await world.goes_to(TWO + DAY)
    await world.end_all()
    await world.scheduler._take_ends(TWO + DAY)
    world.restart()
    await world.goes_to(TWO + DAY + SECOND)
    assert await world.told("nightly") == ["11 02:00:00 ran", "12 02:00:00 ran"]


async def test_what_ends_while_another_is_made_to_wait_for_it_lets_it_begin(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.create(overlap="buffer_one")
    await world.goes_to(TWO)
    running = type(world.desk.store.schedules).running

    async def ends_meanwhile(self: Any, schedule: str) -> tuple[str, ...]:
        found: tuple[str, ...] = await running(self, schedule)
        monkeypatch.setattr(type(world.desk.store.schedules), "running", running)
        await world.end_all()
        await world.desk.store.schedules.step(ScheduleStep(await world.row("nightly"), closed=(TWO,)))
        return found

    monkeypatch.setattr(type(world.desk.store.schedules), "running", ends_meanwhile)
    world.desk.wall.time = TWO + DAY
    row = await world.row("nightly")
    await world.scheduler._take_ends(TWO + DAY)
    await world.scheduler._fire(replace(row, version=row.version + 1))
    assert await world.told("nightly") == ["11 02:00:00 ran", "12 02:00:00 waiting"]
    await world.goes_to(TWO + DAY)
    assert await world.told("nightly") == ["11 02:00:00 ran", "12 02:00:00 ran"]


async def test_a_skipped_one_that_waited_does_not_count(world: World) -> None:
    await world.create(overlap="buffer_one", count=2)
    await world.goes_to(TWO)
    await world.goes_to(TWO + DAY)
    assert (await world.row("nightly")).runs == 2
    world.desk.plans.refuse = PlanRefused((PlanProblem(FailureKind.TARGET, "db1 is gone"),))
    await world.end_all()
    await world.goes_to(TWO + DAY + HOUR)
    assert await world.told("nightly") == ["11 02:00:00 ran", "12 02:00:00 skipped"]
    row = await world.row("nightly")
    assert (row.runs, row.state, clock(row.due_at)) == (1, "active", "13 02:00:00")


async def test_cancel_other_cancels_what_runs_and_then_begins(world: World) -> None:
    await world.create(overlap="cancel_other")
    await world.goes_to(TWO)
    (first,) = await world.runs()
    await world.goes_to(TWO + DAY)
    ((cancelled, asked),) = world.desk.runs.submitted
    assert (cancelled, type(asked).__name__) == (first, "CancelRequested")
    assert await world.told("nightly") == ["11 02:00:00 ran", "12 02:00:00 waiting"]
    await world.end(first, "cancelled")
    await world.goes_to(TWO + DAY + MINUTE)
    assert await world.told("nightly") == ["11 02:00:00 ran", "12 02:00:00 ran"]


async def test_what_waits_for_a_schedule_that_is_cancelled_never_begins(world: World) -> None:
    await world.create(overlap="buffer_one")
    await world.goes_to(TWO)
    await world.goes_to(TWO + DAY)
    id = (await world.row("nightly")).id
    await world.ask(schedules.cancel_schedule)
    await world.end_all()
    await world.goes_to(TWO + DAY + HOUR)
    assert await world.told(id) == ["11 02:00:00 ran", "12 02:00:00 skipped"]
    assert await world.runs() == []


# --- ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "state"), [("failed", "paused"), ("completed", "active"), ("cancelled", "active")])
async def test_pause_on_failure(world: World, status: str, state: str) -> None:
    await world.create(pause_on_failure=True)
    await world.goes_to(TWO)
    (execution,) = await world.runs()
    await world.end(execution, status)
    await world.goes_to(TWO + HOUR)
    row = await world.row("nightly")
    assert row.state == state
    await world.goes_to(TWO + DAY)
    if state == "paused":
        assert row.note == f"{execution} ended as failed"
        assert await world.told("nightly") == ["11 02:00:00 ran", "12 02:00:00 skipped"]
        assert await world.why("nightly") == row.note
        assert ("schedule.fire", "allowed", row.id) in await world.desk.audit()


async def test_a_limited_count_ends_it(world: World) -> None:
    await world.create(count=2)
    for day in range(3):
        await world.goes_to(TWO + day * DAY)
        await world.end_all()
    row = await world.row("nightly")
    assert (row.state, row.due_at, row.runs) == ("finished", None, 2)
    assert len(await world.told("nightly")) == 2
    with pytest.raises(Conflict, match="all of its 2"):
        await world.ask(schedules.enable_schedule)
    more = await world.ask(schedules.update_schedule, count=3)
    assert (more.state, more.next_run_local) == ("active", "2026-11-14T02:00:00+00:00")


async def test_a_single_time_finishes_it(world: World) -> None:
    made = await world.create(at="2026-11-11T02:00")
    assert made.next_run_local == "2026-11-11T02:00:00+00:00"
    await world.goes_to(TWO)
    assert (await world.row("nightly")).state == "finished"
    assert await world.told("nightly") == ["11 02:00:00 ran"]


# --- rights ---------------------------------------------------------------------------------------------------------


async def eva(world: World, *roles: str) -> Caller:
    """Return a person with built-in roles, who is in the store too."""
    grants = tuple(GrantRecord("eva", role, 1, "ann") for role in roles)
    await world.desk.store.access.add_principal(PrincipalRecord("eva", "person", 1, "ann"), grants)
    return Caller("eva", PrincipalKind.PERSON, tuple(Grant(BUILT_IN[role]) for role in roles))


async def test_a_disabled_owner_stops_it_visibly_and_somebody_else_can_take_it(world: World) -> None:
    caller = await eva(world, "operator")
    await world.create(caller=caller)
    await world.desk.store.access.disable("eva", 1)
    await world.goes_to(TWO)
    row = await world.row("nightly")
    assert (row.state, row.due_at, await world.runs()) == ("stopped", None, [])
    assert await world.told("nightly") == ["11 02:00:00 skipped"]
    assert row.note == "eva, who owns the schedule, is disabled"
    assert ("schedule.fire", "allowed", row.id) in await world.desk.audit()
    with pytest.raises(Conflict, match="is disabled"):
        await world.ask(schedules.enable_schedule)
    taken = await world.ask(schedules.update_schedule)
    assert (taken.owner, taken.state) == ("ann", "active")
    await world.goes_to(TWO + DAY)
    assert (await world.desk.store.executions.get((await world.runs())[0])).requested_by == "ann"


async def test_an_owner_whose_disabling_was_a_mistake_goes_on(world: World) -> None:
    caller = await eva(world, "operator")
    await world.create(caller=caller)
    await world.desk.store.access.disable("eva", 1)
    await world.goes_to(TWO)
    await world.desk.store.access.disable("eva", None)
    back = await world.ask(schedules.enable_schedule)
    assert (back.owner, back.state, back.next_run_local) == ("eva", "active", "2026-11-12T02:00:00+00:00")


async def test_an_owner_who_may_no_longer_start_it_is_asked_at_each_firing(world: World) -> None:
    caller = await eva(world, "operator")
    await world.create(caller=caller)
    await world.desk.store.access.withdraw("eva", "operator", None)
    await world.goes_to(TWO)
    assert await world.told("nightly") == ["11 02:00:00 skipped"]
    assert "eva may not do `run.start`" in await world.why("nightly")
    assert ("run.start", "denied", "check") in await world.desk.audit()
    await world.desk.store.access.grant(GrantRecord("eva", "operator", 1, "ann"))
    await world.goes_to(TWO + DAY)
    assert (await world.told("nightly"))[-1] == "12 02:00:00 ran"


@pytest.mark.parametrize("pause", [False, True])
async def test_what_plan_or_policy_refuse_is_skipped_with_the_reason(world: World, pause: bool) -> None:
    await world.create(pause_on_failure=pause)
    frozen = PlanProblem(FailureKind.POLICY, "the year's end is frozen")
    world.desk.runs.refuse = PolicyRefused("nothing was started", (frozen,))
    await world.goes_to(TWO)
    assert await world.told("nightly") == ["11 02:00:00 skipped"]
    assert "the year's end is frozen" in await world.why("nightly")
    assert (await world.row("nightly")).state == ("paused" if pause else "active")


async def test_a_defect_of_one_schedule_is_told_and_others_go_on(world: World) -> None:
    await world.create()
    world.desk.plans.refuse = RuntimeError("a defect")
    await world.goes_to(TWO)
    assert "RuntimeError" in await world.why("nightly")
    world.desk.plans.refuse = None
    await world.goes_to(TWO + DAY)
    assert (await world.told("nightly"))[-1] == "12 02:00:00 ran"


async def test_a_schedule_that_cannot_be_read_any_more_stops_and_hides_no_other(world: World) -> None:
    """Its zone went from the machine, or a newer version refuses its expression."""
    await world.create("good")
    row = await world.create()
    stored = await world.row("nightly")
    gone = {**stored.timetable, "zone": "Mars/Phobos"}
    after = replace(stored, timetable=gone, updated_at=EVENING + 365 * DAY)
    await world.desk.store.schedules.step(ScheduleStep(after))
    await world.goes_to(TWO)
    assert await world.told("good") == ["11 02:00:00 ran"]
    answer = await schedule_reads.list_schedules(world.desk.services, OWNER, ListSchedules())
    assert [(each.name, each.state) for each in answer.items] == [("nightly", "stopped"), ("good", "active")]
    assert "no time zone 'Mars/Phobos'" in answer.items[0].note
    assert answer.items[0].words == answer.items[0].note
    for verb in (schedules.enable_schedule, schedules.update_schedule):
        with pytest.raises(Invalid, match="Mars/Phobos"):
            await world.ask(verb)
    mended = await world.ask(schedules.update_schedule, cron="0 2 * * *", timezone="UTC")
    assert (mended.state, mended.next_run_local, mended.id) == ("active", "2026-11-12T02:00:00+00:00", row.id)


async def test_only_who_may_start_it_can_schedule_it(world: World) -> None:
    author = await eva(world, "author")
    with pytest.raises(Denied):
        await world.create(caller=author)
    within = limited(blueprints=["other"])
    with pytest.raises(Denied):
        await world.create(caller=within)
    # Whoever may set any schedule, and yet start nothing but something else.
    writes = Grant(Role("writes", frozenset({"schedule.write"})))
    with pytest.raises(Denied):
        await world.create(caller=replace(within, grants=(*within.grants, writes)))


async def test_whoever_changes_it_owns_it_and_needs_the_right_to_start_it(world: World) -> None:
    await world.create()
    caller = await eva(world, "operator")
    changed = await world.ask(schedules.update_schedule, caller=caller, jitter="1m")
    assert changed.owner == "eva"
    await world.goes_to(TWO + HOUR)


async def test_run_now_runs_as_whoever_asks_and_leaves_the_times_alone(world: World) -> None:
    await world.create()
    caller = await eva(world, "operator")
    started = await world.ask(schedules.run_schedule, caller=caller, reason="now")
    assert (await world.desk.store.executions.get(started.execution)).requested_by == "eva"
    with pytest.raises(Conflict, match="not over"):
        await world.ask(schedules.run_schedule)
    rows = (await world.desk.store.schedules.firings((await world.row("nightly")).id)).rows
    assert [(each.cause, each.reason) for each in rows] == [("person", "asked for by eva: now")]
    row = await world.row("nightly")
    assert (clock(row.due_at), row.runs, row.last_nominal) == ("11 02:00:00", 0, None)
    await world.end_all()
    await world.goes_to(TWO)
    assert len(await world.runs()) == 1


# --- setting --------------------------------------------------------------------------------------------------------


async def test_the_next_run_is_true_after_each_change(world: World) -> None:
    made = await world.create(timezone="Europe/Berlin")
    assert made.next_run_local == "2026-11-11T02:00:00+01:00"
    changed = await world.ask(schedules.update_schedule, cron="0 3 * * *")
    assert changed.next_run_local == "2026-11-11T03:00:00+01:00"
    changed = await world.ask(schedules.update_schedule, timezone="America/New_York")
    assert changed.next_run_local == "2026-11-11T03:00:00-05:00"
    changed = await world.ask(schedules.update_schedule, start="2026-12-01T00:00")
    assert changed.next_run_local == "2026-12-01T03:00:00-05:00"
    paused = await world.ask(schedules.pause_schedule, reason="moving house")
    assert (paused.next_run, paused.note) == ("", "paused by ann: moving house")
    assert (await world.ask(schedules.resume_schedule)).next_run_local == "2026-12-01T03:00:00-05:00"
    cancelled = await world.ask(schedules.cancel_schedule)
    assert cancelled.next_run == ""
    again = await world.ask(schedules.enable_schedule, cancelled.id)
    assert (again.next_run_local, again.state) == ("2026-12-01T03:00:00-05:00", "active")
    changed = await world.ask(schedules.update_schedule, start="")
    assert changed.next_run_local == "2026-11-11T03:00:00-05:00"
    assert (await world.ask(schedule_reads.show_schedule)).next_run == changed.next_run


async def test_a_paused_schedule_tells_each_time_why(world: World) -> None:
    await world.create()
    await world.ask(schedules.pause_schedule, reason="moving house")
    await world.goes_to(TWO)
    assert await world.told("nightly") == ["11 02:00:00 skipped"]
    assert await world.why("nightly") == "paused by ann: moving house"
    await world.ask(schedules.resume_schedule)
    await world.goes_to(TWO + DAY)
    assert (await world.told("nightly"))[-1] == "12 02:00:00 ran"


async def test_one_that_is_disabled_has_no_times(world: World) -> None:
    made = await world.create(enabled=False)
    assert (made.state, made.next_run) == ("disabled", "")
    await world.goes_to(TWO)
    assert await world.told("nightly") == []
    assert (await world.ask(schedules.enable_schedule)).next_run_local == "2026-11-12T02:00:00+00:00"


async def test_a_time_that_its_jitter_makes_late_stays_due_when_the_schedule_is_changed(world: World) -> None:
    await world.create(jitter="1h")
    world.desk.wall.time = TWO + SECOND
    await world.ask(schedules.update_schedule, reason="why")
    assert clock((await world.row("nightly")).next_nominal) == "11 02:00:00"


async def test_a_change_while_it_fires_is_neither_lost_nor_does_it_fire_twice(world: World) -> None:
    """Somebody pauses it between the look at the row and the write of the firing."""
    await world.create()
    world.desk.wall.time = TWO
    make = world.desk.plans.make

    async def paused_meanwhile(*arguments: Any, **more: Any) -> Any:
        world.desk.plans.make = make  # type: ignore[method-assign]
        await world.ask(schedules.pause_schedule)
        return await make(*arguments, **more)

    world.desk.plans.make = paused_meanwhile  # type: ignore[method-assign]
    await world.goes_to(TWO)
    assert await world.told("nightly") == ["11 02:00:00 skipped"]
    assert await world.runs() == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"cron": "0 0 31 2 *"}, "never fires"),
        ({"timezone": "Mars/Phobos"}, "no time zone"),
        ({"every": "10s"}, "a minute or longer"),
        ({"every": "soon"}, "the interval"),
        ({"at": "2026-11-10T19:59"}, "is over"),
        ({"at": "2026-03-29T02:30", "timezone": "Europe/Berlin"}, "does not exist"),
        ({"end": "2026-11-10T20:30"}, "never fires"),
        ({"jitter": "25h"}, "at most 24h"),
        ({"catchup": "10ms"}, "from 1s"),
        ({"parameter_texts": {"days": "x"}}, "cannot be read"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_stored(world: World, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        await world.create(**fields)
    assert (await world.desk.store.schedules.find()).rows == ()


async def test_a_plan_that_cannot_be_made_is_no_schedule(world: World) -> None:
    world.desk.plans.refuse = PlanRefused((PlanProblem(FailureKind.TARGET, "host db9 is not known"),))
    with pytest.raises(Invalid):
        await world.create()
    assert (await world.desk.store.schedules.find()).rows == ()


async def test_what_only_the_policy_forbids_now_is_a_warning(world: World) -> None:
    world.desk.plans.refuse = PlanRefused((PlanProblem(FailureKind.POLICY, "not by day"),))
    made = await world.create()
    assert "not by day" in made.warning


async def test_two_cannot_have_one_name_but_that_of_a_cancelled_one_is_free(world: World) -> None:
    first = await world.create()
    with pytest.raises(Conflict, match="already"):
        await world.create()
    await world.ask(schedules.cancel_schedule)
    await world.create()
    with pytest.raises(Conflict, match="already"):
        await world.ask(schedules.enable_schedule, first.id)


async def test_lists_leave_out_what_one_may_not_see(world: World) -> None:
    await world.create()
    nobody = limited(blueprints=["other"])
    answer = await schedule_reads.list_schedules(world.desk.services, nobody, ListSchedules())
    assert answer.items == []
    with pytest.raises(NotFound):
        await schedule_reads.show_upcoming(world.desk.services, nobody, AskUpcoming(schedule="nightly"))


async def test_upcoming_of_all_is_in_order_each_in_its_zone(world: World) -> None:
    await world.create("a", cron="0 2 * * *", timezone="Europe/Berlin")
    await world.create("b", every="12h")
    await world.create("c", at="2026-11-11T00:30")
    await world.create("gone", every="1h")
    await world.ask(schedules.pause_schedule, "gone")
    answer = await schedule_reads.show_upcoming(world.desk.services, OWNER, AskUpcoming(count=5))
    assert [(each.name, each.local) for each in answer.items] == [
        ("c", "2026-11-11T00:30:00+00:00"),
        ("a", "2026-11-11T02:00:00+01:00"),
        ("b", "2026-11-11T08:00:00+00:00"),
        ("b", "2026-11-11T20:00:00+00:00"),
        ("a", "2026-11-12T02:00:00+01:00"),
    ]
    soon = await schedule_reads.show_upcoming(world.desk.services, OWNER, AskUpcoming(hours=5))
    assert [each.name for each in soon.items] == ["c", "a"]


async def test_a_sensitive_value_is_not_kept_in_a_schedule(world: World) -> None:
    source = SOURCE.replace("  check:", "  hush:").replace(
        "note: {type: string,", "note: {type: string, sensitive: true,"
    )
    await world.desk.services.library.add(source, "hush.yaml", added_by="ann", audit=())
    with pytest.raises(Invalid, match="keeps no sensitive values"):
        await world.create(blueprint="hush", parameters={"note": "s3cret"})
