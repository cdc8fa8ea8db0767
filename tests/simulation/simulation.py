"""One simulated history, from a seed to a verdict."""

import asyncio
import contextlib
import functools
import logging
import sys
from collections.abc import Generator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import structlog
from pilotage_agent.link import session as agent_session
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.sqlite import store as sqlite_store
from pilotage_coordinator.store.sqlite.executions import SqliteExecutions
from pilotage_coordinator.store.sqlite.queries import Queries

from tests.simulation.agent import SimulatedAgent
from tests.simulation.coordinator import HOSTS, SimulatedCoordinator
from tests.simulation.drift import Drift
from tests.simulation.faults import Chaos
from tests.simulation.invariants import AT_REST, Oracle
from tests.simulation.loop import SimulatedLoop, Stuck, bury, simulated_loop, spread
from tests.simulation.machine import Machine
from tests.simulation.mischief import Mischief
from tests.simulation.network import Network
from tests.simulation.people import People
from tests.simulation.plans import PlanMaker
from tests.simulation.universe import Universe

BOUND = 1800.0
"""Virtual seconds after the last fault within which every execution must have come to rest."""
LOOK = 2.0
"""Seconds between an agent's looks at its logs and progress, of which the simulation's steps have none."""

EXPECTED_ERRORS = (StoreError,)
UNEXPECTED = frozenset({"task.failed", "host.quarantined", "result.of_a_later_epoch"})
"""What the coordinator must never have a reason to log."""


@dataclass(frozen=True)
class Verdict:
    """What came out."""

    seed: int
    digest: str
    violations: tuple[str, ...]
    lines: tuple[tuple[float, str], ...]
    seconds: float
    """How much virtual time went by."""
    steps: Mapping[str, int]
    """How many steps the first process of each name took."""

    def report(self) -> str:
        """Return the trace and what is wrong with it, for people."""
        lines = [f"{at:12.6f}  {text}" for at, text in self.lines]
        wrong = [f"  {text}" for text in self.violations]
        again = f"run it again: python -m tests.simulation {self.seed}"
        return "\n".join([*lines, "", f"seed {self.seed}: {len(wrong)} violations", *wrong, again])


@dataclass(frozen=True)
class Crash:
    """The only fault of a quiet history: a process (`coordinator`, or a host's agent) ends at one of its steps, which
    its awaits part from each other; with `power`, its machine ends too."""

    of: str
    step: int
    power: bool = False


def simulate(seed: int, crash: Crash | None = None, *, copied: bool = False, restored: bool = False) -> Verdict:
    """Run one history to its end: a stormy one; with `crash` a quiet one that has no other fault; one in which a host
    is `copied`; or a stormy one in which the coordinator's disk is `restored` from a copy."""
    with simulated_loop() as loop:
        universe = Universe(seed, loop)
        history = History(universe, loop, crash)
        with _surroundings(universe):
            try:
                course = history.copied() if copied else history.restored() if restored else history.run()
                loop.run_until_complete(loop.start(course, "history"))
            except Stuck as error:
                universe.violate(f"12: {error}")
            except Exception as error:
                universe.violate(f"somebody got an error that nobody expects: {error!r}")
            for text in loop.failures:
                universe.violate(text)
            history.end()
        return Verdict(
            seed, universe.digest, tuple(universe.violations), tuple(universe.lines), loop.time(), history.steps
        )


