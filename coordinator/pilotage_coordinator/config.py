"""The coordinator's settings: defaults, then a TOML file, then the environment (`PILOTAGE_*`), then options.

Read without a validation library: together with its settings sources it took a fifth of the time until agents are
served, for eight values.
"""

import os
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pilotage_client.place import runtime_dir, state_dir

from pilotage_coordinator.channel_settings import read_channels
from pilotage_coordinator.domain.access.issuer import Issuer
from pilotage_coordinator.domain.channel import Channel
from pilotage_coordinator.issuer_settings import read_issuer

SYSTEM_FILE: Final = Path("/etc/pilotage/coordinator.toml")
PREFIX: Final = "PILOTAGE_"
EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104
LEVELS: Final = ("debug", "info", "warning", "error")


LOOPBACK_HTTPS: Final = "127.0.0.1:7445"


class SettingsRefused(Exception):
    """A setting cannot be used; the text names each with its source, and what fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorConfig:
    """Where a coordinator keeps its state and where it listens."""

    state_dir: Path
    """Database, keys and logs; made with mode 0700."""
    socket: Path
    """The unix socket of the HTTP API, mode 0600, in a folder of mode 0700."""
    fleet_listen: str = "127.0.0.1:7443"
    """host:port for agents (mutual TLS). Port 0 takes any free one."""
    enrol_listen: str = "127.0.0.1:7444"
    """host:port where new hosts join (TLS)."""
    https_listen: str = ""
    """host:port where the API is served over TLS to whoever shows an API token; empty: nowhere. `on` stands for port
    7445 of the loopback address."""
    https_certificate: Path | None = None
    """A certificate chain (PEM) for it; without one, the coordinator's own authority makes it."""
    https_key: Path | None = None
    """The key of `https_certificate` (PEM), readable by nobody else."""
    advertise: str = ""
    """The name or address under which other machines reach this one; empty = the host part of `enrol_listen`."""
    history_days: int = 400
    """How long executions that are over are kept, with their logs; 0 = for ever. The audit log is always kept."""
    attempt_log_mb: int = 80
    """MiB kept of the log of one attempt, whatever its agent sends; what comes after is dropped, counted, and said in
    the log. The default is what an agent sends at most: 64 kept, and the excerpts in between."""
    host_log_mb: int = 256
    """MiB kept of all logs that one host writes for one execution."""
    log_level: str = "info"
    """debug, info, warning or error."""
    oidc: Issuer | None = None
    """Whose identity tokens (JWT) are taken, besides API tokens; in the settings file alone, as [oidc]."""
    channels: Mapping[str, Channel] = field(default_factory=dict)
    """Where notifications may go, by name; in the settings file alone, as [channels.NAME]."""


def config_file() -> Path:
    """Return the settings file: `$PILOTAGE_CONFIG`, else of the system for root, else of the user."""
    chosen = os.environ.get("PILOTAGE_CONFIG")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return SYSTEM_FILE
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "pilotage" / "coordinator.toml"


def load_config(options: Mapping[str, Any], environment: Mapping[str, str], file: Path) -> CoordinatorConfig:
    """Return the settings; an option that is None and a variable that is empty count as not given.

    Raises SettingsRefused, which names every setting that does not fit.
    """
    found: dict[str, tuple[str, Any]] = {name: (f"{file}: {name}", value) for name, value in _read(file).items()}
    for name in _READERS:
        variable = PREFIX + name.upper()
        if environment.get(variable):
            found[name] = (variable, environment[variable])
        if options.get(name) is not None:
            found[name] = (f"--{name.replace('_', '-')}", options[name])
    values: dict[str, Any] = {}
    refused: list[str] = []
    for name, (source, value) in found.items():
        try:
            values[name] = _READERS[name](value)
        except KeyError:
            refused.append(f"{source}: there is no such setting; there are {', '.join(_READERS)}")
        except ValueError as error:
            refused.append(f"{source}: {error}")
    if ("https_certificate" in values) is not ("https_key" in values):
        refused.append("https_certificate and https_key belong together: give both, or neither")
    if refused:
        raise SettingsRefused("; ".join(refused))
    return CoordinatorConfig(
        **{"state_dir": state_dir(), "socket": runtime_dir() / "coordinator.sock", **values},
    )


def certificate_names(config: CoordinatorConfig, *listens: str) -> tuple[str, ...]:
    """Return the names for the certificate of ports that listen on host:port, besides its fixed one."""
    wanted = (config.advertise, *(_host(each) for each in listens))
    return tuple(dict.fromkeys(name for name in wanted if name and name not in EVERYWHERE))


def advertised(config: CoordinatorConfig, listen: str, port: int) -> str:
    """Return host:port as other machines reach it."""
    host = config.advertise or _host(listen)
    if host in ("", *EVERYWHERE):
        host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _read(file: Path) -> dict[str, Any]:
    """Return what a settings file says; without one, nothing."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsRefused(f"{file} cannot be read: {error}") from error


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("a path is needed")
    return Path(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is needed")
    return value


def _listen(value: Any) -> str:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{value!r} is no HOST:PORT, such as 127.0.0.1:7443")
    return f"{host}:{port}"


def _https_listen(value: Any) -> str:
    if value in ("", "off"):
        return ""
    return LOOPBACK_HTTPS if value == "on" else _listen(value)


def _days(value: Any) -> int:
    try:
        days = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else -1
    except ValueError:
        days = -1
    if days < 0:
        raise ValueError("a whole number of days from 0 up is needed")
    return days


def _size(value: Any) -> int:
    try:
        size = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else 0
    except ValueError:
        size = 0
    if size < 1:
        raise ValueError("a whole number of MiB from 1 up is needed")
    return size


def _level(value: Any) -> str:
    if value not in LEVELS:
        raise ValueError(f"it must be one of {', '.join(LEVELS)}")
    return str(value)


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "state_dir": _path,
        "socket": _path,
        "fleet_listen": _listen,
        "enrol_listen": _listen,
        "https_listen": _https_listen,
        "https_certificate": _path,
        "https_key": _path,
        "advertise": _text,
        "history_days": _days,
        "attempt_log_mb": _size,
        "host_log_mb": _size,
        "log_level": _level,
        "oidc": read_issuer,
        "channels": read_channels,
    }
)
