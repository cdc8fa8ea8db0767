"""What is sent goes to the machine that was planned, with the plugin that was planned, or somebody says yes first."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from pilotage_coordinator.domain.execution.inputs import ResumeRequested
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.fleet import Assignment, AttemptReport, HostInventory, Outcome
from pilotage_coordinator.domain.plan import Plan, StepTypeUse
from pilotage_coordinator.domain.planning.codec import digest, to_json
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.executor import Executor, Start
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.second_redaction import SecondRedaction
from pilotage_coordinator.runtime.world import RuntimeWorld
from pilotage_coordinator.steps import coordinator_steps
from pilotage_coordinator.store.records import CertificateRecord, EnrolmentRecord, HostRecord, PlanRecord
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store
from pilotage_proto.attempt import AttemptKey

from tests.unit.engine.build import leaf, plan

ANNOUNCED = {"name": "command.run", "distribution": "pilotage", "version": "1.0.0"}


class StoppedClock:
    def now(self) -> int:
        return 1_000_000

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Fleet:
    """A FleetPort that takes notes."""

    sent: list[Assignment] = field(default_factory=list)

    def online(self, host: str) -> bool:
        return True

    def assign(self, assignment: Assignment) -> None:
        self.sent.append(assignment)

    def cancel(self, key: AttemptKey, epoch: int, reason: str) -> None:
        """Nobody asks."""


@dataclass
class Site:
    store: SqliteStore
    inventory: LiveInventory
    fleet: Fleet
    executor: Executor

    async def join(self, id: str, name: str = "h1", version: str = "1.0.0") -> None:
        token = f"token of {id}"
        await self.store.enrolments.create(EnrolmentRecord(token, 0, "anna", 10_000_000, name))
        certificate = CertificateRecord(f"serial of {id}", id, 1, 10_000_000)
        await self.store.enrolments.consume(token, HostRecord(id, name, 1, f"key of {id}"), certificate, 1)
        await self.inventory.reload(name)
        self.inventory.set_online(name, True)
        self.upgrade(version, name)

    def upgrade(self, version: str, name: str = "h1") -> None:
        self.inventory.set_reported(name, HostInventory({}, ({**ANNOUNCED, "version": version},)))

    async def replace_machine(self, id: str) -> None:
        record = await self.store.hosts.named("h1")
        await self.store.hosts.revoke(record.id, 2, ())
        await self.join(id)

    async def start(self, made: Plan) -> None:
        host = self.inventory.get("h1")
        assert host is not None
        info = host.step_types["command.run"]
        use = StepTypeUse(info.name, info.distribution, info.version, info.digest)
        steps = tuple(replace(step, type=use) for step in made.steps)
        made = replace(made, steps=steps, host_ids={"h1": host.id})
        made = replace(made, digest=digest(made))
        await self.store.plans.put(PlanRecord(made.digest, to_json(made)))
        await self.executor.start(Start("exe_1", made, "anna"))

    async def succeed(self) -> None:
        assignment = self.fleet.sent[-1]
        await self.executor.report(AttemptReport(assignment.key, assignment.epoch, Outcome.SUCCEEDED))
        await self.executor.close()

    @property
    def sent(self) -> list[str]:
        return [each.key.path for each in self.fleet.sent]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    store = await open_simulated_store(SimulatedDisk(), now=0, new_id=lambda prefix: f"{prefix}_1")
    clock, fleet = StoppedClock(), Fleet()
    inventory = LiveInventory(store.hosts, clock)
    dispatcher = Dispatcher(fleet, None, inventory, None, 1)  # type: ignore[arg-type]
    world = RuntimeWorld.over(inventory, Expressions(), coordinator_steps())
    executor = Executor(store, dispatcher, world, clock, 1, SecondRedaction(None))  # type: ignore[arg-type]
    found = Site(store, inventory, fleet, executor)
    await found.join("hst_1")
    yield found
    await executor.close()
    await store.close()


CHAIN = plan(leaf("a", "h1"), leaf("b", "h1", after=["a"]))


async def test_a_new_machine_under_an_old_name_gets_nothing_until_somebody_says_yes(site: Site) -> None:
    await site.start(CHAIN)
    await site.replace_machine("hst_2")
    await site.succeed()
    assert site.sent == ["a"]
    record = await site.store.executions.get("exe_1")
    assert record.progress.status == "paused"
    assert record.progress.reason == (
        "drift: h1 is another machine than planned: it has joined anew as hst_2, planned was hst_1"
    )
    await site.executor.submit("exe_1", ResumeRequested("anna"))
    assert site.sent == ["a", "b"]


async def test_a_plugin_that_was_upgraded_midway_pauses(site: Site) -> None:
    await site.start(CHAIN)
    site.upgrade("2.0.0")
    await site.succeed()
    state = await site.executor.state("exe_1")
    assert state.reason == "drift: command.run on h1 comes from pilotage 2.0.0, planned was pilotage 1.0.0"
    site.upgrade("1.0.0")
    await site.executor.submit("exe_1", ResumeRequested("anna"))
    await site.succeed()
    assert (await site.executor.state("exe_1")).status == "completed"


async def test_what_was_accepted_is_known_after_a_restart(site: Site) -> None:
    await site.start(CHAIN)
    site.upgrade("2.0.0")
    await site.succeed()
    await site.executor.submit("exe_1", ResumeRequested("anna"))
    state, _ = await site.executor.load("exe_1")
    assert state == await site.executor.state("exe_1")
    assert len(state.accepted) == 1


async def test_an_attempt_for_the_first_machine_is_not_sent_to_the_second(site: Site) -> None:
    """It was committed, and may have been sent before: nobody knows what became of it."""
    site.executor.dispatcher.credit = 0
    await site.start(CHAIN)
    await site.replace_machine("hst_2")
    site.executor.dispatcher.credit = 10
    await site.executor.sending.refill()
    await site.executor.close()
    assert site.sent == []
    run = (await site.executor.state("exe_1")).run(RunKey("a", "h1"))
    assert run.status == "unknown"
    assert "another machine" in run.error
