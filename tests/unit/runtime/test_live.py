"""One execution in memory: inputs that come together share a commit, and memory is never ahead of the store."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.execution.events import Event
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.engine.decide import react
from pilotage_coordinator.engine.due import attempt_key
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.live import MOST_INPUTS, LiveExecution
from pilotage_coordinator.runtime.projection import Position
from pilotage_coordinator.store.errors import Conflict, StoreUnavailable
from pilotage_coordinator.store.records import ExecutionChange

from tests.unit.engine.build import START, FakeWorld, leaf, plan

HOSTS = ("h1", "h2", "h3")


class StoppedClock:
    def now(self) -> int:
        return START

    def monotonic(self) -> float:
        return 0.0


class Site:
    """A live execution over a store that does what the test says."""

    def __init__(self) -> None:
        self.commits: list[ExecutionChange] = []
        self.before: Callable[[], None] = lambda: None
        self.after_write: Callable[[], None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.effects: list[Sequence[Event]] = []
        self.reloads = 0
        self.stored = (ExecutionState.new("exe_1", plan(leaf("a", *HOSTS))), Position())
        self.tasks: list[asyncio.Task[None]] = []
        live: Any = LiveExecution
        self.live: LiveExecution = live(
            *self.stored, self, FakeWorld(HOSTS), StoppedClock(), self, 1, Failpoints(), self._spawn
        )
        self.failing_after_write = False

    # The store.

    async def commit(self, change: ExecutionChange) -> None:
        await self.gate.wait()
        self.before()
        self.commits.append(change)
        if self.failing_after_write:
            raise StoreUnavailable("the answer was lost")

    # The effects.

    async def after(self, live: LiveExecution, events: Sequence[Event]) -> None:
        self.effects.append(events)
        self.stored = (live.state, live.position)

    async def load(self, execution: str) -> tuple[ExecutionState, Position]:
        return self.stored

    async def reloaded(self, live: LiveExecution) -> None:
        self.reloads += 1

    def settled(self, live: LiveExecution) -> None:
        pass

    def _spawn(self, name: str, live: LiveExecution) -> None:
        self.tasks.append(asyncio.create_task(live.drain()))

    def ends(self) -> list[i.AttemptEnded]:
        """Return the reports of everything that is open."""
        state = self.live.state
        keys = [attempt_key(state, attempt) for attempt in state.open.values()]
        return [
            i.AttemptEnded(AttemptReport(key, 1, Outcome.SUCCEEDED, started_at=START, ended_at=START)) for key in keys
        ]


def broken(error: Exception) -> Callable[[], None]:
    """Return something that raises."""

    def fail() -> None:
        raise error

    return fail


async def test_inputs_that_come_together_share_a_commit() -> None:
    site = Site()
    await site.live.submit(i.Begin("seed", "anna"))
    await asyncio.gather(*(site.live.submit(end) for end in site.ends()))
    assert len(site.commits) == 2
    assert site.live.state.status == "completed"
    assert site.live.idle


async def test_inputs_during_a_commit_wait_and_then_share_the_next() -> None:
    site = Site()
    site.gate.clear()
    begun = site.live.submit(i.Begin("seed", "anna"))
    await asyncio.sleep(0)
    waiting = [site.live.submit(i.Tick()) for _ in range(5)]
    await asyncio.sleep(0)
    assert not begun.done()
    assert not site.live.state.runs, "memory was ahead of the store"
    site.gate.set()
    await asyncio.gather(begun, *waiting)
    assert len(site.commits) == 1


async def test_what_becomes_possible_is_started_in_slices_each_with_a_commit() -> None:
    site = Site()
    site.live.most = 1
    begun = site.live.submit(i.Begin("seed", "anna"))
    await begun
    assert len(site.live.state.open) < len(HOSTS)
    paused = site.live.submit(i.Tick())
    await asyncio.gather(paused, *site.tasks)
    assert len(site.live.state.open) == len(HOSTS)
    assert len(site.commits) > 2
    assert sorted(each.key.host for commit in site.commits for each in commit.attempts) == list(HOSTS)


async def test_slices_that_the_store_did_not_take_are_found_again() -> None:
    site = Site()
    site.live.most = 1
    await site.live.submit(i.Begin("seed", "anna"))
    site.before = broken(StoreUnavailable("the disk is full"))
    await asyncio.gather(*site.tasks)
    assert site.live.doubtful
    assert len(site.live.state.open) < len(HOSTS)
    site.before = lambda: None
    await site.live.submit(None)
    await asyncio.gather(*site.tasks)
    assert len(site.live.state.open) == len(HOSTS)


async def test_a_process_that_ends_starts_nothing_more() -> None:
    site = Site()
    site.live.most = 1
    await site.live.submit(i.Begin("seed", "anna"))
    site.live.leave_off()
    await asyncio.gather(*site.tasks)
    assert len(site.live.state.open) < len(HOSTS)


async def test_many_inputs_are_decided_some_at_a_time() -> None:
    site = Site()
    await site.live.submit(i.Begin("seed", "anna"))
    [first, *_] = site.ends()
    done = [site.live.submit(i.Tick()) for _ in range(2 * MOST_INPUTS)]
    last = site.live.submit(first)
    site.gate.clear()
    await asyncio.gather(*done)
    assert not last.done()
    site.gate.set()
    await last


async def test_one_refused_input_does_not_hurt_its_neighbours() -> None:
    site = Site()
    await site.live.submit(i.Begin("seed", "anna"))
    paused, refused, again = (
        site.live.submit(i.PauseRequested("anna")),
        site.live.submit(i.GateReleased("no such gate", "anna")),
        site.live.submit(i.ResumeRequested("anna")),
    )
    await paused
    await again
    with pytest.raises(Refused):
        await refused
    assert len(site.commits) == 2


@pytest.mark.parametrize("error", [StoreUnavailable("the disk is full"), Conflict("somebody was first")])
async def test_what_the_store_does_not_take_has_not_happened(error: Exception) -> None:
    site = Site()
    await site.live.submit(i.Begin("seed", "anna"))
    before = site.live.state
    site.before = broken(error)
    [end, *_] = site.ends()
    with pytest.raises(type(error)):
        await site.live.submit(end)
    assert site.live.state is before
    assert len(site.effects) == 1, "an effect of what is not stored"
    site.before = lambda: None
    await site.live.submit(end)
    assert site.reloads == 1
    assert site.commits[-1].expected_version == 1


async def test_a_write_of_unknown_fate_is_looked_up_before_anything_is_decided() -> None:
    site = Site()
    await site.live.submit(i.Begin("seed", "anna"))
    [end, *_] = site.ends()
    site.failing_after_write = True
    with pytest.raises(StoreUnavailable):
        await site.live.submit(end)
    site.failing_after_write = False
    # The store did take it: that is what loading finds, and the same report again is no news.
    reaction = react(site.live.state, end, START, FakeWorld(HOSTS))
    events = len(site.commits[-1].events)
    version, sequence = site.live.position.version + 1, site.live.position.sequence + events
    site.stored = (reaction.state, Position(version, sequence, {}))
    await site.live.submit(end)
    assert site.live.state == reaction.state
    assert len(site.commits) == 2, "it was decided twice"


async def test_a_defect_fails_who_waits_and_leaves_the_execution_usable() -> None:
    site = Site()
    await site.live.submit(i.Begin("seed", "anna"))
    site.before = broken(ZeroDivisionError("a defect"))
    [end, *_] = site.ends()
    with pytest.raises(ZeroDivisionError):
        await site.live.submit(end)
    site.before = lambda: None
    await site.live.submit(end)
    assert site.live.idle
