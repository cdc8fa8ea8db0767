"""What goes wrong in a simulation, drawn from its seed: a different mixture for each."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.agent import SimulatedAgent
from tests.simulation.coordinator import SimulatedCoordinator
from tests.simulation.loop import spread
from tests.simulation.machine import FIRST_VERSION
from tests.simulation.network import Network
from tests.simulation.universe import Universe

MINUTE = 60_000_000

MOMENTS = (
    "hello delivered",
    "journal delivered",
    "welcome delivered",
    "assignment delivered",
    "accepted delivered",
    "started delivered",
    "result delivered",
    "result_ack delivered",
    "cancel delivered",
    "accepted journaled",
    "started journaled",
    "exited journaled",
    "step begun",
    "worker ended",
    "recovery begun",
    "put in order",
    "committed",
)


@dataclass
class Chaos:
    """Breaks things, and mends them again."""

    universe: Universe
    network: Network
    coordinator: SimulatedCoordinator
    agents: dict[str, SimulatedAgent]
    journals: int = 1
    _faults: dict[str, Callable[[str], None]] = field(init=False)

    def __post_init__(self) -> None:
        self._faults = {
            "kill agent": self.kill_agent,
            "kill coordinator": self.kill_coordinator,
            "restart coordinator": self.restart_coordinator,
            "kill step": self.kill_step,
            "lose power": self.lose_power,
            "lose journal": self.lose_journal,
            "cut off": self.cut_off,
            "break stream": self.break_stream,
            "fill agent's disk": self.fill_agents_disk,
            "fill coordinator's disk": self.fill_coordinators_disk,
            "turn clock": self.turn_clock,
            "mix messages up": self.mix_up,
            "repeat": self.repeat,
            "stall greeting": self.stall_greeting,
            "lie": self.lie,
            "say outdated things": self.say_outdated_things,
            "change plugin": self.change_plugin,
            "doubtful commits": self.doubt_commits,
            "slow reads": self.slow_reads,
        }

    def leave_out(self, name: str) -> None:
        """Let a fault never happen."""
        del self._faults[name]

    async def rage(self, until: float) -> None:
        """Cause faults until a time: some by the clock, most at moments when it hurts."""
        draw = self.universe.random
        names = sorted(self._faults)
        chosen = draw.sample(names, draw.randint(1, len(names)))
        if draw.random() < 0.7 and "kill coordinator" not in chosen:
            chosen.append("kill coordinator")
        pause = spread(draw, 0.3, 10)
        if draw.random() < 0.2:
            self.mix_up("")
        while self.universe.loop.time() < until:
            await asyncio.sleep(spread(draw, pause / 4, pause * 2))
            fault = self._faults[draw.choice(chosen)]
            if draw.random() < 0.6:
                self.universe.await_moment(draw.choice(MOMENTS), draw.choice([1, 1, 2, 5]), self._soon(fault))
            else:
                fault("")
        self.universe.forget_moments()

    def calm(self) -> None:
        """Mend everything, and start what is down."""
        for name in sorted(self.agents):
            self._mend(name)
            self.agents[name].machine.journal.full = False
            self.agents[name].start()
        self.coordinator.disk.full = False
        self.coordinator.offset = 0
        self.coordinator.doubtful = False
        self.coordinator.slow = False
        self.network.mischief.unruly.clear()
        self.coordinator.start()

    def revive(self) -> None:
        """Start what has died meanwhile."""
        self.coordinator.start()
        for name in sorted(self.agents):
            self.agents[name].start()

    # The faults. `host` says where the moment was; empty: anywhere

    def kill_agent(self, host: str) -> None:
        """kill -9 an agent, now or a few steps on."""
        agent = self.agents[self._host(host)]
        self._kill_soon(agent, power=False)
        self.universe.loop.later(spread(self.universe.random, 0.05, 8), agent.start)

    def kill_step(self, host: str) -> None:
        """kill -9 a step that is at work, as a machine without memory does."""
        machine = self.agents[self._host(host)].machine
        at_work = [worker for worker in machine.workers.values() if worker is not None and worker.begun]
        if at_work:
            worker = self.universe.random.choice(at_work)
            self.universe.trace(f"{machine.name}: a step is killed")
            worker.end(None)

    def lose_power(self, host: str) -> None:
        """Let a machine restart hard."""
        agent = self.agents[self._host(host)]
        agent.kill(power=True)
        self.universe.loop.later(spread(self.universe.random, 1, 20), agent.start)

    def lose_journal(self, host: str) -> None:
        """Let an agent find its journal gone when it comes back."""
        agent = self.agents[self._host(host)]
        agent.kill(power=False)
        self.journals += 1
        folders = self.universe.random.random() < 0.4
        self.universe.trace(f"{agent.machine.name}: the journal is lost{' with all folders' if folders else ''}")
        agent.machine.lose_journal(self.journals, folders=folders)
        self.universe.loop.later(spread(self.universe.random, 0.05, 8), agent.start)

    def kill_coordinator(self, host: str) -> None:
        """kill -9 the coordinator, now or a few steps on."""
        process = self.coordinator.process
        if process is not None and not process.dead:
            process.light(self.universe.random.choice([1, 1, 2, 3, 5, 9, 20]))
            self.universe.loop.later(0.05, self.coordinator.kill)
        self.universe.loop.later(spread(self.universe.random, 0.06, 8), self.coordinator.start)

    def restart_coordinator(self, host: str) -> None:
        """Stop the coordinator in good order; it is started again."""
        self.coordinator.stop()

    def cut_off(self, host: str) -> None:
        """Partition one host from the coordinator."""
        name = self._host(host)
        self.universe.trace(f"{name} is cut off")
        self.network.cut(name)
        self.universe.loop.later(spread(self.universe.random, 0.5, 60), self._mend, name)

    def break_stream(self, host: str) -> None:
        """Break the streams of a host; a side may learn of it late, the coordinator perhaps never."""
        draw = self.universe.random
        name = self._host(host)
        self.universe.trace(f"the streams of {name} break")
        after = None if draw.random() < 0.4 else spread(draw, 0.001, 20)
        self.network.break_streams(name, spread(draw, 0.001, 20), after)

    def stall_greeting(self, host: str) -> None:
        """Let what an agent says on its next stream come late, perhaps when it has given that stream up."""
        draw = self.universe.random
        name = self._host(host)
        self.universe.trace(f"the next stream of {name} is slow")
        self.network.stalled[name] = spread(draw, 1, 60)
        self.network.break_streams(name, spread(draw, 0.001, 1), spread(draw, 0.001, 1))

    def fill_agents_disk(self, host: str) -> None:
        """Let an agent's disk be full for a while."""
        machine = self.agents[self._host(host)].machine
        self.universe.trace(f"{machine.name}: disk full")
        journal = machine.journal
        journal.full = True
        self.universe.loop.later(spread(self.universe.random, 0.5, 30), lambda: setattr(journal, "full", False))

    def fill_coordinators_disk(self, host: str) -> None:
        """Let the coordinator's disk be full for a while."""
        disk = self.coordinator.disk
        self.universe.trace("coordinator: disk full")
        disk.full = True
        self.universe.loop.later(spread(self.universe.random, 0.5, 30), lambda: setattr(disk, "full", False))

    def turn_clock(self, host: str) -> None:
        """Set a machine's clock wrong, or right."""
        draw = self.universe.random
        offset = draw.choice([0, 300_000, -300_000, 5 * MINUTE, -5 * MINUTE, 10**12, -(10**12)])
        if draw.random() < 0.5:
            self.coordinator.offset = max(-5 * MINUTE, min(5 * MINUTE, offset))
            self.universe.trace(f"coordinator: clock off by {self.coordinator.offset / 1e6} s")
        else:
            machine = self.agents[self._host(host)].machine
            machine.offset = offset
            self.universe.trace(f"{machine.name}: clock off by {offset / 1e6} s")

    def mix_up(self, host: str) -> None:
        """Let a host's messages come twice, late and in another order for a while."""
        name, unruly = self._host(host), self.network.mischief.unruly
        self.universe.trace(f"{name}: messages are mixed up")
        unruly.add(name)
        self.universe.loop.later(spread(self.universe.random, 1, 60), unruly.discard, name)

    def repeat(self, host: str) -> None:
        """Let a host say again what it said before, in whatever session."""
        name = self._host(host)
        self.universe.trace(f"{name} repeats itself")
        self.network.say(name, self.network.mischief.repeated(name))

    def lie(self, host: str) -> None:
        """Let a host tell results of attempts that were never made, or are another's."""
        name = self._host(host)
        self.universe.trace(f"{name} lies")
        self.network.say(name, self.network.mischief.lies(name, self.universe.epoch))

    def say_outdated_things(self, host: str) -> None:
        """Let the coordinator restart, and the hosts that come back hear what the one before has told them."""
        self.coordinator.kill()
        self.universe.loop.later(spread(self.universe.random, 0.01, 0.5), self.coordinator.start)

        def say(name: str) -> None:
            self.universe.trace(f"{name} hears outdated things")
            self.network.say_again(name, self.network.mischief.outdated(name))

        for number in (1, 2, 3):
            self.universe.await_moment("welcome delivered", number, self._soon(say))

    def change_plugin(self, host: str) -> None:
        """Let an agent come back with another version of its plugin, or with that of the beginning."""
        agent = self.agents[self._host(host)]
        agent.kill(power=False)
        agent.machine.plugin = self.universe.random.choice([FIRST_VERSION, "2", "3"])
        self.universe.trace(f"{agent.machine.name}: plugin {agent.machine.plugin}")
        self.universe.loop.later(spread(self.universe.random, 0.05, 8), agent.start)

    def doubt_commits(self, host: str) -> None:
        """Let commits of the coordinator land and be reported as failed, for a while."""
        self.universe.trace("coordinator: commits are in doubt")
        self.coordinator.doubtful = True
        self.universe.loop.later(
            spread(self.universe.random, 0.1, 5), lambda: setattr(self.coordinator, "doubtful", False)
        )

    def slow_reads(self, host: str) -> None:
        """Let some reads of the coordinator take too long for a while, as it runs or begins anew."""
        coordinator = self.coordinator
        self.universe.trace("coordinator: reads are slow")
        coordinator.slow = True
        if self.universe.random.random() < 0.5:
            coordinator.kill()
            self.universe.loop.later(spread(self.universe.random, 0.01, 0.5), coordinator.start)
        self.universe.loop.later(spread(self.universe.random, 0.5, 30), lambda: setattr(coordinator, "slow", False))

    def _soon(self, fault: Callable[[str], None]) -> Callable[[str], None]:
        """Return the fault, to happen outside of the moment's own callbacks, at once or a little later."""

        def strike(host: str) -> None:
            delay = self.universe.random.choice([0.0, 0.0, 0.001, 0.01, 0.1])
            self.universe.loop.later(delay, fault, host)

        return strike

    def _kill_soon(self, agent: SimulatedAgent, *, power: bool) -> None:
        if agent.process is not None and not agent.process.dead:
            agent.process.light(self.universe.random.choice([1, 1, 2, 3, 5, 9, 20]))
            self.universe.loop.later(0.04, agent.kill)

    def _mend(self, host: str) -> None:
        if host in self.network.cut_off:
            self.universe.trace(f"{host} is connected again")
            self.network.heal(host, late=self.universe.random.random() < 0.5)

    def _host(self, host: str) -> str:
        return host or self.universe.random.choice(sorted(self.agents))
