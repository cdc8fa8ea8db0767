"""A scheduler that dies at its n-th step, for every n: before a call of the store, or after it."""

import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from pilotage_coordinator.domain.schedule.codec import timetable_of
from pilotage_coordinator.domain.values import HOUR, MINUTE
from pilotage_coordinator.store.records import ExecutionFilter

from tests.unit.service.desk import SOURCE, open_desk
from tests.unit.service.test_schedules import EVENING, World

HOURS = 1
ALL = ExecutionFilter()
STRIDE = int(os.environ.get("PILOTAGE_STRIDE", "3"))
"""Of so many steps it dies at one; `PILOTAGE_STRIDE=1` tries them all."""


class Died(BaseException):
    """As if by kill -9: nothing of this process goes on."""


@dataclass
class Deaths:
    """Counts the calls of a store, and lets the process die at one of them."""

    at: int
    after: bool
    calls: int = 0
    dead: bool = False

    def watch(self, owner: Any, *names: str) -> None:
        """Let these methods count."""
        for name in names:
            setattr(owner, name, partial(self._call, getattr(owner, name)))

    async def _call(self, method: Callable[..., Awaitable[Any]], *arguments: Any, **more: Any) -> Any:
        if self.dead:
            raise Died
        self.calls += 1
        fatal = self.calls == self.at
        if fatal and not self.after:
            self.dead = True
            raise Died
        answer = await method(*arguments, **more)
        if fatal:
            self.dead = True
            raise Died
        return answer


async def goes_to(world: World, deaths: Deaths, moment: int) -> None:
    """Let the clock show a moment, with a new process for each that dies."""
    with contextlib.suppress(Died):
        await world.goes_to(moment)
    if deaths.dead:
        await world.scheduler.settled()
        deaths.dead = False
        world.restart()
        await world.goes_to(moment)


async def history(at: int, after: bool) -> tuple[World, Deaths]:
    """Play some hours with three schedules, in which executions end now and then."""
    desk, _ = await open_desk()
    await desk.services.library.add(SOURCE, "check.yaml", added_by="ann", audit=())
    desk.wall.time = EVENING
    world = World(desk)
    await world.create("waits", cron="*/15 * * * *", overlap="buffer_one")
    await world.create("all", every="20m", overlap="allow_all", count=2)
    await world.create("once", at="2026-11-10T20:30")
    deaths = Deaths(at, after)
    schedules: Any = desk.store.schedules
    deaths.watch(schedules, "get", "soonest", "step", "running", "waiting", "all_waiting", "over")
    deaths.watch(desk.store.executions, "create")
    deaths.watch(desk.plans, "make")
    for minutes in range(0, HOURS * 60 + 1, 5):
        await goes_to(world, deaths, EVENING + minutes * MINUTE)
        if minutes % 25 == 0:
            await world.end_all()
            await goes_to(world, deaths, EVENING + minutes * MINUTE + 1)
    deaths.at, calls = 0, deaths.calls
    await world.end_all()
    await goes_to(world, deaths, EVENING + HOURS * HOUR + MINUTE)
    deaths.calls = calls
    return world, deaths


async def wrong(world: World) -> list[str]:
    """Return what is not as it was promised."""
    found = []
    executions = {each.id for each in (await world.desk.store.executions.find(ALL, limit=1000)).rows}
    for name in ("waits", "all", "once"):
        row = await world.row(name)
        told = (await world.desk.store.schedules.firings(row.id, limit=1000)).rows
        until = EVENING + HOURS * HOUR + MINUTE
        times = [each for each in _times(row) if each <= until]
        expected = times[:2] if name == "all" else times
        if sorted(each.nominal for each in told) != expected:
            found.append(f"{name}: rows for {len(told)} of {len(times)} times")
        ran = [each.execution for each in told if each.outcome == "ran"]
        if len(set(ran)) != len(ran) or not set(ran) <= executions:
            found.append(f"{name}: an execution twice, or one that there is not")
        executions -= set(ran)
        if row.runs != len(ran):
            found.append(f"{name}: {row.runs} are counted, {len(ran)} ran")
        if any(each.open for each in told if each.outcome != "ran" or each.status == "completed"):
            found.append(f"{name}: something is left open")
        if [each for each in told if each.outcome not in ("ran", "skipped")]:
            found.append(f"{name}: missed, although somebody was always there again in time")
    return found + [f"{each} belongs to no time" for each in sorted(executions)]


def _times(row: Any) -> list[int]:
    found = []
    for nominal in timetable_of(row.timetable).after(EVENING):
        if nominal > EVENING + 2 * HOURS * HOUR:
            break
        found.append(nominal)
    return found


async def closed(world: World) -> None:
    await world.desk.store.close()
    world.desk.disk.close()


@pytest.fixture
async def quiet() -> int:
    world, deaths = await history(0, False)
    assert await wrong(world) == []
    await closed(world)
    return deaths.calls


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_whatever_step_it_dies_at_each_time_has_one_row_and_one_execution(after: bool, quiet: int) -> None:
    died = 0
    steps = range(1 + after, quiet + 1, STRIDE)
    for at in steps:
        world, _ = await history(at, after)
        assert await wrong(world) == [], f"died at call {at}"
        died += len(world.schedulers) > 1
        await closed(world)
    assert died > 0.9 * len(steps) > 10
