"""Blue-green on one host: both containers run, and the names by which clients find them go from one to the other."""

from typing import TYPE_CHECKING, Any

from pilotage_plugin_api import TargetFailed

from pilotage_plugins.container.configuration import endpoints_of
from pilotage_plugins.container.names import connect_as, nameless, take_out
from pilotage_plugins.container.swap import NEVER, Swap, name_of

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

Json = dict[str, Any]

PREDEFINED = ("bridge", "host", "none", "default")
"""Networks in which nobody is found by name."""


def must_be_switchable(old: Json, *, share_mounts: bool) -> None:
    """Refuse a container whose traffic cannot be switched, or that must not run twice; raises TargetFailed."""
    name = name_of(old)
    networks = {network: at for network, at in endpoints_of(old).items() if network not in PREDEFINED}
    if not networks:
        raise TargetFailed(f"{name} is in no user-defined network, so there is no name to switch: use rolling")
    fixed = [network for network, at in networks.items() if any((at.get("IPAMConfig") or {}).values())]
    if fixed or old["Config"].get("MacAddress"):
        where = f"in {', '.join(fixed)}" if fixed else "(MAC)"
        raise TargetFailed(f"{name} has a fixed address {where}, which two cannot have at once: use rolling")
    shared = sorted(one["Destination"] for one in old.get("Mounts") or () if one["RW"] and one["Type"] != "tmpfs")
    if shared and not share_mounts:
        raise TargetFailed(
            f"{name} writes to {', '.join(shared)}, and both versions would for a while: say share_mounts: true if"
            " they bear that (a database does not), or use rolling"
        )


async def switch(engine: "Engine", swap: Swap) -> list[str]:
    """Take the old one out of the names under which the new one stands already: on trial.

    There is no moment without an answer: the new one has the old one's name as an alias. Returns the networks in which
    requests under way may have been cut.
    """
    await engine.set_restart_policy(swap.old, NEVER)
    await engine.rename(swap.old, swap.trial_name)
    moved = await take_out(engine, swap.old)
    await engine.rename(swap.new, swap.name)
    return moved


async def retire(engine: "Engine", swap: Swap, stop_seconds: int | None) -> None:
    """Stop the old one. Its name first, as the stop may go on in the engine when nobody waits for it any more."""
    await engine.rename(swap.old, swap.ending_name)
    await engine.stop(swap.old, stop_seconds)
    await connect_as(engine, swap.old, nameless(swap.networks))
