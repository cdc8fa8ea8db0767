"""What later steps and people see of a container: bounded, and without the values of its environment."""

from collections.abc import Mapping
from typing import Any

from pilotage_plugin_api import StepOutputs

LABELS_SHOWN = 50
TEXT_SHOWN = 300


class Published(StepOutputs):
    """A port of the container, `8080/tcp`, and where it is published."""

    port: str
    host_ip: str
    host_port: int


class Mounted(StepOutputs):
    """A volume or a folder of the host; `name` is the volume's."""

    type: str
    name: str | None
    source: str
    destination: str
    writable: bool


class ContainerState(StepOutputs):
    """One container. `health` is Docker's (starting, healthy, unhealthy), null when the container has no check.

    `environment` holds only the names: values are often secrets. `address` by network name.
    """

    id: str
    name: str
    image: str
    image_id: str
    status: str
    running: bool
    health: str | None
    exit_code: int
    restarts: int
    started_at: str
    environment: tuple[str, ...]
    labels: dict[str, str]
    addresses: dict[str, str]
    ports: tuple[Published, ...]
    mounts: tuple[Mounted, ...]


def state_of(found: Mapping[str, Any]) -> ContainerState:
    """Read an inspection."""
    config, state, network = found["Config"], found["State"], found["NetworkSettings"]
    labels = sorted((config.get("Labels") or {}).items())[:LABELS_SHOWN]
    return ContainerState(
        id=found["Id"],
        name=str(found["Name"]).lstrip("/"),
        image=config["Image"],
        image_id=found["Image"],
        status=state["Status"],
        running=bool(state["Running"]),
        health=(state.get("Health") or {}).get("Status"),
        exit_code=int(state["ExitCode"]),
        restarts=int(found["RestartCount"]),
        started_at=state["StartedAt"],
        environment=tuple(sorted(entry.partition("=")[0] for entry in config.get("Env") or ())),
        labels={key: value[:TEXT_SHOWN] for key, value in labels},
        addresses={
            name: endpoint["IPAddress"]
            for name, endpoint in (network.get("Networks") or {}).items()
            if endpoint.get("IPAddress")
        },
        ports=tuple(
            Published(port=port, host_ip=one["HostIp"], host_port=int(one["HostPort"]))
            for port, places in sorted((network.get("Ports") or {}).items())
            for one in places or ()
        ),
        mounts=tuple(
            Mounted(
                type=one["Type"],
                name=one.get("Name"),
                source=one.get("Source", ""),
                destination=one["Destination"],
                writable=bool(one["RW"]),
            )
            for one in found.get("Mounts") or ()
        ),
    )
