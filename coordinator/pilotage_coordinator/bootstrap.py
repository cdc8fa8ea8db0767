"""Wires the coordinator: the only place that knows every room."""

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from pilotage_proto.release import release

from pilotage_coordinator.api.errors import ApiError
from pilotage_coordinator.config import CoordinatorConfig, advertised, certificate_names
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
from pilotage_coordinator.parts import Base, Fleet, Process
from pilotage_coordinator.runtime.clock import SystemClock
from pilotage_coordinator.runtime.failpoint import FailpointRefused
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.policy import PolicyKeeper
from pilotage_coordinator.runtime.restoration import EPOCH_MARGIN, Restoration
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.runtime.witnesses import Witnesses
from pilotage_coordinator.security.audit_key import open_audit_key
from pilotage_coordinator.security.authority import open_authority
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.logs import LogFolder
from pilotage_coordinator.store.records import AuditEntry
from pilotage_coordinator.store.sqlite.copies import RESTORED
from pilotage_coordinator.store.sqlite.store import open_store
from pilotage_coordinator.store_keys import DATABASE, open_store_key
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.coordinator")

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
    config: CoordinatorConfig,
    opened: Callable[[], None] = lambda: None,
    *,
    after_restore: bool = False,
    accept_audit_fault: str = "",
) -> None:
    """Run a coordinator until SIGTERM, SIGINT or its own stop operation. Steps that run on hosts are not disturbed.

    `opened` is called once, when everything serves. `after_restore`: the state was restored from a backup, so agents
    know more than the database, and are heard first. `accept_audit_fault`: why a fault of the audit log's end or key is
    to be recorded and taken. Raises CannotServe.
    """
    try:
        await _serve(config, opened, after_restore, accept_audit_fault)
    except (StoreError, SecurityError, FleetError, ApiError, FailpointRefused, OSError) as error:
        raise CannotServe(str(error)) from error


async def _serve(
    config: CoordinatorConfig, opened: Callable[[], None], after_restore: bool, accept_audit_fault: str
) -> None:
    configure_log(config.log_level)
    clock = SystemClock()
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    process = Process(clock.now(), str(config.state_dir), new_id)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    async with contextlib.AsyncExitStack() as stack:
        base = await _open(config, clock, stack, accept_audit_fault)
        mark = config.state_dir / RESTORED
        if after_restore or mark.exists():
            base = await _muster(config, base, process)
            if not process.stopping:
                mark.unlink(missing_ok=True)
        fleet = await _open_fleet(base)
        # Entered before the fleet listens, so that it ends after it: sessions hand it their last results.
        running = await stack.enter_async_context(contextlib.AsyncExitStack())
        await _listen(config, base, fleet, process, stack)
        # Agents can connect already: their handshakes need no interpreter, and their sessions wait for what runs
        # executions. What only people need is imported when all that was running is known again.
        executions = await asyncio.to_thread(import_module, "pilotage_coordinator.executions")
        executor = executions.open_executions(config, base, fleet, process, running)
        await _first(executor.recovered.wait(), process.stopped.wait())
        if not process.stopping:
            faces = await asyncio.to_thread(import_module, "pilotage_coordinator.faces")
            await faces.open_faces(config, base, fleet, executor, process, stack)
            opened()
            log.info("coordinator.serving", epoch=base.epoch, socket=str(config.socket), state=process.state_dir)
            await process.stopped.wait()
    if process.failure:
        raise CannotServe(process.failure)
    log.info("coordinator.stopped")


async def _open(
    config: CoordinatorConfig, clock: SystemClock, stack: contextlib.AsyncExitStack, accept_audit_fault: str
) -> Base:
    """Open what is on disk; a second coordinator on the same state is refused here."""
    audit_key = open_audit_key(config.state_dir)
    store = await open_store(
        config.state_dir / DATABASE, now=clock.now(), new_id=new_id, signer=audit_key, accepted=accept_audit_fault
    )
    stack.push_async_callback(store.close)
    audit_key.settle()
    logs = LogFolder(
        config.state_dir / LOGS,
        most_bytes=config.attempt_log_mb * MIB + SPARE_BYTES,
        most_of_host=config.host_log_mb * MIB + SPARE_BYTES,
    )
    stack.push_async_callback(logs.close)
    epoch = await store.begin_epoch()
    key = await open_store_key(store, config.state_dir, os.environ, now=clock.now(), first=epoch == 1)
    authority = open_authority(config.state_dir / AUTHORITY, clock.wall())
    witnesses = Witnesses(store.audit, audit_key, store.coordinator_id, clock)
    await witnesses.load()
    return Base(clock, store, logs, epoch, key.root, key.cipher, authority, audit_key, witnesses)


