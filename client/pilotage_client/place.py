"""Where a coordinator lives on this machine: system folders for root, XDG folders for everybody else."""

import os
from pathlib import Path


def state_dir() -> Path:
    """Return the folder of the coordinator's state: `$PILOTAGE_STATE_DIR`, else /var/lib/pilotage or XDG."""
    chosen = os.environ.get("PILOTAGE_STATE_DIR")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/pilotage")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "pilotage"


def runtime_dir() -> Path:
    """Return the folder of the socket: beside a chosen state folder, else /run/pilotage or XDG."""
    chosen = os.environ.get("PILOTAGE_STATE_DIR")
    if chosen:
        return Path(chosen) / "run"
    if os.geteuid() == 0:
        return Path("/run/pilotage")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "pilotage" if runtime else state_dir() / "run"


def config_dir() -> Path:
    """Return the folder of a person's own settings and keys, root's included: XDG."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "pilotage"


def socket_path() -> Path:
    """Return the coordinator's socket: `$PILOTAGE_SOCKET`, else in the runtime folder."""
    chosen = os.environ.get("PILOTAGE_SOCKET")
    return Path(chosen) if chosen else runtime_dir() / "coordinator.sock"
