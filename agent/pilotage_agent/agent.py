"""The agent process: its parts made, joined, run until it is told to stop, and put away."""

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pilotage_agent.approval.consent import SIGNED_PLANS, SignedConsent
from pilotage_agent.approval.settings import demands_of
from pilotage_agent.attempts import AttemptParts, Attempts
from pilotage_agent.catalogue import CatalogueFailed, HostCatalogue, probe_catalogue, probe_holdings
from pilotage_agent.config import AgentConfig
from pilotage_agent.errors import LinkLost
from pilotage_agent.facts import gather_facts
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.holdings import EVERY_SECONDS, Holdings
from pilotage_agent.identity import Identity, load_identity
from pilotage_agent.journal import Journal
from pilotage_agent.journal_sqlite import ThreadedCommits, open_or_replace
from pilotage_agent.link.backoff import Backoff
from pilotage_agent.link.channel import fleet_channel
from pilotage_agent.link.connection import Connection, LinkState
from pilotage_agent.link.grpc_transport import GrpcTransport
from pilotage_agent.link.log_feed import LogFeed
from pilotage_agent.link.renewal import Renewal
from pilotage_agent.link.session import SessionParts
from pilotage_agent.link.transport import Transport
from pilotage_agent.local_values import AllowedValues
from pilotage_agent.messages import Inventory
from pilotage_agent.notify import ServiceManager
from pilotage_agent.outbox import Outbox
from pilotage_agent.policy import LocalPolicy
from pilotage_agent.runner.local import LocalRunner, RunnerParts
from pilotage_agent.runner.local_run import Limits
from pilotage_agent.runner.memory import default_limit
from pilotage_agent.runner.pool import WorkerPool
from pilotage_agent.runner.process import boot_id, return_free_memory
from pilotage_agent.state_dir import StateDir, StateLock
from pilotage_agent.witness import read_owners

_log = logging.getLogger("pilotage.agent")


def agent_version() -> str:
    """Return the version of the installed distribution, as the name of its metadata folder says it.

    importlib.metadata would tell the same, and take a mail parser along: two mebibytes, for as long as the agent runs.
    """
    for place in filter(None, sys.path):
        for found in Path(place).glob("pilotage-*.dist-info"):
            return found.name.removeprefix("pilotage-").removesuffix(".dist-info")
    return "0"


def microseconds() -> int:
    """Return the time of this machine, UTC microseconds."""
    return time.time_ns() // 1000


@dataclass(slots=True)
class Knowledge:
    """What the agent knows of its host; replaced as it changes."""

    facts: str = "{}"
    catalogue: HostCatalogue = field(default_factory=HostCatalogue)

    def inventory(self) -> Inventory:
        """Return it for the wire."""
        return Inventory(self.facts.encode(), self.catalogue.step_types, self.catalogue.quarantined)


