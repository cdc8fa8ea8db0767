"""What runs executions, made and begun. Imported by the bootstrap while agents connect: their sessions wait for it."""

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from typing import Any

from pilotage_coordinator.config import CoordinatorConfig
from pilotage_coordinator.domain.expression.late import LateExpressions
from pilotage_coordinator.parts import Base, Fleet, Process
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.listener import AgentListener
from pilotage_coordinator.runtime.second_redaction import SecondRedaction
from pilotage_coordinator.runtime.upkeep import Upkeep
from pilotage_coordinator.runtime.world import RuntimeWorld
from pilotage_coordinator.steps import coordinator_steps
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.coordinator")


def open_executions(
    config: CoordinatorConfig, base: Base, fleet: Fleet, process: Process, stack: contextlib.AsyncExitStack
) -> Executor:
    """Begin to recover what was running, and let agents in; both go on in the background."""
    clock, store, inventory = base.clock, base.store, fleet.inventory
    dispatcher = Dispatcher(fleet.roster, fleet.vault, inventory, base.epoch)
    world = RuntimeWorld.over(inventory, LateExpressions(), coordinator_steps())
    failpoints = Failpoints.from_environment(os.environ)
    restored = base.restoration is not None
    redaction = SecondRedaction(fleet.vault)
    executor = Executor(store, dispatcher, world, clock, base.epoch, redaction, failpoints, restored)
    fleet.roster.listen(AgentListener(executor, store.hosts, base.logs, inventory, clock, base.restoration))
    stack.push_async_callback(executor.close)
    _in_background(stack, process, executor.run(), "executor")
    upkeep = Upkeep(store, base.logs, inventory, clock, config.history_days)
    _in_background(stack, process, upkeep.run(), "upkeep")
    return executor


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
