"""The coordinator's settings: defaults, then a TOML file, then the environment (`PILOTAGE_*`), then arguments."""

import os
from pathlib import Path
from typing import Literal

from pilotage_client.place import runtime_dir, state_dir
from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

SYSTEM_FILE = Path("/etc/pilotage/coordinator.toml")


class CoordinatorConfig(BaseSettings):
    """Where a coordinator keeps its state and where it listens. Unknown keys are refused."""

    model_config = SettingsConfigDict(env_prefix="PILOTAGE_", extra="forbid", frozen=True)

    state_dir: Path = Field(default_factory=state_dir)
    """Database, keys and logs; made with mode 0700."""
    socket: Path = Field(default_factory=lambda: runtime_dir() / "coordinator.sock")
    """The unix socket of the HTTP API, mode 0600, in a folder of mode 0700."""
    fleet_listen: str = "127.0.0.1:7443"
    """host:port for agents (mutual TLS). Port 0 takes any free one."""
    enrol_listen: str = "127.0.0.1:7444"
    """host:port where new hosts join (TLS)."""
    advertise: str = ""
    """The name or address under which other machines reach this one; empty = the host part of `enrol_listen`."""
    history_days: int = Field(default=400, ge=0)
    """How long executions that are over are kept, with their logs; 0 = for ever. The audit log is always kept."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, strongest first."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())


def config_file() -> Path:
    """Return the settings file: `$PILOTAGE_CONFIG`, else of the system for root, else of the user."""
    chosen = os.environ.get("PILOTAGE_CONFIG")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return SYSTEM_FILE
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "pilotage" / "coordinator.toml"
