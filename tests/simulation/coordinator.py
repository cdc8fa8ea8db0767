"""The real coordinator on a simulated disk, wired as `pilotage_coordinator.bootstrap` wires it, without faces."""

import asyncio
import contextlib
import functools
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.fleet import LogPiece
from pilotage_coordinator.fleet.muster import Muster
from pilotage_coordinator.fleet.peer import Peer
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.fleet.store_registry import StoreRegistry
from pilotage_coordinator.runtime.clock import LARGEST_CORRECTION
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.listener import AgentListener
from pilotage_coordinator.runtime.live import MOST_STEPS
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.runtime.restoration import EPOCH_MARGIN, Restoration
from pilotage_coordinator.runtime.second_redaction import SecondRedaction
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.runtime.signed_plans import SignedPlans
from pilotage_coordinator.runtime.witnesses import Witnesses
from pilotage_coordinator.runtime.world import RuntimeWorld
from pilotage_coordinator.security.audit_key import AuditKey
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.steps import coordinator_steps
from pilotage_coordinator.store.errors import ReadTooLong, StoreError, StoreUnavailable
from pilotage_coordinator.store.records import (
    CertificateRecord,
    EnrolmentRecord,
    GrantRecord,
    HostRecord,
    PrincipalRecord,
)
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store

from tests.simulation.approvals import DBAS, PERSONS, ROLE, key_of
from tests.simulation.loop import Process, simulated_loop, spread
from tests.simulation.network import Network, Stream
from tests.simulation.universe import BEGINNING, Universe

T = TypeVar("T")

HOSTS = ("h1", "h2", "h3")
FAR = BEGINNING + 10**15
SETTINGS = SessionSettings(version="simulated", heartbeat_seconds=5, silence_seconds=16.0, witness_seconds=4.0)
MUSTER_SECONDS = 60.0
CIPHER = StoreCipher(b"k" * 32)
AUDIT_KEY = AuditKey(Ed25519PrivateKey.from_private_bytes(b"a" * 32), Path("/nowhere"), fresh=False)


class Down(Exception):
    """The coordinator does not run, or died before it answered."""


@functools.cache
def template() -> SimulatedDisk:
    """Return a disk with a fresh store in which all hosts are enrolled; to be copied, not used."""
    disk = SimulatedDisk()

    async def enrol() -> None:
        store = await open_simulated_store(disk, now=BEGINNING, new_id=lambda prefix: f"{prefix}_1", signer=AUDIT_KEY)
        for name in HOSTS:
            token = EnrolmentRecord(f"token-{name}", BEGINNING, "test", FAR, name)
            await store.enrolments.create(token)
            host = HostRecord(f"hst_{name}", name, BEGINNING, f"key-{name}")
            certificate = CertificateRecord(f"serial-{name}", host.id, BEGINNING, FAR)
            await store.enrolments.consume(token.token_hash, host, certificate, BEGINNING)
        for person in PERSONS:
            await store.access.add_principal(
                PrincipalRecord(person, "person", BEGINNING, "test", keys=(key_of(person),))
            )
        for person in sorted(DBAS):
            await store.access.grant(GrantRecord(person, ROLE.removeprefix("role:"), BEGINNING, "test"))
        await store.close()

    with simulated_loop() as loop:
        loop.run_until_complete(enrol())
    return disk


class SimulatedClock:
    """As `SystemClock`: steady within a process, right again (or wrong anew) after a restart."""

    def __init__(self, universe: Universe, machine: "SimulatedCoordinator") -> None:
        self._universe = universe
        self._machine = machine
        self._offset = machine.offset

    def now(self) -> int:
        """Return UTC microseconds."""
        if abs(self._machine.offset - self._offset) <= LARGEST_CORRECTION:
            self._offset = self._machine.offset
        return self._universe.wall() + self._offset

    def monotonic(self) -> float:
        """Return seconds."""
        return self._universe.loop.time()


class KeptLogs:
    """A log store that keeps nothing: the simulation's steps write no logs."""

    async def append(self, piece: LogPiece) -> int:
        """Acknowledge."""
        return piece.offset + len(piece.data)


