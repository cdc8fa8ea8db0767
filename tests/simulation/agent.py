"""The real agent on a simulated machine, wired as `pilotage_agent.agent` wires it."""

import asyncio
import json

from pilotage_agent.attempts import AttemptParts, Attempts
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal import Journal
from pilotage_agent.journal_store import InlineCommits
from pilotage_agent.link.backoff import Backoff
from pilotage_agent.link.connection import Connection
from pilotage_agent.link.log_feed import LogFeed
from pilotage_agent.link.session import SessionParts
from pilotage_agent.link.transport import Transport
from pilotage_agent.messages import Assignment, FailureKind, Inventory, Query
from pilotage_agent.outbox import Outbox

from tests.simulation.loop import Process, spread
from tests.simulation.machine import Machine, announced
from tests.simulation.network import Network
from tests.simulation.runner import SimulatedRunner


class AllowAll:
    """A policy that refuses nothing."""

    def refusal(self, assignment: Assignment) -> tuple[FailureKind, str] | None:
        return None

    def query_refusal(self, query: Query) -> tuple[FailureKind, str] | None:
        return None

    async def values_refusal(self, message: Assignment | Query) -> tuple[FailureKind, str] | None:
        return None


class SimulatedAgent:
    """Starts, kills and restarts the agent of one machine."""

    def __init__(self, machine: Machine, network: Network, slots: int, *, first_instance: int = 0) -> None:
        self.machine = machine
        self.process: Process | None = None
        self.buried: list[Process] = []
        self._network = network
        self._slots = slots
        self._instances = first_instance

    @property
    def up(self) -> bool:
        """Return whether the agent runs."""
        return self.process is not None and not self.process.dead

    def start(self) -> None:
        """Start a process, unless one runs."""
        if self.up:
            return
        universe = self.machine.universe
        self._instances += 1
        universe.trace(f"{self.machine.name}: agent starts")
        self.process = Process(self.machine.name, universe.loop)
        self.process.on_death = self._died
        self.buried.append(self.process)
        self.process.start(self._run(self._instances), "agent")

    def kill(self, *, power: bool = False) -> None:
        """kill -9; with `power`, the whole machine loses it."""
        if self.process is not None and not self.process.dead:
            self._power = power
            self.process.kill()
            if power:
                self.machine.lose_power()
        elif power:
            self.machine.lose_power()

    _power = False

    def lost_power(self) -> None:
        """The whole machine ends, because its agent does: for a crash at a step of the agent."""
        self._power = True
        self._died()
        self.machine.lose_power()

    def _died(self) -> None:
        self.machine.universe.trace(f"{self.machine.name}: agent is killed{' with its machine' if self._power else ''}")
        self.machine.agent_died()
        self._network.agent_died(self.machine.name, power=self._power)
        self._power = False

    async def _run(self, instance: int) -> None:
        machine = self.machine
        universe = machine.universe
        draw = universe.random

        async def fsync() -> None:
            await asyncio.sleep(spread(draw, 0.0002, 0.02))

        journal = Journal(machine.journal.load(), InlineCommits(machine.journal, fsync))
        runner = SimulatedRunner(machine)
        outbox = Outbox(universe.loop.time)
        logs = LogFeed(runner.log_sent)
        failpoints = Failpoints()
        inventory = Inventory(b"{}", json.dumps([announced(machine.plugin)]).encode())
        parts = AttemptParts(journal, runner, outbox, AllowAll(), logs, machine.now, failpoints)
        attempts = Attempts(parts, self._slots)
        attempts.on_fatal = self._fatal
        await attempts.recover()
        session = SessionParts(
            journal=journal,
            attempts=attempts,
            outbox=outbox,
            logs=logs,
            inventory=lambda: inventory,
            now=machine.now,
            failpoints=failpoints,
            agent_version="0",
            instance_id=f"ins-{machine.name}-{instance}",
            boot_id=machine.boot_id,
            slots=self._slots,
            host_id=f"hst_{machine.name}",
        )
        try:
            await Connection(self._dial, session, Backoff(draw.random)).run()
        except Exception as error:
            self._fatal(error)

    async def _dial(self) -> Transport:
        return await self._network.dial(self.machine.name)

    def _fatal(self, error: BaseException) -> None:
        self.machine.universe.violate(f"the agent of {self.machine.name} cannot go on: {error!r}")
