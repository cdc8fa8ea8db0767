"""Rehearsing a container that publishes ports: another one like it runs beside it, without its ports and its names.

No engine gives ports to a container that runs, so what is rehearsed is not what serves later: it is the same image with
the same settings, started once on this host, and gone again before the ports are handed over. The old one runs on.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pilotage_plugin_api import StepContext, StepError, TargetFailed

from pilotage_plugins.container.configuration import LABEL_PREFIX, Configuration
from pilotage_plugins.container.health import HealthCheck, wait_until_healthy
from pilotage_plugins.container.mark import is_at_work, own_mark
from pilotage_plugins.container.swap import NEVER, name_of

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

Json = dict[str, Any]

_OF: Final = f"{LABEL_PREFIX}rehearsal"
_WORKER: Final = f"{LABEL_PREFIX}worker"
_FOUND_BY: Final = ("Hostname", "Domainname", "MacAddress", "Labels")
"""Settings by which others find a container. A proxy that goes by labels would send its clients to the rehearsal."""


def publishes_ports(found: Json) -> bool:
    """Whether a container publishes ports on its host."""
    host = found["HostConfig"]
    return bool(host.get("PublishAllPorts")) or any((host.get("PortBindings") or {}).values())


def must_be_rehearsable(old: Json, check: HealthCheck, *, share_mounts: bool) -> None:
    """Refuse a container that must not run twice, or a check that would ask the old one; raises TargetFailed."""
    name = name_of(old)
    shared = sorted(one["Destination"] for one in old.get("Mounts") or () if one["RW"] and one["Type"] != "tmpfs")
    if shared and not share_mounts:
        raise TargetFailed(
            f"{name} writes to {', '.join(shared)}, and the new version would, too, while it is rehearsed: say"
            " share_mounts: true if they bear that (a database does not), or use rolling"
        )
    if (check.http and check.http.url) or (check.tcp and check.tcp.host):
        raise TargetFailed(
            f"{name} publishes ports, so the new version is rehearsed without them, and a check of a fixed address"
            " would ask the old one: give the check a port of the container instead"
        )


async def rehearse(
    ctx: StepContext, engine: "Engine", old: Json, wanted: Configuration, image: str, check: HealthCheck
) -> None:
    """Run the new version beside the old one until it was healthy; raises the StepError that says why it was not.

    Whatever happens, the rehearsal is gone afterwards and the old one runs on; one that a crash left is removed by
    `remove_rehearsals`.
    """
    name = name_of(old)
    quiet = rehearsal_of(wanted)
    body = quiet.body(image, {_OF: name, _WORKER: own_mark()})
    ctx.log(f"rehearsing {image} beside {name}, without its ports")
    try:
        made = await engine.create(f"{name}.pilotage-rehearsal", body)
        for network, endpoint in quiet.others.items():
            await engine.connect(network, made, endpoint)
        await engine.start(made)
        await wait_until_healthy(ctx, engine, made, check)
    except StepError as error:
        raise type(error)(
            f"the rehearsal of {image} failed, so {name} was left alone and serves on: {error}"
        ) from error
    finally:
        await remove_rehearsals(engine, name)


def rehearsal_of(wanted: Configuration) -> Configuration:
    """Return the configuration without what two containers cannot both have, or would be found by."""
    host = {key: value for key, value in wanted.host.items() if key not in ("PortBindings", "PublishAllPorts")}
    return replace(
        wanted,
        settings={key: value for key, value in wanted.settings.items() if key not in _FOUND_BY},
        host={**deepcopy(host), "RestartPolicy": dict(NEVER)},
        endpoints={network: _unseen(endpoint) for network, endpoint in wanted.endpoints.items()},
    )


async def remove_rehearsals(engine: "Engine", name: str) -> None:
    """Remove what an attempt that died left of its rehearsal; one that another step is at is left alone."""
    for one in await engine.containers(labels=[f"{_OF}={name}"]):
        if not is_at_work(one["Labels"].get(_WORKER, "")):
            await engine.remove(one["Id"], force=True, volumes=True)


def _unseen(endpoint: Mapping[str, Any]) -> Json:
    return {key: value for key, value in endpoint.items() if key not in ("Aliases", "IPAMConfig")}