async def _muster(config: CoordinatorConfig, base: Base, process: Process) -> Base:
    """Hear which epochs agents have seen, and begin one above all of them; nothing is sent to anybody before."""
    store, clock = base.store, base.clock
    hosts = [row for row in await store.hosts.all() if not row.quarantine]
    registry = StoreRegistry(store, restored=True)
    resumes = await store.audit.head()
    muster = Muster(
        registry,
        SessionSettings(),
        base.epoch,
        clock.wall,
        lambda: secrets.token_hex(16),
        [row.name for row in hosts],
        base.witnesses,
    )
    log.warning("coordinator.restored", epoch=base.epoch, hosts=len(hosts), seconds=MUSTER_SECONDS)
    async with contextlib.AsyncExitStack() as stack:
        enrolment = Enrolment(
            registry, base.authority, clock.now, clock.monotonic, partial(new_id, "hst"), wall=clock.wall
        )
        listening = Listening(
            config.fleet_listen,
            config.enrol_listen,
            _names(config),
        )
        fleet = FleetServer(muster, enrolment, base.authority, listening, clock.wall)
        await fleet.start()
        stack.push_async_callback(fleet.stop)
        await _first(muster.gather(MUSTER_SECONDS), process.stopped.wait())
    await base.witnesses.record(resumes)
    highest = muster.highest_epoch_seen
    epoch = await store.begin_epoch(max(base.epoch, highest) + EPOCH_MARGIN)
    detail: dict[str, Json] = {"epoch": epoch, "highest_reported": highest, "not_heard": sorted(muster.missing)[:100]}
    await store.audit.append(
        AuditEntry(clock.now(), "coordinator", "coordinator.restore", store.coordinator_id, "allowed", detail)
    )
    restoration = Restoration(store.executions, store.audit, clock, {row.name for row in hosts})
    return replace(base, epoch=epoch, restoration=restoration)


async def _open_fleet(base: Base) -> Fleet:
    """Make what must be ready before the first agent calls."""
    registry = StoreRegistry(base.store, restored=base.restoration is not None)
    settings = SessionSettings(version=release())
    roster = Roster(registry, settings, base.epoch, base.clock.wall, lambda: secrets.token_hex(16), base.witnesses)
    inventory = LiveInventory(base.store.hosts, base.clock)
    await inventory.load()
    vault = SecretVault(base.store.secrets, base.store.blueprints, base.cipher, base.clock)
    policy = PolicyKeeper(base.store.policies)
    await policy.load()
    return Fleet(roster, registry, inventory, vault, policy)


async def _listen(
    config: CoordinatorConfig, base: Base, fleet: Fleet, process: Process, stack: contextlib.AsyncExitStack
) -> None:
    """Listen for agents."""
    enrolment = Enrolment(
        fleet.registry,
        base.authority,
        base.clock.now,
        base.clock.monotonic,
        partial(new_id, "hst"),
        wall=base.clock.wall,
        joined=fleet.inventory.reload,
    )
    listening = Listening(
        config.fleet_listen,
        config.enrol_listen,
        _names(config),
    )
    server = FleetServer(
        fleet.roster,
        enrolment,
        base.authority,
        listening,
        base.clock.wall,
        able=lambda: not base.store.figures().refusal,
    )
    await server.start()
    stack.push_async_callback(server.stop)
    process.authority_pem = base.authority.certificate_pem.decode()
    process.fleet_address = advertised(config, config.fleet_listen, server.fleet_port)
    process.enrol_address = advertised(config, config.enrol_listen, server.enrolment_port)


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait until one of these has ended; the others are given up."""
    tasks = [asyncio.create_task(each) for each in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def new_id(prefix: str) -> str:
    """Return a fresh identifier (UUIDv7)."""
    return uuid7_identifier(prefix, time.time_ns() // 1_000_000, secrets.randbits(74))


def _names(config: CoordinatorConfig) -> tuple[str, ...]:
    return certificate_names(config, config.fleet_listen, config.enrol_listen)
