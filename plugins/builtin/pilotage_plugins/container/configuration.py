"""What makes a container what it is: read from an inspection, in the form in which one like it is created.

A container's configuration is its image's defaults with the operator's settings over them; an inspection shows the
mixture. The defaults are taken out here, so that a successor gets the operator's settings over the defaults of *its*
image, and one made of the same image is the same.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

LABEL_PREFIX: Final = "io.pilotage."
"""Labels that Pilotage keeps its own records in; they are no part of a container's configuration."""

_PLAIN: Final = ("User", "WorkingDir", "StopSignal", "Shell", "Healthcheck")
_MAPPINGS: Final = ("Labels", "Volumes", "ExposedPorts")
_OWN: Final = (
    "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce",
    "NetworkDisabled", "MacAddress", "StopTimeout",
)  # fmt: skip
_ENDPOINT: Final = ("IPAMConfig", "Links", "DriverOpts", "GwPriority")
_ORDERED: Final = ("Cmd", "Entrypoint", "Shell", "Healthcheck")
_NO_ENDPOINTS: Final = ("host", "none")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The operator's settings of a container.

    `settings` and `host` are the bodies `Config` and `HostConfig` of a creation, image and labels of ours left out.
    `endpoints` are its networks by name; `first` is the one that it is created in, None for the host's or none.
    """

    settings: Json
    host: Json
    endpoints: Mapping[str, Json]
    first: str | None

    def body(self, image: str, labels: Mapping[str, str]) -> Json:
        """Return the body of a request that creates such a container from an image, with labels of ours."""
        body = {**deepcopy(self.settings), "Image": image, "HostConfig": deepcopy(self.host)}
        body["Labels"] = {**body.get("Labels", {}), **labels}
        if self.first is not None and self.first in self.endpoints:
            body["NetworkingConfig"] = {"EndpointsConfig": {self.first: deepcopy(self.endpoints[self.first])}}
        return body

    @property
    def others(self) -> dict[str, Json]:
        """The networks to connect after the creation: an engine takes only one before API 1.44."""
        return {name: endpoint for name, endpoint in self.endpoints.items() if name != self.first}


def configuration_of(found: Json, image: Json | None) -> Configuration:
    """Read the operator's settings out of an inspection; `image` is the inspection of its image, None if it is gone
    (then what came from the image stays as it was)."""
    defaults = (image or {}).get("Config") or {}
    config, host = found["Config"], found["HostConfig"]
    return Configuration(
        settings=_settings(found, config, defaults),
        host=_host(found, host),
        endpoints=endpoints_of(found),
        first=_first(found, host["NetworkMode"]),
    )


def differences(before: Configuration, after: Configuration) -> list[str]:
    """Name the settings that are not the same, with both values, shortened."""
    found = []
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("", before.settings, after.settings),
        ("HostConfig.", before.host, after.host),
        ("Networks.", before.endpoints, after.endpoints),
    ]
    for place, one, other in pairs:
        for name in sorted({*one, *other}):
            same = _as_it_is if name in _ORDERED else _meaning
            if same(one.get(name)) != same(other.get(name)):
                found.append(f"{place}{name}: {_short(one.get(name))} became {_short(other.get(name))}")
    return found


def same_endpoint(one: Json, other: Json) -> bool:
    """Whether two connections to a network mean the same."""
    return all(_meaning(one.get(name)) == _meaning(other.get(name)) for name in {*one, *other})


def _settings(found: Json, config: Json, defaults: Json) -> Json:
    settings = {name: config[name] for name in _OWN if config.get(name)}
    settings |= {name: config[name] for name in _PLAIN if config.get(name) and config[name] != defaults.get(name)}
    for name in _MAPPINGS:
        of_image = defaults.get(name) or {}
        own = {key: value for key, value in (config.get(name) or {}).items() if of_image.get(key, found) != value}
        if name == "Labels":
            own = {key: value for key, value in own.items() if not key.startswith(LABEL_PREFIX)}
        if own:
            settings[name] = own
    of_image = set(defaults.get("Env") or ())
    if env := [entry for entry in config.get("Env") or () if entry not in of_image]:
        settings["Env"] = env
    entrypoint, command = config.get("Entrypoint"), config.get("Cmd")
    if entrypoint != defaults.get("Entrypoint"):
        settings["Entrypoint"], settings["Cmd"] = entrypoint or [""], command or []
    elif command != defaults.get("Cmd") and command:
        settings["Cmd"] = command
    hostname = config.get("Hostname")
    if hostname and not found["Id"].startswith(hostname) and _may_have_hostname(found["HostConfig"]):
        settings["Hostname"] = hostname
    return settings


def _may_have_hostname(host: Json) -> bool:
    return not host["NetworkMode"].startswith("container:") and host["NetworkMode"] != "host"


def _host(found: Json, host: Json) -> Json:
    """Return HostConfig with every volume named, so that anonymous ones are handed on, too."""
    kept = {name: deepcopy(value) for name, value in host.items() if value not in (None, [], {}, "")}
    if links := kept.get("Links"):
        kept["Links"] = [_link(one) for one in links]
    volumes = {one["Destination"]: one for one in found.get("Mounts") or () if one["Type"] == "volume"}
    for mount in kept.get("Mounts", ()):
        if mount.get("Type") == "volume" and not mount.get("Source") and mount["Target"] in volumes:
            mount["Source"] = volumes[mount["Target"]]["Name"]
    named = {mount["Target"].rstrip("/") for mount in kept.get("Mounts", ())}
    named |= {bind.split(":")[1].rstrip("/") for bind in kept.get("Binds", ()) if ":" in bind}
    for destination, volume in sorted(volumes.items()):
        if destination.rstrip("/") not in named:
            suffix = "" if volume["RW"] else ":ro"
            kept.setdefault("Binds", []).append(f"{volume['Name']}:{destination}{suffix}")
    return kept


def _link(link: str) -> str:
    """Turn `/db:/web/database`, as inspections show it, into `db:database`, as creations want it."""
    target, _, alias = link.partition(":")
    return f"{target.lstrip('/')}:{alias.rpartition('/')[2]}"


def endpoints_of(found: Json) -> dict[str, Json]:
    """Read the operator's settings of a container's networks out of an inspection."""
    mode = found["HostConfig"]["NetworkMode"]
    if mode in _NO_ENDPOINTS or mode.startswith("container:"):
        return {}
    short = found["Id"][:12]
    endpoints = {}
    for name, endpoint in (found["NetworkSettings"].get("Networks") or {}).items():
        kept = {key: endpoint[key] for key in _ENDPOINT if endpoint.get(key)}
        if aliases := [alias for alias in endpoint.get("Aliases") or () if alias != short]:
            kept["Aliases"] = sorted(set(aliases))
        endpoints[name] = kept
    return endpoints


def _first(found: Json, mode: str) -> str | None:
    networks = found["NetworkSettings"].get("Networks") or {}
    if mode in ("default", "bridge"):
        return "bridge"
    for name, endpoint in networks.items():
        if mode in (name, endpoint.get("NetworkID")):
            return str(name)
    return None


def _as_it_is(value: Any) -> Any:
    return value or None


def _meaning(value: Any) -> Any:
    """What a setting means: nothing, empty and false are one, and so are all orders of a list outside of commands."""
    if isinstance(value, list):
        return sorted(json.dumps(one, sort_keys=True) for one in value) or None
    return value or None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