class Agent:
    """One agent process. Made and run inside an event loop."""

    def __init__(self, config: AgentConfig, state: StateDir, environment: Mapping[str, str]) -> None:
        self._config = config
        self._state = state
        self._environment = environment
        self._identity = load_identity(state.identity)
        self._demands = demands_of(config)
        self._knowledge = Knowledge()
        self._holdings = Holdings(state.holdings, lambda: probe_holdings(environment))
        self._service = ServiceManager(environment)
        self._failpoints = Failpoints.from_environment(environment)
        self._stop = asyncio.Event()
        self._refresh = asyncio.Event()
        self._fatal: BaseException | None = None

    def stop(self) -> None:
        """Stop soon; running steps go on without us, and the next start takes them up again."""
        self._stop.set()

    async def run(self) -> None:
        """Work until `stop`; raises what made it impossible to go on."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        new_id = f"jrn_{uuid.uuid4().hex}"
        store, content = await loop.run_in_executor(
            thread, open_or_replace, self._state.journal, new_id, microseconds()
        )
        journal = Journal(content, ThreadedCommits(store, thread))
        try:
            await self._run_with(journal)
        finally:
            await journal.close()
        if self._fatal is not None:
            raise self._fatal

    async def _run_with(self, journal: Journal) -> None:
        runner = self._make_runner()
        outbox = Outbox(time.monotonic)
        logs = LogFeed(runner.log_sent)
        config = self._config
        values = AllowedValues(config.allow_paths, config.allow_images)
        policy = LocalPolicy(config.allow, lambda: self._knowledge.catalogue, values)
        consent = SignedConsent(
            self._demands,
            self._identity.enrolment.host_id,
            lambda name: self._knowledge.catalogue.by_name.get(name, {}),
            lambda: journal.approvals_floor,
            microseconds,
        )
        parts = AttemptParts(journal, runner, outbox, policy, logs, microseconds, self._failpoints, consent)
        attempts = Attempts(parts, self._config.slots)
        attempts.on_fatal = self._fail
        await asyncio.to_thread(self._holdings.load)
        await self._look()
        await attempts.recover()
        session = SessionParts(
            journal=journal,
            attempts=attempts,
            outbox=outbox,
            logs=logs,
            inventory=self._knowledge.inventory,
            now=microseconds,
            failpoints=self._failpoints,
            agent_version=agent_version(),
            instance_id=f"ins_{uuid.uuid4().hex}",
            boot_id=boot_id(),
            slots=self._config.slots,
            host_id=self._identity.enrolment.host_id,
            owners=lambda: read_owners(self._state.owners),
        )
        connection = Connection(self._dial, session, Backoff(random.random), self._tell)
        renewal = Renewal(lambda: self._identity, self._renewed, connection.redial, self._state.identity)
        self._service.ready()
        work = [
            asyncio.ensure_future(connection.run()),
            asyncio.ensure_future(renewal.run()),
            asyncio.ensure_future(self._keep_looking(outbox)),
            asyncio.ensure_future(self._look_slowly()),
            asyncio.ensure_future(self._show_life()),
        ]
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            done, _ = await asyncio.wait([*work, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._service.stopping()
            for task in [*work, stopped]:
                task.cancel()
            await asyncio.gather(*work, stopped, return_exceptions=True)
            await attempts.close()
            await runner.close()
        for task in done - {stopped}:
            task.result()

    def _make_runner(self) -> LocalRunner:
        config = self._config
        pool = WorkerPool(self._environment, spares=config.spares)
        parts = RunnerParts(
            host=self._identity.enrolment.host_name,
            facts=lambda: self._knowledge.facts,
            unseal=lambda context, name, blob: self._identity.sealing_key.unseal(context, name, blob),
            is_builtin=lambda name: self._knowledge.catalogue.is_builtin(name),
            recovers=lambda name: self._knowledge.catalogue.recovers(name),
            now=microseconds,
        )
        memory = default_limit() if config.memory_limit_mb is None else config.memory_limit_mb << 20
        log_bytes = config.attempt_log_mb << 20
        limits = Limits(memory_bytes=memory, tasks=config.max_processes, log_bytes=log_bytes)
        return LocalRunner(self._state.attempts, pool, parts, limits, self._failpoints)

    async def _dial(self) -> Transport:
        identity = self._identity
        if identity.is_expired(Renewal.now()):
            raise LinkLost("this agent's certificate has run out and is being renewed")
        address = identity.enrolment.fleet_address
        return await GrpcTransport.open(fleet_channel(address, identity), address)

    def _renewed(self, identity: Identity) -> None:
        self._identity = identity

    def _fail(self, error: BaseException) -> None:
        _log.critical("the agent cannot go on: %s", error, exc_info=error)
        self._fatal = error
        self._stop.set()

    def _tell(self, state: LinkState) -> None:
        self._service.status(state.text)
        status = {"connected": state.connected, "text": state.text, "at": microseconds(), "pid": os.getpid()}
        with contextlib.suppress(OSError):
            self._state.status.write_text(json.dumps(status))

    async def _look(self) -> bool:
        """Look at the host again; says whether the inventory changed."""
        before = self._knowledge.inventory()
        facts = await asyncio.to_thread(gather_facts, self._state.path)
        asked = self._demands.fact()
        signed = {} if asked is None else {SIGNED_PLANS: asked}
        self._knowledge.facts = json.dumps({**facts, **self._holdings.facts, **signed})
        try:
            self._knowledge.catalogue = await probe_catalogue(self._environment)
        except CatalogueFailed as error:
            _log.error("%s; what was known before stays", error)
        return_free_memory()
        return self._knowledge.inventory() != before

    async def _keep_looking(self, outbox: Outbox) -> None:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._refresh.set)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.refresh_minutes * 60):
                    await self._refresh.wait()
            self._refresh.clear()
            if await self._look():
                outbox.inventory(self._knowledge.inventory())

    async def _look_slowly(self) -> None:
        """Look at what the host holds, once a day; what changed is told with the next look at the rest, now."""
        await asyncio.sleep(self._holdings.first_look_in())
        while True:
            if await self._holdings.look():
                self._refresh.set()
            await asyncio.sleep(EVERY_SECONDS)

    async def _show_life(self) -> None:
        """Answer systemd's watchdog from the event loop, so that a stuck loop is noticed."""
        if not self._service.watchdog_seconds:
            await asyncio.Event().wait()
        while True:
            self._service.alive()
            await asyncio.sleep(self._service.watchdog_seconds)


async def run_agent(config: AgentConfig, environment: Mapping[str, str]) -> None:
    """Run an agent until SIGTERM or SIGINT; raises NotEnrolled, StateLocked, ConfigRefused and the like."""
    state = StateDir(config.state_dir)
    state.make()
    lock = StateLock.take(state)
    try:
        agent = Agent(config, state, environment)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, agent.stop)
        await agent.run()
    finally:
        lock.release()
