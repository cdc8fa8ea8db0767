"""A plan is read once for all who run it; together they stay within a bound."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.codec import digest, from_json, to_json
from pilotage_coordinator.domain.planning.errors import PlanUnreadable
from pilotage_coordinator.runtime import plan_shelf
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.records import PlanRecord
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk

from tests.unit.engine.build import leaf, plan
from tests.unit.runtime.test_executor import _desk as open_desk


class Plans:
    """A PlanStore in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, PlanRecord] = {}
        self.asked: list[str] = []

    async def put(self, plan: PlanRecord) -> None:
        self.rows[plan.digest] = plan

    async def get(self, digest: str) -> PlanRecord:
        self.asked.append(digest)
        if digest not in self.rows:
            raise NotFound("no plan")
        return self.rows[digest]


def made(store: Plans, name: str, steps: int = 1) -> Plan:
    found = plan(*(leaf(f"{name}{number}", "h1") for number in range(steps)))
    found = replace(found, digest=digest(found))
    store.rows[found.digest] = PlanRecord(found.digest, to_json(found))
    return found


async def test_who_asks_again_gets_the_same_plan_and_the_store_is_asked_once() -> None:
    store = Plans()
    wanted = made(store, "a")
    shelf = PlanShelf(store)
    assert await shelf.get(wanted.digest) == wanted
    assert await shelf.get(wanted.digest) is await shelf.read(wanted.digest, {})
    assert store.asked == [wanted.digest]


async def test_the_one_that_was_used_longest_ago_goes_first() -> None:
    store = Plans()
    a, b, c = (made(store, name, 5) for name in "abc")
    shelf = PlanShelf(store, most_weight=20)
    for each in (a, b, a, c):
        await shelf.get(each.digest)
    assert store.asked == [a.digest, b.digest, c.digest]
    await shelf.get(a.digest)
    await shelf.get(b.digest)
    assert store.asked == [a.digest, b.digest, c.digest, b.digest]


async def test_what_is_larger_than_the_shelf_is_not_kept_and_displaces_nothing() -> None:
    store = Plans()
    small, large = made(store, "a", 5), made(store, "b", 50)
    shelf = PlanShelf(store, most_weight=20)
    for each in (small, large, large, small):
        await shelf.get(each.digest)
    assert store.asked == [small.digest, large.digest, large.digest]


async def test_what_cannot_be_read_is_told_and_not_kept() -> None:
    store = Plans()
    shelf = PlanShelf(store)
    with pytest.raises(NotFound):
        await shelf.get("sha256:0")
    with pytest.raises(PlanUnreadable):
        await shelf.read("sha256:0", {"plan": 9})
    assert not shelf._kept


async def test_a_large_plan_is_never_read_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def noting(content: Any) -> Plan:
        threads.append(threading.current_thread())
        return from_json(content)

    monkeypatch.setattr(plan_shelf, "from_json", noting)
    store = Plans()
    shelf = PlanShelf(store)
    await shelf.get(made(store, "a").digest)
    await shelf.get(made(store, "b", 3000).digest)
    assert threads[0] is threading.current_thread()
    assert threads[1] is not threading.current_thread()


async def test_an_execution_of_a_large_plan_is_begun_and_loaded_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    indexed: list[threading.Thread] = []
    new = ExecutionState.new

    def noting(execution: str, what: Plan) -> ExecutionState:
        indexed.append(threading.current_thread())
        return new(execution, what)

    monkeypatch.setattr(ExecutionState, "new", staticmethod(noting))
    desk = await open_desk(SimulatedDisk())
    await desk.start("exe_1", plan(*(leaf(f"s{number}", "h1", after=["x"]) for number in range(600)), leaf("x", "h1")))
    await desk.executor.load("exe_1")
    assert len(indexed) == 2
    assert threading.current_thread() not in indexed
    assert [each.key.path for each in desk.port.sent] == ["x"]
    await desk.executor.close()
    await desk.store.close()
