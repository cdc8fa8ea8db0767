"""Wires the coordinator: the only place that knows every room."""

import asyncio
import contextlib
import hmac
import os
import pwd
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
import uvicorn
from pilotage_blueprints import shipped

from pilotage_coordinator.api.application import application
from pilotage_coordinator.config import CoordinatorConfig
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.identifier import uuid7_identifier
from pilotage_coordinator.fleet.enrolment import Enrolment
from pilotage_coordinator.fleet.errors import FleetError
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.fleet.server import FleetServer, Listening
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.fleet.store_registry import StoreRegistry
from pilotage_coordinator.log import configure as configure_log
from pilotage_coordinator.runtime.clock import SystemClock
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.doctor import Doctor
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.hosts import Hosts
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.library import Library
from pilotage_coordinator.runtime.listener import AgentListener
from pilotage_coordinator.runtime.logs import Logs
from pilotage_coordinator.runtime.planner import PlanMaker
from pilotage_coordinator.runtime.runs import Runs
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.runtime.world import RuntimeWorld
from pilotage_coordinator.security.authority import open_authority
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.security.secrets import StoreCipher, load_store_key
from pilotage_coordinator.service.caller import socket_owner
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.steps import coordinator_steps
from pilotage_coordinator.steps.catalogue import coordinator_types
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.logs import LogFolder
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_store

log = structlog.get_logger("pilotage.coordinator")

DATABASE = "pilotage.db"
AUTHORITY = "authority.pem"
LOGS = "logs"
MAINTENANCE_SECONDS = 30.0


class CannotServe(Exception):
    """Something that the coordinator needs cannot be had; the text says what, and what to do."""


