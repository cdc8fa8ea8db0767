"""Rolling: the old container is stopped, the new one starts in its place."""

import asyncio
from typing import TYPE_CHECKING

from pilotage_plugins.container.names import connect_as, nameless, take_out
from pilotage_plugins.container.swap import NEVER, Swap

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


async def take_over(engine: "Engine", swap: Swap, stop_seconds: int | None) -> None:
    """Stop the old one and start the new one under its name: on trial.

    Names first: a stop goes on in the engine when nobody waits for it any more, so it must be seen that there was one.
    """
    # The engine would start it again by itself when it restarts, beside the new one.
    await engine.set_restart_policy(swap.old, NEVER)
    await engine.rename(swap.old, swap.trial_name)
    await engine.rename(swap.new, swap.name)
    if swap.drain is not None:
        await take_out(engine, swap.old)
        await asyncio.sleep(swap.drain)
    await engine.stop(swap.old, stop_seconds)
    if swap.drain is not None:
        # It gives up the address that it kept while it was drained.
        await connect_as(engine, swap.old, nameless(swap.networks))
    await engine.start(swap.new)


async def settle(engine: "Engine", swap: Swap, *, keep: bool) -> None:
    """Let the swap count; the container kept from the swap before this one goes."""
    if (before := await engine.find(swap.previous_name)) and before["Id"] != swap.old:
        await engine.remove(before["Id"], force=True)
    if keep:
        await engine.rename(swap.old, swap.previous_name)
    else:
        await engine.remove(swap.old, force=True)
