"""What people and programs talk to, and what stands behind it. Imported by the bootstrap once agents are served."""

import asyncio
import contextlib
import hmac
import random
import secrets
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from pilotage_blueprints import shipped

from pilotage_coordinator.api.certificate import CertificateFiles, ShownCertificate
from pilotage_coordinator.api.late import Begun, Late
from pilotage_coordinator.api.server import ApiServer, Https, user_name
from pilotage_coordinator.config import CoordinatorConfig, advertised, certificate_names
from pilotage_coordinator.domain.access.errors import AccessRefused
from pilotage_coordinator.domain.access.public_key import PublicKey, read_public_key
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_coordinator.parts import Base, Fleet, Process, in_background
from pilotage_coordinator.runtime.audit_log import AuditLog
from pilotage_coordinator.runtime.backup import Backups
from pilotage_coordinator.runtime.compliance import Compliance
from pilotage_coordinator.runtime.deliveries import Deliveries, Sender
from pilotage_coordinator.runtime.doctor import Doctor
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.runtime.hosts import Hosts
from pilotage_coordinator.runtime.library import Library
from pilotage_coordinator.runtime.logs import Logs
from pilotage_coordinator.runtime.planner import PlanMaker
from pilotage_coordinator.runtime.policies import Policies, install_starter
from pilotage_coordinator.runtime.runs import Runs
from pilotage_coordinator.runtime.scheduling import Alarm, Scheduler
from pilotage_coordinator.security.ssh_files import public_key_lines
from pilotage_coordinator.service.authentication import Authentication, Issued
from pilotage_coordinator.service.firing import Firing
from pilotage_coordinator.service.first_start import ensure_owner
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.subjects import Subjects
from pilotage_coordinator.steps.catalogue import coordinator_types


async def open_faces(
    config: CoordinatorConfig,
    base: Base,
    fleet: Fleet,
    executor: Executor,
    process: Process,
    stack: contextlib.AsyncExitStack,
) -> None:
    """Serve the API until the stack unwinds."""
    deliveries = await _open_deliveries(config, base, fleet, executor)
    stack.push_async_callback(deliveries.close)
    in_background(stack, process, deliveries.run(), "delivery of notifications")
    await install_starter(fleet.policy, base.clock)
    owner = await ensure_owner(base.store, base.clock.now(), user_name(), _keys_of_user())
    alarm = Alarm(base.clock.wall, executor.ended, lambda: executor.ends)
    services = await _make_services(config, base, fleet, executor, process, deliveries, owner.name, alarm)
    lost_until = alarm.now() if base.restoration is not None else 0
    scheduler = Scheduler(base.store.schedules, Firing(services), alarm, executor.failpoints, lost_until)
    stack.push_async_callback(scheduler.close)
    in_background(stack, process, scheduler.run(), "scheduler")
    authentication = Authentication(base.store, base.clock, owner.name, await _issued_tokens(config, base))
    in_background(stack, process, authentication.run(), "record of when tokens are used")
    https = await asyncio.to_thread(_https, config, base)
    api = ApiServer(services, authentication, config.socket, https, Late(lambda: _begin_mcp(services)))
    await api.start()
    stack.push_async_callback(api.stop)
    if https is not None:
        in_background(stack, process, https.certificate.run(), "renewal of the HTTPS certificate")
        process.https_address = advertised(config, https.listen, api.https_port)


async def _issued_tokens(config: CoordinatorConfig, base: Base) -> Issued | None:
    """Make what takes identity tokens, where an issuer is set. Imported only then: it takes memory for nothing."""
    if config.oidc is None:
        return None
    keys = await asyncio.to_thread(import_module, "pilotage_coordinator.runtime.issuer_keys")
    service = await asyncio.to_thread(import_module, "pilotage_coordinator.service.issued")
    found: Issued = service.IssuedTokens(
        config.oidc, keys.IssuerKeys(config.oidc, base.clock.monotonic), base.store, base.clock
    )
    return found


async def _begin_mcp(services: Services) -> Begun:
    """Begin the face of assistants. Imported only when somebody asks for it: it takes time and memory for nothing."""
    module = await asyncio.to_thread(import_module, "pilotage_coordinator.mcp.face")
    face = module.McpFace(services)
    await face.start()
    begun: Begun = face
    return begun


def _keys_of_user() -> list[PublicKey]:
    """Return the public keys that whoever runs this process has for SSH; one that cannot be used is left out."""
    found: list[PublicKey] = []
    try:
        home = Path.home()
    except RuntimeError:
        return found
    for line in public_key_lines(home):
        with contextlib.suppress(AccessRefused):
            found.append(read_public_key(line))
    return found


