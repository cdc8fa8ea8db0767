"""In and out of the names by which a network's clients find a container, while it runs.

A user-defined network answers for the names of its containers and for their aliases. Aliases belong to the connection,
so they change by disconnecting and connecting again. What is under way survives that if the address stays the same:
the sockets are the container's, and what is sent meanwhile is sent again. An engine gives a wanted address only in a
network that was made with a subnet.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pilotage_plugin_api import StepError, TargetFailed

from pilotage_plugins.container.configuration import endpoints_of, same_endpoint

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

Json = dict[str, Any]
Endpoints = Mapping[str, Json]


def nameless(endpoints: Endpoints) -> dict[str, Json]:
    """Return the connections without their aliases."""
    return {
        network: {key: value for key, value in endpoint.items() if key != "Aliases"}
        for network, endpoint in endpoints.items()
    }


def also_called(endpoints: Endpoints, name: str) -> dict[str, Json]:
    """Return the connections with one more alias in each user-defined network."""
    return {
        network: endpoint if network == "bridge" else {**endpoint, "Aliases": sorted({*_aliases(endpoint), name})}
        for network, endpoint in endpoints.items()
    }


def must_be_nameable(found: Json) -> None:
    """Refuse a container that cannot run outside its names; raises TargetFailed."""
    hostname = str(found["Config"].get("Hostname") or "")
    if hostname and not found["Id"].startswith(hostname):
        raise TargetFailed(
            f"{str(found['Name']).lstrip('/')} has the hostname {hostname}, and networks send its clients to it"
            " and to its successor, ready or not: use rolling, without drain"
        )


async def connect_as(engine: "Engine", container: str, wanted: Endpoints) -> None:
    """Connect the container as wanted; connections that are so already are not touched. Repeating it is fine."""
    now = endpoints_of(await engine.inspect(container))
    for network, endpoint in wanted.items():
        if network in now:
            if same_endpoint(now[network], endpoint):
                continue
            await engine.disconnect(network, container)
        await engine.connect(network, container, endpoint)


async def take_out(engine: "Engine", container: str) -> list[str]:
    """Take the container out of all names but its own, at the address it has; requests under way go on.

    Returns the networks in which it could not keep its address, so that requests may have been cut.
    """
    found = await engine.inspect(container)
    addresses = {name: _address(at) for name, at in (found["NetworkSettings"].get("Networks") or {}).items()}
    moved = []
    for network, endpoint in endpoints_of(found).items():
        if not _aliases(endpoint):
            continue
        quiet = nameless({network: endpoint})[network]
        await engine.disconnect(network, container)
        try:
            await engine.connect(network, container, quiet | addresses[network])
        except StepError:
            await engine.connect(network, container, quiet)
            at = (await engine.inspect(container))["NetworkSettings"]["Networks"][network]
            if _address(at) != addresses[network]:
                moved.append(network)
    return moved


def _aliases(endpoint: Json) -> list[str]:
    return list(endpoint.get("Aliases") or ())


def _address(endpoint: Json) -> Json:
    """Return the address of a running container's connection, in the form in which it is asked for."""
    ours = {"IPv4Address": endpoint.get("IPAddress"), "IPv6Address": endpoint.get("GlobalIPv6Address")}
    kept = {key: value for key, value in ours.items() if value}
    return {"IPAMConfig": kept} if kept else {}
