"""The agent's settings: /etc/pilotage/agent.toml, overridden by PILOTAGE_AGENT_* variables, then by arguments."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from pilotage_agent.errors import ConfigRefused

SYSTEM_CONFIG: Final = Path("/etc/pilotage/agent.toml")
SYSTEM_STATE: Final = Path("/var/lib/pilotage-agent")
NO_LIMIT: Final = "none"
"""What `memory_limit_mb` may say instead of a number."""
_BOUNDS: Final[Mapping[str, tuple[int, int | None]]] = {
    "slots": (1, None),
    "memory_limit_mb": (0, None),
    "max_processes": (0, None),
    "attempt_log_mb": (2, 64),
    "spares": (1, None),
    "refresh_minutes": (1, None),
    "approver_quorum": (1, 64),
    "approval_max_age_hours": (1, 24 * 366),
}
"""The least and the most that a number may be."""
_LISTS: Final[Mapping[str, str]] = {
    "allow": "backup.*",
    "unsigned": "discovery.*",
    "run_time_values": "backup.restore:snapshot",
    "allow_paths": "/srv",
    "allow_images": "registry.example.org/*",
}
"""Settings that are lists of patterns, with an example of each."""
_FLAGS: Final = ("require_signed_plans",)
_PREFIX: Final = "PILOTAGE_AGENT_"


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Settings of one agent.

    `allow`: patterns of step types that may run here (`backup.*`), whatever a coordinator says; everything without it.
    `slots`: attempts outstanding at once. `memory_limit_mb`: per attempt, 0 for none; without it a share of the host's
    memory. `max_processes`: per attempt.
    `attempt_log_mb`: what is kept of the log of one attempt, half of it from the beginning and half from the end.
    `require_signed_plans`: every step needs people's signatures, not only a destructive one. `approvers`: file with the
    public SSH keys that count, in place of those that were pinned when the host joined; `approver_quorum`: how many of
    them must have signed; `approval_max_age_hours`: for how long after people were asked that counts. `unsigned`:
    patterns of step types that need no signature; `run_time_values`: patterns `STEP.TYPE:PARAMETER` of what such a
    step may take on the coordinator's word.
    `allow_paths`: folders in which everything lies that a step may name; `allow_images`: patterns of container images.
    Without them, any.
    `spares`: workers kept ready. `refresh_minutes`: how often facts and plugins are looked at again.
    """

    state_dir: Path
    allow: tuple[str, ...] = ("*",)
    slots: int = 32
    memory_limit_mb: int | None = None
    max_processes: int = 1024
    attempt_log_mb: int = 2
    spares: int = 2
    refresh_minutes: int = 15
    log_level: str = "info"
    require_signed_plans: bool = False
    approvers: Path | None = None
    approver_quorum: int = 1
    approval_max_age_hours: int = 168
    unsigned: tuple[str, ...] = ()
    run_time_values: tuple[str, ...] = ()
    allow_paths: tuple[str, ...] | None = None
    allow_images: tuple[str, ...] | None = None


def default_state_dir(environment: Mapping[str, str], *, root: bool) -> Path:
    """Return where the agent keeps its state when nobody says so."""
    if root:
        return SYSTEM_STATE
    base = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME", "/")) / ".local/state")
    return Path(base) / "pilotage-agent"


def default_config_file(environment: Mapping[str, str], *, root: bool) -> Path:
    """Return where the agent's settings are written."""
    if root:
        return SYSTEM_CONFIG
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "/")) / ".config")
    return Path(base) / "pilotage/agent.toml"


def load_config(file: Path | None, state_dir: Path | None, environment: Mapping[str, str]) -> AgentConfig:
    """Read the settings; raises ConfigRefused that names file, key and what fits."""
    root = os.geteuid() == 0
    chosen = file or default_config_file(environment, root=root)
    values = _read(chosen, required=file is not None)
    for name in (field.name for field in fields(AgentConfig)):
        variable = _PREFIX + name.upper()
        if variable in environment:
            values[name] = _from_text(variable, name, environment[variable])
    if state_dir is not None:
        values["state_dir"] = str(state_dir)
    values.setdefault("state_dir", str(default_state_dir(environment, root=root)))
    return _checked(values, chosen)


def _read(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigRefused(f"there is no {file}") from None
        return {}
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{file} cannot be read: {error}") from error


def _from_text(variable: str, name: str, text: str) -> Any:
    if name in _LISTS:
        return [part.strip() for part in text.split(",") if part.strip()]
    if name in _FLAGS and text in ("true", "false"):
        return text == "true"
    if name in ("state_dir", "log_level", "approvers") or (name == "memory_limit_mb" and text == NO_LIMIT):
        return text
    try:
        return int(text)
    except ValueError:
        needed = "true or false" if name in _FLAGS else "a whole number"
        raise ConfigRefused(f"{variable}={text}: {needed} is needed") from None


def _checked(values: dict[str, Any], file: Path) -> AgentConfig:
    known = {field.name for field in fields(AgentConfig)}
    if unknown := sorted(set(values) - known):
        raise ConfigRefused(f"{file}: unknown setting {unknown[0]}; there are {', '.join(sorted(known))}")
    _check_forms(values, file)
    if values.get("memory_limit_mb") == NO_LIMIT:
        values["memory_limit_mb"] = 0
    for name, (least, most) in _BOUNDS.items():
        value = values.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= (most or value):
            upward = f"to {most}" if most else "up"
            other = f', or "{NO_LIMIT}"' if name == "memory_limit_mb" else ""
            raise ConfigRefused(f"{file}: {name} must be a whole number from {least} {upward}{other}")
    if values.get("log_level", "info") not in ("debug", "info", "warning", "error"):
        raise ConfigRefused(f"{file}: log_level must be debug, info, warning or error")
    return AgentConfig(**{**values, "state_dir": Path(values["state_dir"]).absolute()})


def _check_forms(values: dict[str, Any], file: Path) -> None:
    """Check what is a list, a flag or a path, and put it into its form."""
    for name, example in _LISTS.items():
        listed = values.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise ConfigRefused(f'{file}: {name} must be a list such as ["{example}"]')
        if name in values:
            values[name] = tuple(listed)
    for name in _FLAGS:
        if not isinstance(values.get(name, False), bool):
            raise ConfigRefused(f"{file}: {name} must be true or false")
    if not isinstance(values.get("approvers", ""), str):
        raise ConfigRefused(f"{file}: approvers must be the path of a file with public SSH keys")
    if "approvers" in values:
        values["approvers"] = Path(values["approvers"]).absolute()
