"""Wires the coordinator: the only place that knows every room."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

from pilotage_coordinator.api.errors import ApiError
from pilotage_coordinator.config import CoordinatorConfig
from pilotage_coordinator.domain.expression.late import LateExpressions
from pilotage_coordinator.domain.identifier import uuid7_identifier
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.fleet.enrolment import Enrolment
from pilotage_coordinator.fleet.errors import FleetError
from pilotage_coordinator.fleet.muster import Muster
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.fleet.server import FleetServer, Listening
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.fleet.store_registry import StoreRegistry
from pilotage_coordinator.log import configure as configure_log
from pilotage_coordinator.parts import Base, Process, Runtime
from pilotage_coordinator.runtime.clock import SystemClock
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.listener import AgentListener
from pilotage_coordinator.runtime.restoration import EPOCH_MARGIN, Restoration
from pilotage_coordinator.runtime.second_redaction import SecondRedaction
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.runtime.upkeep import Upkeep
from pilotage_coordinator.runtime.world import RuntimeWorld
from pilotage_coordinator.security.authority import open_authority
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.security.secrets import StoreCipher, load_store_key
from pilotage_coordinator.steps import coordinator_steps
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.logs import LogFolder
from pilotage_coordinator.store.records import AuditEntry
from pilotage_coordinator.store.sqlite.store import open_store
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.coordinator")

DATABASE = "pilotage.db"
AUTHORITY = "authority.pem"
LOGS = "logs"
MUSTER_SECONDS = 60.0
"""How long hosts may take to be heard after a restore: thrice the longest pause of an agent that cannot connect."""
MIB = 1024 * 1024
SPARE_BYTES = 64 * 1024
"""On top of the bounds of logs: for the lines that an agent adds when it reaches a bound of its own."""


class CannotServe(Exception):
    """Something that the coordinator needs cannot be had; the text says what, and what to do."""


async def serve(
    config: CoordinatorConfig, opened: Callable[[], None] = lambda: None, *, after_restore: bool = False
) -> None:
    """Run a coordinator until SIGTERM, SIGINT or its own stop operation. Steps that run on hosts are not disturbed.

    `opened` is called once, when everything serves. `after_restore`: the state was restored from a backup, so agents
    know more than the database, and are heard first. Raises CannotServe.
    """
    try:
        await _serve(config, opened, after_restore)
    except (StoreError, SecurityError, FleetError, ApiError, OSError) as error:
        raise CannotServe(str(error)) from error


async def _serve(config: CoordinatorConfig, opened: Callable[[], None], after_restore: bool) -> None:
    configure_log(config.log_level)
    clock = SystemClock()
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    process = Process(clock.now(), str(config.state_dir), new_id)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    async with contextlib.AsyncExitStack() as stack:
        base = await _open(config, clock, stack)
        if after_restore:
            base = await _muster(config, base, process)
        runtime = await _start_runtime(config, base, process, stack)
        await _start_fleet(config, base, runtime, process, stack)
        # Agents are served already; what only people need is imported after that, beside the event loop.
        faces = await asyncio.to_thread(import_module, "pilotage_coordinator.faces")
        await faces.open_faces(config, base, runtime, process, stack)
        opened()
        log.info("coordinator.serving", epoch=base.epoch, socket=str(config.socket), state=process.state_dir)
        await process.stopped.wait()
    if process.failure:
        raise CannotServe(process.failure)
    log.info("coordinator.stopped")


async def _open(config: CoordinatorConfig, clock: SystemClock, stack: contextlib.AsyncExitStack) -> Base:
    """Open what is on disk; a second coordinator on the same state is refused here."""
    store = await open_store(config.state_dir / DATABASE, now=clock.now(), new_id=new_id)
    stack.push_async_callback(store.close)
    logs = LogFolder(
        config.state_dir / LOGS,
        most_bytes=config.attempt_log_mb * MIB + SPARE_BYTES,
        most_of_host=config.host_log_mb * MIB + SPARE_BYTES,
    )
    stack.push_async_callback(logs.close)
    epoch = await store.begin_epoch()
    key = load_store_key(config.state_dir, os.environ, may_create=epoch == 1)
    cipher = StoreCipher(key)
    cipher.self_test()
    authority = open_authority(config.state_dir / AUTHORITY, clock.wall())
    return Base(clock, store, logs, epoch, key, cipher, authority)


async def _muster(config: CoordinatorConfig, base: Base, process: Process) -> Base:
    """Hear which epochs agents have seen, and begin one above all of them; nothing is sent to anybody before."""
    store, clock = base.store, base.clock
    hosts = [row for row in await store.hosts.all() if not row.quarantine]
    registry = StoreRegistry(store, restored=True)
    muster = Muster(
        registry, SessionSettings(), base.epoch, clock.wall, lambda: secrets.token_hex(16), [row.name for row in hosts]
    )
    log.warning("coordinator.restored", epoch=base.epoch, hosts=len(hosts), seconds=MUSTER_SECONDS)
    async with contextlib.AsyncExitStack() as stack:
        enrolment = Enrolment(
            registry, base.authority, clock.now, clock.monotonic, partial(new_id, "hst"), wall=clock.wall
        )
        listening = Listening(config.fleet_listen, config.enrol_listen, _names(config))
        fleet = FleetServer(muster, enrolment, base.authority, listening, clock.wall)
        await fleet.start()
        stack.push_async_callback(fleet.stop)
        gathering = asyncio.create_task(muster.gather(MUSTER_SECONDS))
        stopping = asyncio.create_task(process.stopped.wait())
        await asyncio.wait((gathering, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (gathering, stopping):
            task.cancel()
        await asyncio.gather(gathering, stopping, return_exceptions=True)
    highest = muster.highest_epoch_seen
    epoch = await store.begin_epoch(max(base.epoch, highest) + EPOCH_MARGIN)
    detail: dict[str, Json] = {"epoch": epoch, "highest_reported": highest, "not_heard": sorted(muster.missing)[:100]}
    await store.audit.append(
        AuditEntry(clock.now(), "coordinator", "coordinator.restore", store.coordinator_id, "allowed", detail)
    )
    restoration = Restoration(store.executions, store.audit, clock, {row.name for row in hosts})
    return replace(base, epoch=epoch, restoration=restoration)


async def _start_runtime(
    config: CoordinatorConfig, base: Base, process: Process, stack: contextlib.AsyncExitStack
) -> Runtime:
    """Make what must be ready before the first agent calls, and begin to recover what was running."""
    clock, store = base.clock, base.store
    registry = StoreRegistry(store, restored=base.restoration is not None)
    settings = SessionSettings(version=version("pilotage"))
    roster = Roster(registry, settings, base.epoch, clock.wall, lambda: secrets.token_hex(16))
    inventory = LiveInventory(store.hosts, clock)
    await inventory.load()
    vault = SecretVault(store.secrets, base.cipher, clock)
    dispatcher = Dispatcher(roster, vault, inventory, base.epoch)
    world = RuntimeWorld.over(inventory, LateExpressions(), coordinator_steps())
    failpoints = Failpoints.from_environment(os.environ)
    restored = base.restoration is not None
    executor = Executor(store, dispatcher, world, clock, base.epoch, SecondRedaction(vault), failpoints, restored)
    listener = AgentListener(executor, store.hosts, base.logs, inventory, clock, base.restoration)
    roster.listen(listener)
    stack.push_async_callback(executor.close)
    _in_background(stack, process, executor.run(), "executor")
    upkeep = Upkeep(store, base.logs, inventory, clock, config.history_days)
    _in_background(stack, process, upkeep.run(), "upkeep")
    return Runtime(roster, registry, inventory, vault, executor)


async def _start_fleet(
    config: CoordinatorConfig, base: Base, runtime: Runtime, process: Process, stack: contextlib.AsyncExitStack
) -> None:
    """Listen for agents."""
    clock = base.clock
    new_host = partial(new_id, "hst")
    enrolment = Enrolment(
        runtime.registry,
        base.authority,
        clock.now,
        clock.monotonic,
        new_host,
        wall=clock.wall,
        joined=runtime.inventory.reload,
    )
    listening = Listening(config.fleet_listen, config.enrol_listen, _names(config))
    fleet = FleetServer(runtime.roster, enrolment, base.authority, listening, clock.wall)
    await fleet.start()
    stack.push_async_callback(fleet.stop)
    process.fleet_address = _advertised(config, config.fleet_listen, fleet.fleet_port)
    process.enrol_address = _advertised(config, config.enrol_listen, fleet.enrolment_port)


def _in_background(
    stack: contextlib.AsyncExitStack, process: Process, work: Coroutine[Any, Any, None], name: str
) -> None:
    """Run `work` until the stack unwinds; should it end before, the process must not go on without it."""
    task = asyncio.create_task(work, name=name)

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            error = task.exception()
            log.critical("part.ended", part=name, exc_info=error)
            process.fail(f"the {name} ended unexpectedly ({error!r}); its log has the details")

    task.add_done_callback(ended)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


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
