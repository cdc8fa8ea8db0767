"""What people and programs talk to, and what stands behind it. Imported by the bootstrap once agents are served."""

import contextlib
import hmac
import secrets
from pathlib import Path

from pilotage_blueprints import shipped

from pilotage_coordinator.api.server import ApiServer
from pilotage_coordinator.config import CoordinatorConfig
from pilotage_coordinator.parts import Base, Fleet, Process
from pilotage_coordinator.runtime.doctor import Doctor
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.runtime.hosts import Hosts
from pilotage_coordinator.runtime.library import Library
from pilotage_coordinator.runtime.logs import Logs
from pilotage_coordinator.runtime.planner import PlanMaker
from pilotage_coordinator.runtime.runs import Runs
from pilotage_coordinator.service.services import Services
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
    api = ApiServer(await _make_services(base, fleet, executor, process), config.socket)
    await api.start()
    stack.push_async_callback(api.stop)


async def _make_services(base: Base, fleet: Fleet, executor: Executor, process: Process) -> Services:
    """Make what stands behind every face."""
    clock, store = base.clock, base.store
    types = coordinator_types()
    library = Library(store.blueprints, fleet.inventory, types, clock)
    await library.load()
    await library.add_shipped(shipped())
    plans = PlanMaker(
        store=store.plans,
        shelf=executor.history.plans,
        audit=store.audit,
        library=library,
        inventory=fleet.inventory,
        coordinator_types=types,
        port=fleet.roster,
        vault=fleet.vault,
        cipher=base.cipher,
        clock=clock,
        sensitive_key=hmac.digest(base.store_key, b"pilotage sensitive parameters", "sha256"),
        hosts=store.hosts,
    )
    hosts = Hosts(
        store=store.hosts,
        enrolments=store.enrolments,
        inventory=fleet.inventory,
        port=fleet.roster,
        clock=clock,
        random_bytes=secrets.token_bytes,
        enrol_address=process.enrol_address,
        pin=base.authority.pin,
        forsake=executor.forsake,
    )
    return Services(
        clock=clock,
        new_id=process.new_id,
        store=store,
        library=library,
        plans=plans,
        runs=Runs(executor, plans, fleet.vault),
        hosts=hosts,
        secrets=fleet.vault,
        logs=Logs(store.executions, base.logs, executor),
        doctor=Doctor(
            store,
            fleet.inventory,
            clock,
            Path(process.state_dir),
            epoch=base.epoch,
            highest_epoch=lambda: fleet.roster.highest_epoch_seen,
            restoration=base.restoration,
            unread=executor.unread.reasons,
        ),
        coordinator=process,
        request_key=hmac.digest(base.store_key, b"pilotage repeated requests", "sha256"),
    )