def _https(config: CoordinatorConfig, base: Base) -> Https | None:
    """Return where and how HTTPS is served; None unless it is asked for. Raises CertificateRefused."""
    if not config.https_listen:
        return None
    files = None
    if config.https_certificate is not None and config.https_key is not None:
        files = CertificateFiles(config.https_certificate, config.https_key)
    names = certificate_names(config, config.https_listen)
    return Https(config.https_listen, ShownCertificate(base.authority, names, base.clock.wall, files), names)


async def _open_deliveries(config: CoordinatorConfig, base: Base, fleet: Fleet, executor: Executor) -> Deliveries:
    """Make the delivery loop. What sends is imported only where there is a channel: it takes memory for nothing."""
    senders: Mapping[str, Sender] = {}
    if config.channels:
        opening = await asyncio.to_thread(import_module, "pilotage_coordinator.runtime.channels.opening")
        senders = opening.open_channels(config.channels, fleet.vault)
    draw = random.SystemRandom().random
    return Deliveries(
        base.store.deliveries, senders, executor.submit, base.clock, draw, executor.queued, executor.failpoints
    )


async def _make_services(
    config: CoordinatorConfig,
    base: Base,
    fleet: Fleet,
    executor: Executor,
    process: Process,
    deliveries: Deliveries,
    owner: str,
    alarm: Alarm,
) -> Services:
    """Make what stands behind every face."""
    clock, store = base.clock, base.store
    types = coordinator_types()
    library = Library(store.blueprints, fleet.inventory, types, clock)
    await library.load()
    await library.add_shipped(shipped())
    plans = _make_plans(config, base, fleet, executor, library, types)
    audit = AuditLog(store.audit, base.audit_key, base.audit_key.fingerprint, lambda: base.witnesses.seen)
    return Services(
        clock=clock,
        new_id=process.new_id,
        store=store,
        library=library,
        plans=plans,
        runs=Runs(executor, plans, fleet.vault),
        schedules=alarm,
        hosts=_make_hosts(base, fleet, executor, process),
        secrets=fleet.vault,
        notifications=deliveries,
        policies=Policies(fleet.policy, executor, fleet.inventory, clock),
        compliance=Compliance(fleet.policy, library, fleet.inventory, types, store, clock),
        logs=Logs(store.executions, base.logs, executor),
        audit=audit,
        backups=_make_backups(base, process),
        recoveries=base.witnesses,
        doctor=_make_doctor(base, fleet, executor, process, audit),
        coordinator=process,
        owner=owner,
        subjects=Subjects(store, fleet.inventory),
        random_bytes=secrets.token_bytes,
        request_key=hmac.digest(base.root_key, b"pilotage repeated requests", "sha256"),
    )


def _make_plans(
    config: CoordinatorConfig,
    base: Base,
    fleet: Fleet,
    executor: Executor,
    library: Library,
    types: Mapping[str, StepTypeInfo],
) -> PlanMaker:
    return PlanMaker(
        store=base.store.plans,
        shelf=executor.history.plans,
        audit=base.store.audit,
        library=library,
        inventory=fleet.inventory,
        coordinator_types=types,
        port=fleet.roster,
        vault=fleet.vault,
        cipher=base.cipher,
        clock=base.clock,
        sensitive_key=hmac.digest(base.root_key, b"pilotage sensitive parameters", "sha256"),
        hosts=base.store.hosts,
        compliance=base.store.compliance,
        channels=config.channels,
        policy=fleet.policy,
    )


def _make_hosts(base: Base, fleet: Fleet, executor: Executor, process: Process) -> Hosts:
    return Hosts(
        store=base.store.hosts,
        enrolments=base.store.enrolments,
        inventory=fleet.inventory,
        port=fleet.roster,
        clock=base.clock,
        random_bytes=secrets.token_bytes,
        enrol_address=process.enrol_address,
        pin=base.authority.pin,
        forsake=executor.forsake,
    )


def _make_backups(base: Base, process: Process) -> Backups:
    return Backups(
        base.store,
        base.clock,
        Path(process.state_dir),
        store_key=base.cipher.fingerprint,
        audit_key=base.audit_key.fingerprint,
        authority=base.authority.pin,
    )


def _make_doctor(base: Base, fleet: Fleet, executor: Executor, process: Process, audit: AuditLog) -> Doctor:
    return Doctor(
        base.store,
        audit,
        fleet.inventory,
        base.clock,
        Path(process.state_dir),
        epoch=base.epoch,
        highest_epoch=lambda: fleet.roster.highest_epoch_seen,
        # One that is online has gone back with us, and says so in its next greeting.
        contradicting=lambda: [host for host in base.witnesses.strange if not fleet.roster.online(host)],
        restoration=base.restoration,
        unread=executor.unread.reasons,
    )