class History:
    """The parts of one simulation, and its course: storm, then calm, then the verdict."""

    def __init__(self, universe: Universe, loop: SimulatedLoop, crash: Crash | None = None) -> None:
        self.crash = crash
        self.universe = universe
        self.loop = loop
        draw = universe.random
        self.network = Network(universe, Mischief(universe))
        self.machines = {name: Machine(universe, name) for name in HOSTS}
        self.agents = {
            name: SimulatedAgent(self.machines[name], self.network, draw.choice([1, 2, 8])) for name in HOSTS
        }
        self.coordinator = SimulatedCoordinator(universe, self.network)
        self.oracle = Oracle(universe, self.coordinator.disk, list(self.machines.values()))
        universe.on_ack = self.oracle.result_acknowledged
        universe.on_journaled = self.oracle.journaled_entry
        universe.on_report = self.oracle.result_reported
        universe.on_step_begun = self.oracle.step_begun
        drift = self.drift = Drift(universe, self.machines, self.oracle.plans, self.oracle.rows)
        universe.on_hello, universe.on_welcome, universe.on_commit = drift.greeted, drift.welcomed, drift.committed
        universe.process_is_dead = lambda host: not self.agents[host].up
        self.people = People(universe, self.coordinator, self.oracle, PlanMaker(draw, HOSTS))
        self.chaos = Chaos(universe, self.network, self.coordinator, self.agents)

    async def run(self) -> None:
        """Let it all happen."""
        draw = self.universe.random
        self.coordinator.start()
        for agent in self.agents.values():
            agent.start()
        if self.crash is not None:
            self._light(self.crash)
            await self.people.start()
            await self._calm()
            return
        await self._storm(spread(draw, 8, 60))
        await self._calm()

    async def _storm(self, storm: float) -> None:
        draw = self.universe.random
        work = [self.loop.start(self.chaos.rage(storm), "chaos"), self.loop.start(self.people.meddle(storm), "people")]
        for _ in range(draw.choice([1, 2, 3])):
            await self.people.start()
            await asyncio.sleep(spread(draw, 0.05, storm / 4))
        await asyncio.wait(work)
        for task in work:
            task.result()
        self.universe.trace("the storm is over")

    @property
    def steps(self) -> Mapping[str, int]:
        """Return how many steps the first process of each name took."""
        first = [self.coordinator.buried[0], *(agent.buried[0] for agent in self.agents.values())]
        return {process.name: process.steps for process in first}

    def _light(self, crash: Crash) -> None:
        agent = self.agents.get(crash.of)
        process = self.coordinator.process if agent is None else agent.process
        assert process is not None
        if agent is not None and crash.power:
            process.on_death = agent.lost_power
        process.light(crash.step)

    def end(self) -> None:
        """Judge, and let go of everything."""
        self.oracle.verdict()
        self.universe.over = True
        processes = [*self.coordinator.buried, *(each for agent in self.agents.values() for each in agent.buried)]
        for process in processes:
            process.dead = True
        self.coordinator.disk.crash()
        for process in processes:
            bury(process.tasks)
        bury(self.loop.tasks)
        self.coordinator.disk.close()

    async def copied(self) -> None:
        """Let a second machine come up as a copy of the first host, journal, key and all, while the first lives on."""
        draw = self.universe.random
        name = HOSTS[0]
        self.universe.liars.add(name)
        self.coordinator.start()
        for agent in self.agents.values():
            agent.start()
        await self.people.start()
        await asyncio.sleep(spread(draw, 0.02, 8))
        copy = self.machines[name].copy()
        self.oracle.machines.append(copy)
        self.agents["copy"] = SimulatedAgent(copy, self.network, 2, first_instance=100)
        self.agents["copy"].start()
        await asyncio.sleep(120)
        ((quarantine,),) = self.oracle.rows("SELECT quarantine FROM hosts WHERE name = ?", name)
        if not quarantine:
            self.universe.violate(f"copies: two agents live as {name}, and it is not in quarantine")

    async def restored(self) -> None:
        """Copy the coordinator's disk at some moment of a storm, and put the copy in its place at a later one."""
        self.coordinator.start()
        for agent in self.agents.values():
            agent.start()
        # Who restores a coordinator of which a host has lost its journal meanwhile has nobody left to ask.
        self.chaos.leave_out("lose journal")
        storm = spread(self.universe.random, 20, 60)
        await asyncio.gather(self._storm(storm), self._restore(storm))
        await self._calm()

    async def _restore(self, storm: float) -> None:
        draw = self.universe.random
        await asyncio.sleep(spread(draw, 0.5, storm / 2))
        copy = self.coordinator.backup()
        self.universe.trace("coordinator: the disk is copied")
        await asyncio.sleep(spread(draw, 0.2, storm / 2))
        self.coordinator.kill()
        self.coordinator.restore(copy)
        copy.close()
        self.oracle.restored()
        self.drift.restored()
        self.people.forget()
        await asyncio.sleep(spread(draw, 0.1, 5))
        self.coordinator.start()

    async def _calm(self) -> None:
        """Nothing breaks any more, and people answer what they are asked: everything must come to an end."""
        self.chaos.calm()
        self.oracle.calm = self.universe.wall()
        deadline = self.loop.time() + BOUND
        while self.loop.time() < deadline:
            await asyncio.sleep(5)
            self.chaos.revive()
            statuses = self.oracle.statuses()
            if all(status in AT_REST for status in statuses.values()):
                if not self.oracle.left_in_journals():
                    return
                continue
            for execution, status in statuses.items():
                if status not in AT_REST:
                    await self.people.answer(execution, self.people.name(), finally_=True)
        for execution, status in self.oracle.statuses().items():
            if status not in AT_REST:
                self.universe.violate(f"12: {execution[-1]} is {status} {BOUND:.0f} s after the last fault")
        for text in self.oracle.left_in_journals():
            self.universe.violate(f"12: {text} {BOUND:.0f} s after the last fault")


@functools.cache
def _queries() -> Queries:
    return Queries()


@contextlib.contextmanager
def _surroundings(universe: Universe) -> Generator[None, None, None]:
    """Collect what the coordinator logs as an error, let nobody log anywhere, and leave out what only takes time."""

    def collect(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        error = sys.exc_info()[1]
        if method == "exception" and not isinstance(error, EXPECTED_ERRORS):
            universe.violate(f"the coordinator logs {event['event']}: {error!r}")
        elif event["event"] in UNEXPECTED and event.get("host") not in universe.liars:
            universe.violate(f"the coordinator logs {event}")
        raise structlog.DropEvent

    def slowly(original: Any) -> Any:
        async def active(self: SqliteExecutions) -> Any:
            """Take the time that reading a large database takes."""
            await asyncio.sleep(spread(universe.random, 0.0001, 3))
            return await original(self)

        return active

    before, level = structlog.get_config(), logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    structlog.configure(processors=[collect], cache_logger_on_first_use=False)
    try:
        with (
            patch.object(agent_session, "LOOK_SECONDS", LOOK),
            patch.object(sqlite_store, "Queries", _queries),
            patch.object(SqliteExecutions, "active", slowly(SqliteExecutions.active)),
        ):
            yield
    finally:
        structlog.configure(**before)
        logging.disable(level)
