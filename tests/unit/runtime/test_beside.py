"""Many things by few at a time, and large plans in threads."""

import asyncio
import threading
from collections import Counter
from dataclasses import replace
from operator import itemgetter

import pytest
from pilotage_coordinator.domain.plan import Resolved
from pilotage_coordinator.runtime.beside import LARGE_PLAN, beside, few_at_a_time, weight

from tests.unit.engine.build import leaf, plan


async def test_few_at_a_time_in_as_few_tasks() -> None:
    before = len(asyncio.all_tasks())
    most_tasks = running = most_running = 0
    done: list[int] = []

    async def work(item: int) -> None:
        nonlocal running, most_running, most_tasks
        running += 1
        most_running = max(most_running, running)
        most_tasks = max(most_tasks, len(asyncio.all_tasks()) - before)
        await asyncio.sleep(0)
        running -= 1
        done.append(item)

    await few_at_a_time(range(1000), work, 7, whose=str, most_each=1)
    assert sorted(done) == list(range(1000))
    assert most_running == most_tasks == 7
    await few_at_a_time((), work, 7, whose=str, most_each=1)


async def test_few_of_each_and_none_waits_for_another() -> None:
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    done: list[tuple[str, int]] = []
    never = asyncio.Event()

    async def work(item: tuple[str, int]) -> None:
        who = item[0]
        running[who] += 1
        most[who] = max(most[who], running[who])
        if who == "slow":
            await never.wait()
        await asyncio.sleep(0)
        running[who] -= 1
        done.append(item)
        if len(done) == 60:
            never.set()

    items = [(who, number) for who in ("slow", "a", "b") for number in range(30)]
    await few_at_a_time(items, work, 10, whose=itemgetter(0), most_each=4)
    assert sorted(done) == sorted(items)
    assert most == {"slow": 4, "a": 4, "b": 4}
    assert {who for who, _ in done[:60]} == {"a", "b"}


async def test_the_first_error_ends_all() -> None:
    begun: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        await asyncio.sleep(0)
        if item == 3:
            raise LookupError("three")

    with pytest.raises(LookupError, match="three"):
        await few_at_a_time(range(1000), work, 2, whose=str, most_each=1)
    assert len(begun) < 10
    assert len(asyncio.all_tasks()) == 1


async def test_a_small_plan_is_worked_on_at_once_and_a_large_one_in_a_thread() -> None:
    small = plan(leaf("a", "h1"))
    assert await beside(small, threading.current_thread) is threading.current_thread()
    hosts = tuple(f"h{number}" for number in range(LARGE_PLAN))
    assert await beside(plan(leaf("a", *hosts)), threading.current_thread) is not threading.current_thread()
    values = {"a": {host: Resolved(when=True) for host in (*hosts, "more")}}
    assert await beside(replace(small, resolved=values), threading.current_thread) is not threading.current_thread()


def test_weighing_stops_when_it_knows_enough() -> None:
    many = plan(*(leaf(f"s{number}", "h1") for number in range(1000)))
    assert weight(many, 10) == 12
    assert weight(many, 5000) == 2000
