"""Timers under a clock that the test turns; no test waits for real time."""

import asyncio
import contextlib

import pytest
from pilotage_coordinator.runtime.timers import LONGEST_SLEEP, Timers

SECOND = 1_000_000


class TurnedClock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.at = 1_000 * SECOND

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / SECOND


class Alarm:
    """Timers that run, and what has rung."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.rung: list[str] = []
        self.timers = Timers(self.clock, self.rung.append)
        self.task = asyncio.create_task(self.timers.run())

    async def turn(self, seconds: float) -> list[str]:
        """Let the clock go on, wake the timers by setting one that is due, and return what rang besides."""
        self.clock.at += int(seconds * SECOND)
        self.rung.clear()
        self.timers.set("wake", 0)
        await self.heard("wake")
        return [name for name in self.rung if name != "wake"]

    async def heard(self, name: str) -> None:
        """Wait until a name has rung."""
        for _ in range(1000):
            if name in self.rung:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{name} never rang")

    async def stop(self) -> None:
        """End the task."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def test_each_rings_once_in_order_of_its_moment() -> None:
    alarm = Alarm()
    start = alarm.clock.now()
    alarm.timers.set("late", start + 3 * SECOND)
    alarm.timers.set("early", start + 1 * SECOND)
    assert await alarm.turn(0.5) == []
    assert await alarm.turn(1) == ["early"]
    assert await alarm.turn(10) == ["late"]
    assert await alarm.turn(10) == []
    await alarm.stop()


async def test_a_new_moment_replaces_the_old_one_and_none_takes_it_away() -> None:
    alarm = Alarm()
    start = alarm.clock.now()
    alarm.timers.set("moved", start + 1 * SECOND)
    alarm.timers.set("moved", start + 5 * SECOND)
    alarm.timers.set("gone", start + 1 * SECOND)
    alarm.timers.set("gone", None)
    alarm.timers.set("nearer", start + 9 * SECOND)
    alarm.timers.set("nearer", start + 2 * SECOND)
    assert await alarm.turn(3) == ["nearer"]
    assert await alarm.turn(3) == ["moved"]
    assert await alarm.turn(10) == []
    await alarm.stop()


async def test_a_moment_that_has_passed_rings_at_once() -> None:
    alarm = Alarm()
    alarm.timers.set("past", 1)
    await alarm.heard("past")
    assert alarm.rung == ["past"]
    await alarm.stop()


def test_the_sleep_is_bounded_and_skips_what_was_moved() -> None:
    clock = TurnedClock()
    timers = Timers(clock, lambda name: None)
    assert timers._pause() == LONGEST_SLEEP
    timers.set("a", clock.at + 2 * SECOND)
    assert timers._pause() == 2.0
    timers.set("a", clock.at + 3600 * SECOND)
    assert timers._pause() == LONGEST_SLEEP
    timers.set("a", None)
    assert timers._pause() == LONGEST_SLEEP
    assert timers._heap == []


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancel_ends_them_also_as_a_new_moment_wakes_them(turns: int) -> None:
    alarm = Alarm()
    await alarm.turn(1)
    for _ in range(5):
        await asyncio.sleep(0)
    alarm.timers.set("near", alarm.clock.now() + SECOND)
    for _ in range(turns):
        await asyncio.sleep(0)
    alarm.task.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    ended = alarm.task.done()
    await alarm.stop()
    assert ended