class SimulatedCoordinator:
    """Starts, kills and restarts the coordinator."""

    def __init__(self, universe: Universe, network: Network) -> None:
        self.universe = universe
        self.network = network
        self.disk = SimulatedDisk(self._stall, self._look)
        template().connection.backup(self.disk.connection)
        self.process: Process | None = None
        self.buried: list[Process] = []
        self.offset = 0
        """How wrong the machine's clock is, microseconds."""
        self.doubtful = False
        """Commits land, and some are reported as failed."""
        self.slow = False
        """Some reads take so long that they are stopped."""
        self.executor: Executor | None = None
        self.store: SqliteStore | None = None
        self.after_restore = False
        """The disk holds an older state: the next process hears the agents first, as `serve --after-restore` does."""
        self.credit = universe.random.choice([1, 2, 5, 1000])
        self.host_credit = 2 if self.credit == 5 else 1000
        self.most_steps = (1, 4)[universe.seed % 2] if universe.seed % 2_000 >= 1_000 else MOST_STEPS
        """Every second thousand of seeds decides in small slices."""
        self._tokens = 0
        self._serving: set[asyncio.Task[None]] = set()
        self._stop: asyncio.Event | None = None

    @property
    def up(self) -> bool:
        """Return whether it answers."""
        return self.process is not None and not self.process.dead and self.executor is not None

    def start(self) -> None:
        """Start a process, unless one runs."""
        if self.process is not None and not self.process.dead:
            return
        self.universe.trace("coordinator starts")
        self.process = Process("coordinator", self.universe.loop)
        self.process.on_death = self._died
        self.buried.append(self.process)
        self.process.start(self._serve(self.process), "coordinator")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()

    def backup(self) -> SimulatedDisk:
        """Return a copy of what is on the disk."""
        copy = SimulatedDisk()
        self.disk.connection.backup(copy.connection)
        return copy

    def restore(self, copy: SimulatedDisk) -> None:
        """Put a copy in the place of what is on the disk of a coordinator that does not run."""
        self.universe.trace("coordinator: the disk is restored")
        copy.connection.backup(self.disk.connection)
        self.after_restore = True

    def stop(self) -> None:
        """Ask it to stop in good order."""
        if self._stop is not None:
            self.universe.trace("coordinator is asked to stop")
            self._stop.set()

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the coordinator do something for a person; raises Down when no answer came."""
        process = self.process
        if process is None or not self.up:
            work.close()
            raise Down
        task = process.start(work, "request")
        await asyncio.wait({task}, timeout=60)
        if not task.done():
            if not process.dead and not self.disk.full:
                self.universe.violate("a request was not answered within 60 s")
            raise Down
        if task.cancelled():
            raise Down
        return task.result()

    def _died(self) -> None:
        self.universe.trace("coordinator is killed")
        self._gone()

    def _gone(self) -> None:
        self.executor = None
        self.store = None
        self._stop = None
        self.disk.crash()
        self.network.coordinator_died()

    async def _stall(self, moment: str) -> None:
        await asyncio.sleep(spread(self.universe.random, 0.0001, 0.01))
        if moment == "after commit":
            self.universe.on_commit()
            self.universe.moment("committed")
            if self.doubtful and self.universe.random.random() < 0.3:
                self.universe.trace("coordinator: a commit is in doubt")
                raise StoreUnavailable("the disk gives input/output errors")

    async def _look(self) -> None:
        if self.slow and self.universe.random.random() < 0.3:
            await asyncio.sleep(1.0)
            self.universe.trace("coordinator: a read takes too long")
            raise ReadTooLong("a query took longer than 1 s and was stopped")

    def _token(self) -> str:
        self._tokens += 1
        return f"token-{self._tokens}"

    async def _serve(self, process: Process) -> None:
        try:
            await self._run(process)
        except StoreError as error:
            # systemd starts it again.
            self.universe.trace(f"coordinator cannot serve: {error}")
            self.universe.loop.later(2.0, self.start)
            process.kill()
        except Exception as error:
            self.universe.violate(f"the coordinator ended: {error!r}")

    async def _run(self, process: Process) -> None:
        universe = self.universe
        clock = SimulatedClock(universe, self)
        store = await open_simulated_store(
            self.disk, now=clock.now(), new_id=lambda prefix: f"{prefix}_2", signer=AUDIT_KEY
        )
        restored = self.after_restore
        epoch = await store.begin_epoch()
        witnesses = Witnesses(store.audit, AUDIT_KEY, store.coordinator_id, clock)
        await witnesses.load()
        if restored:
            epoch = await self._muster(process, store, clock, epoch, witnesses)
        universe.begin_epoch(epoch)
        roster = Roster(StoreRegistry(store, restored=restored), SETTINGS, epoch, clock.now, self._token, witnesses)
        inventory = LiveInventory(store.hosts, clock)
        await inventory.load()
        vault = SecretVault(store.secrets, store.blueprints, CIPHER, clock)
        dispatcher = Dispatcher(
            roster,
            vault,
            inventory,
            SignedPlans(PlanShelf(store.plans), store.approvals),
            epoch,
            credit=self.credit,
            host_credit=self.host_credit,
        )
        world = RuntimeWorld.over(inventory, Expressions(), coordinator_steps())
        executor = Executor(
            store,
            dispatcher,
            world,
            clock,
            epoch,
            SecondRedaction(vault),
            restored=restored,
            most_steps=self.most_steps,
        )
        restoration = Restoration(store.executions, store.audit, clock, set(HOSTS)) if restored else None
        listener = AgentListener(executor, store.hosts, KeptLogs(), inventory, clock, restoration)  # type: ignore[arg-type]
        roster.listen(listener)
        self._stop = asyncio.Event()
        self._listen(process, roster)
        background = [
            asyncio.create_task(executor.run(), name="executor"),
            asyncio.create_task(self._maintain(store, clock), name="maintenance"),
            asyncio.create_task(self._show(roster), name="sweep"),
        ]
        self.executor, self.store = executor, store
        self.after_restore = False
        universe.trace(f"coordinator serves, epoch {epoch}")
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([*background, stopped], return_when=asyncio.FIRST_COMPLETED)
        self.executor = None
        self.network.serve = None
        await roster.shut_down(1000)
        for task in [*background, stopped]:
            task.cancel()
        for found in await asyncio.gather(*background, return_exceptions=True):
            if isinstance(found, Exception):
                raise found
        await executor.close()
        await store.close()
        universe.trace("coordinator has stopped")
        process.dead = True
        self._gone()
        universe.loop.later(1.0, self.start)

    async def _muster(
        self, process: Process, store: SqliteStore, clock: SimulatedClock, epoch: int, witnesses: Witnesses
    ) -> int:
        """Hear the agents, as the coordinator's bootstrap does after a restore; return the epoch to begin with."""
        hosts = [row.name for row in await store.hosts.all() if not row.quarantine]
        registry = StoreRegistry(store, restored=True)
        resumes = await store.audit.head()
        muster = Muster(registry, SETTINGS, epoch, clock.now, self._token, hosts, witnesses)
        self._listen(process, muster)
        self.universe.trace(f"coordinator hears every host first, at epoch {epoch}")
        highest = await muster.gather(MUSTER_SECONDS)
        self.network.serve = None
        await muster.shut_down(1000)
        await witnesses.record(resumes)
        return await store.begin_epoch(max(epoch, highest) + EPOCH_MARGIN)

    def _listen(self, process: Process, roster: Roster) -> None:
        async def hold(stream: Stream) -> None:
            host = stream.host
            await roster.serve(Peer(f"hst_{host}", host, f"serial-{host}", FAR), stream.coordinator)
            stream.coordinator_closes()

        def serve(stream: Stream) -> None:
            task = process.start(hold(stream), f"stream {stream.number}")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

        self.network.serve = serve

    async def _show(self, roster: Roster) -> None:
        while True:
            await asyncio.sleep(2)
            roster.show_head()

    async def _maintain(self, store: SqliteStore, clock: SimulatedClock) -> None:
        while True:
            await asyncio.sleep(30)
            with contextlib.suppress(StoreError):
                await store.maintain(clock.now())
