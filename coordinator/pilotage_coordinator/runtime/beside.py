"""Work that must not keep the event loop from everything else: done in a thread, or by few at a time."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TypeVar

from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.every_step import all_steps

T = TypeVar("T")

LARGE_PLAN = 500
"""Steps, hosts of steps and resolved values of a plan, or step runs of an execution, that are worked through on the
event loop: some milliseconds."""


async def beside(plan: Plan, work: Callable[[], T], more: int = 0) -> T:
    """Return what `work` on a plan, and on `more` things that belong to it, gives: see `aside`."""
    return await aside(more + weight(plan, LARGE_PLAN), work)


async def aside(amount: int, work: Callable[[], T]) -> T:
    """Return what `work` gives: at once where it goes over few things, from a thread where over many.

    A thread shares the interpreter with the loop, which gets its turn every few milliseconds; but not within one call
    of a built-in function, such as the sort of a long list.
    """
    return work() if amount <= LARGE_PLAN else await asyncio.to_thread(work)


def weight(plan: Plan, enough: int) -> int:
    """Return how much there is in a plan; stops to count beyond `enough`."""
    count = sum(len(hosts) for hosts in plan.resolved.values())
    for step in all_steps(plan):
        count += 1 + len(step.hosts) + len(step.planned_outputs) + len(step.planned_items)
        if count > enough:
            break
    return count


async def few_at_a_time(
    items: Sequence[T],
    work: Callable[[T], Awaitable[None]],
    most: int,
    *,
    whose: Callable[[T], Hashable],
    most_each: int,
) -> None:
    """Await `work` for each item: at most `most` at the same time, and `most_each` of those that `whose` says belong
    together, each owner in turn; in no more tasks. The first error ends all.
    """
    waiting: dict[Hashable, deque[T]] = {}
    for item in items:
        waiting.setdefault(whose(item), deque()).append(item)
    busy: Counter[Hashable] = Counter()
    ready = dict.fromkeys(waiting)
    """Owners with something that may begin. Another owner with something waiting has work under way, and comes back."""

    def update(owner: Hashable) -> None:
        ready.pop(owner, None)
        if waiting[owner] and busy[owner] < most_each:
            ready[owner] = None

    async def take_turns() -> None:
        while ready:
            owner = next(iter(ready))
            item = waiting[owner].popleft()
            busy[owner] += 1
            update(owner)
            await work(item)
            busy[owner] -= 1
            update(owner)

    wanted = sum(min(most_each, len(each)) for each in waiting.values())
    tasks = [asyncio.create_task(take_turns()) for _ in range(min(most, wanted))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
