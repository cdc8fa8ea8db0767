"""What runs executions, made and begun. Imported by the bootstrap while agents connect: their sessions wait for it."""

import contextlib
import os

from pilotage_coordinator.config import CoordinatorConfig
from pilotage_coordinator.domain.expression.late import LateExpressions
from pilotage_coordinator.parts import Base, Fleet, Process, in_background
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.listener import AgentListener
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.runtime.second_redaction import SecondRedaction
from pilotage_coordinator.runtime.signed_plans import SignedPlans
from pilotage_coordinator.runtime.upkeep import Upkeep
from pilotage_coordinator.runtime.world import RuntimeWorld
from pilotage_coordinator.steps import coordinator_steps


def open_executions(
    config: CoordinatorConfig, base: Base, fleet: Fleet, process: Process, stack: contextlib.AsyncExitStack
) -> Executor:
    """Begin to recover what was running, and let agents in; both go on in the background."""
    clock, store, inventory = base.clock, base.store, fleet.inventory
    dispatcher = Dispatcher(
        fleet.roster, fleet.vault, inventory, SignedPlans(PlanShelf(store.plans), store.approvals), base.epoch
    )
    world = RuntimeWorld.over(inventory, LateExpressions(), coordinator_steps(config.channels), fleet.policy)
    failpoints = Failpoints.from_environment(os.environ)
    restored = base.restoration is not None
    redaction = SecondRedaction(fleet.vault)
    executor = Executor(store, dispatcher, world, clock, base.epoch, redaction, failpoints, restored)
    fleet.roster.listen(AgentListener(executor, store.hosts, base.logs, inventory, clock, base.restoration))
    stack.push_async_callback(executor.close)
    in_background(stack, process, executor.run(), "executor")
    upkeep = Upkeep(store, base.logs, inventory, clock, config.history_days)
    in_background(stack, process, upkeep.run(), "upkeep")
    return executor