@dataclass(slots=True)
class Process:
    """The running coordinator, as its own operations see it."""

    started_at: int
    state_dir: str
    fleet_address: str = ""
    enrol_address: str = ""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def stopping(self) -> bool:
        """Return whether a stop was asked."""
        return self.stopped.is_set()

    def stop(self) -> None:
        """Begin a graceful stop."""
        self.stopped.set()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the coordinator decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Leave the signals alone."""
        yield


async def serve(config: CoordinatorConfig) -> None:
    """Run a coordinator until SIGTERM, SIGINT or its own stop operation. Steps that run on hosts are not disturbed.

    Raises CannotServe.
    """
    try:
        await _serve(config)
    except (StoreError, SecurityError, FleetError, OSError) as error:
        raise CannotServe(str(error)) from error


async def _serve(config: CoordinatorConfig) -> None:
    configure_log(config.log_level)
    clock = SystemClock()
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    process = Process(clock.now(), str(config.state_dir))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store(config.state_dir / DATABASE, now=clock.now(), new_id=new_id)
        stack.push_async_callback(store.close)
        logs = LogFolder(config.state_dir / LOGS)
        stack.push_async_callback(logs.close)
        await _run(config, process, clock, store, logs)
    log.info("coordinator.stopped")


async def _run(
    config: CoordinatorConfig, process: Process, clock: SystemClock, store: SqliteStore, logs: LogFolder
) -> None:
    epoch = await store.begin_epoch()
    key = load_store_key(config.state_dir, os.environ, may_create=epoch == 1)
    cipher = StoreCipher(key)
    cipher.self_test()
    authority = open_authority(config.state_dir / AUTHORITY, clock.now())
    registry = StoreRegistry(store)
    settings = SessionSettings(version=version("pilotage"))
    roster = Roster(registry, settings, epoch, clock.now, lambda: secrets.token_hex(16))
    enrolment = Enrolment(registry, authority, clock.now, clock.monotonic, partial(new_id, "hst"))
    listening = Listening(
        fleet=config.fleet_listen,
        enrolment=config.enrol_listen,
        names=_names(config),
    )
    fleet = FleetServer(roster, enrolment, authority, listening, clock.now)
    await fleet.start()
    process.fleet_address = _advertised(config, config.fleet_listen, fleet.fleet_port)
    process.enrol_address = _advertised(config, config.enrol_listen, fleet.enrolment_port)

    inventory = LiveInventory(store.hosts, clock)
    await inventory.load()
    vault = SecretVault(store.secrets, cipher, clock)
    dispatcher = Dispatcher(roster, vault, inventory, epoch)
    world = RuntimeWorld.over(inventory, Expressions(), coordinator_steps())
    executor = Executor(store, dispatcher, world, clock, epoch, Failpoints.from_environment(os.environ))
    listener = AgentListener(executor, store.hosts, logs, inventory, clock)
    await listener.load()
    roster.listen(listener)
    types = coordinator_types()
    library = Library(store.blueprints, inventory, types, clock)
    await library.load()
    await library.add_shipped(shipped())
    plans = PlanMaker(
        store.plans, store.audit, library, inventory, types, roster, vault, cipher, clock,
        sensitive_key=hmac.digest(key, b"pilotage sensitive parameters", "sha256"),
    )  # fmt: skip
    enrol_address = process.enrol_address
    hosts = Hosts(
        store.hosts, store.enrolments, inventory, roster, clock, secrets.token_bytes, enrol_address, authority.pin
    )  # fmt: skip
    services = Services(
        clock=clock,
        new_id=new_id,
        store=store,
        library=library,
        plans=plans,
        runs=Runs(executor, plans, vault),
        hosts=hosts,
        secrets=vault,
        logs=Logs(store.executions, logs, executor),
        doctor=Doctor(store, inventory, clock, config.state_dir),
        coordinator=process,
    )
    background = [
        asyncio.create_task(executor.run(), name="executor"),
        asyncio.create_task(_maintain(store, clock), name="maintenance"),
    ]
    try:
        async with _api(config.socket, services, process):
            log.info("coordinator.serving", epoch=epoch, socket=str(config.socket), state=str(config.state_dir))
            await process.stopped.wait()
    finally:
        await fleet.stop()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await executor.close()


@contextlib.asynccontextmanager
async def _api(path: Path, services: Services, process: Process) -> AsyncIterator[None]:
    """Serve the HTTP API on a unix socket that only its owner can open."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = socket_owner(pwd.getpwuid(os.geteuid()).pw_name)
    app = application(services, lambda request: owner, process.stopped)
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2, ws="none")
    )
    listening = _private_socket(path)
    inode = path.stat().st_ino
    task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    try:
        yield
    finally:
        server.should_exit = True
        await task
        listening.close()
        if path.exists() and path.stat().st_ino == inode:
            path.unlink()


def _private_socket(path: Path) -> socket.socket:
    """Bind with mode 0600; raises CannotServe when another coordinator answers there."""
    if path.exists():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            raise CannotServe(f"another coordinator answers at {path}; stop it, or choose another PILOTAGE_SOCKET")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    return listening


async def _maintain(store: SqliteStore, clock: SystemClock) -> None:
    while True:
        await asyncio.sleep(MAINTENANCE_SECONDS)
        try:
            await store.maintain(clock.now())
        except StoreError as error:
            log.warning("store.maintenance_failed", error=str(error))


def new_id(prefix: str) -> str:
    """Return a fresh identifier (UUIDv7)."""
    return uuid7_identifier(prefix, time.time_ns() // 1_000_000, secrets.randbits(74))


def _names(config: CoordinatorConfig) -> tuple[str, ...]:
    """Return the names for the server's certificate, besides its fixed one."""
    wanted = (config.advertise, _host(config.fleet_listen), _host(config.enrol_listen))
    return tuple(dict.fromkeys(name for name in wanted if name and name not in ("0.0.0.0", "::")))  # noqa: S104


def _advertised(config: CoordinatorConfig, listen: str, port: int) -> str:
    """Return host:port as other machines reach it."""
    host = config.advertise or _host(listen)
    if host in ("", "0.0.0.0", "::"):  # noqa: S104
        host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")
