"""The way back of a swap: the old container itself in its place again, from wherever the swap is."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pilotage_plugin_api import StepContext, StepError, TargetFailed

from pilotage_plugins.container.configuration import endpoints_of
from pilotage_plugins.container.health import HealthCheck, wait_until_healthy
from pilotage_plugins.container.mark import is_at_work
from pilotage_plugins.container.names import connect_as, take_out
from pilotage_plugins.container.swap import Swap, name_of, swaps_of

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

Json = dict[str, Any]
Ready = Callable[[str], Awaitable[None]]
"""Waits until a container that was just started may get traffic; never raises a StepError."""

READY_SECONDS: Final = 60
"""An old version that is not ready by then gets the traffic all the same: nothing better is there."""


def until_ready(ctx: StepContext, engine: "Engine", check: HealthCheck) -> Ready:
    """Return a Ready that asks this health check."""
    limit = min(check.healthy_deadline, timedelta(seconds=READY_SECONDS))
    quick = check.model_copy(update={"min_healthy_time": timedelta(0), "healthy_deadline": limit})

    async def ready(container: str) -> None:
        try:
            await wait_until_healthy(ctx, engine, container, quick)
        except StepError as error:
            ctx.log(f"the old one comes back although nothing says that it is ready: {error}")

    return ready


async def take_back(engine: "Engine", swap: Swap, stop_seconds: int | None, ready: Ready) -> None:
    """Put the old one back as it was, whatever the swap had come to. Repeating it after a crash is fine.

    Raises TargetFailed, having changed nothing, when there is no way back: the old one is gone, or its name belongs to
    a third one.
    """
    old, holder = await engine.find(swap.old), await engine.find(swap.name)
    if old is None:
        raise TargetFailed(f"the previous container of {swap.name} ({swap.old[:12]}) is gone, so it cannot be put back")
    if holder is not None and holder["Id"] not in (swap.old, swap.new):
        raise TargetFailed(
            f"the name {swap.name} belongs to another container now ({holder['Id'][:12]}): nothing was changed"
        )
    new = await engine.find(swap.new)
    if swap.beside:
        await _switch_back(engine, swap, old, new, stop_seconds, ready)
    else:
        await _roll_back(engine, swap, old, new, stop_seconds, ready)
    # It goes last: as long as it is there, what has to be done can be read from it.
    await engine.remove(swap.new, force=True, volumes=True)


async def _roll_back(
    engine: "Engine", swap: Swap, old: Json, new: Json | None, stop_seconds: int | None, ready: Ready
) -> None:
    """Stop the new one, start the old one."""
    if new is not None and name_of(old) != swap.name:
        if swap.drain is not None:
            await _drain(engine, swap, new)
        await engine.stop(swap.new, stop_seconds)
        if name_of(new) == swap.name:
            await engine.rename(swap.new, swap.candidate_name)
    if name_of(old) == swap.trial_name:
        # Its stop may be under way, and a start before its end would be lost.
        await engine.stop(swap.old, stop_seconds)
    await _set_restart_policy(engine, swap, old)
    if name_of(old) != swap.name:
        await engine.rename(swap.old, swap.name)
    if swap.running and not (await engine.inspect(swap.old))["State"]["Running"]:
        await engine.start(swap.old)
        if swap.drain is not None:
            await ready(swap.old)
    if swap.drain is not None:
        await connect_as(engine, swap.old, swap.networks)


async def _switch_back(
    engine: "Engine", swap: Swap, old: Json, new: Json | None, stop_seconds: int | None, ready: Ready
) -> None:
    """Let the old one have its names again, then take the new one out of them: no moment without an answer."""
    if name_of(old) == swap.ending_name:
        await engine.stop(swap.old, stop_seconds)
        old = await engine.inspect(swap.old)
    await _set_restart_policy(engine, swap, old)
    if swap.running and not old["State"]["Running"]:
        await engine.start(swap.old)
        await ready(swap.old)
    await connect_as(engine, swap.old, swap.networks)
    if new is not None and name_of(new) == swap.name:
        await engine.rename(swap.new, swap.candidate_name)
    if name_of(old) != swap.name:
        await engine.rename(swap.old, swap.name)
    if new is not None:
        await _drain(engine, swap, new)
        await engine.stop(swap.new, stop_seconds)


async def _drain(engine: "Engine", swap: Swap, new: Json) -> None:
    """Take the new one out of its names, and let it answer what it was asked."""
    if new["State"]["Running"] and any(at.get("Aliases") for at in endpoints_of(new).values()):
        await take_out(engine, swap.new)
        await asyncio.sleep(swap.drain or 0)


async def _set_restart_policy(engine: "Engine", swap: Swap, old: Json) -> None:
    if old["HostConfig"]["RestartPolicy"] != swap.restart:
        await engine.set_restart_policy(swap.old, swap.restart)


async def restore_interrupted(engine: "Engine", name: str, stop_seconds: int | None, ready: Ready) -> list[Swap]:
    """Take back every swap of this name that an interrupted attempt left unsettled; returns them.

    Raises TargetFailed, having changed nothing, when one of them is still being made by another process.
    """
    unsettled = [swap for swap, settled in await swaps_of(engine, name) if not settled]
    for swap in unsettled:
        if is_at_work(swap.worker):
            raise TargetFailed(
                f"another step is upgrading {name} at this moment ({swap.attempt}): wait for its end, and start this"
                " one again"
            )
    for swap in reversed(unsettled):
        await take_back(engine, swap, stop_seconds, ready)
    return unsettled


async def whatever_comes(work: Awaitable[None]) -> None:
    """Do the work to its end though this task is cancelled meanwhile, as at a deadline that passes during a revert.

    The cancellation is swallowed: the caller is about to raise what ends the attempt anyway.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    task.result()
