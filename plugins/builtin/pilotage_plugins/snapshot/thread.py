"""Work that is over when its call is: in a thread also when the call is cancelled, and the clean-up after that."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pilotage_plugin_api import StepContext

T = TypeVar("T")


def unstoppable(ctx: StepContext) -> StepContext:
    """Return the same context for cleaning up: whoever cancelled the attempt wants that done, too."""
    return replace(ctx, cancel=asyncio.Event(), deadline=None)


async def finished_in_thread(call: Callable[[], T]) -> T:
    """Run a call in a thread. When this task is cancelled, wait until the call has ended (it must look at
    `ctx.checkpoint` itself) before the cancellation passes on, so that nothing is cleaned up under its hands."""
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # it was told to stop, so what it says about that is no news
        raise
