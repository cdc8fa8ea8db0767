"""The agent as a systemd service: a hardened unit, written, started, and taken away again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pilotage_agent.errors import InstallFailed

UNIT: Final = "pilotage-agent.service"
UNIT_FILE: Final = Path("/etc/systemd/system") / UNIT
_START_SECONDS: Final = 90.0


def unit_text(python: str, state_dir: Path, config: Path | None) -> str:
    """Return the unit. It keeps an agent's workers alive over a restart of the agent (KillMode=process) and hardens
    only what no step needs: steps are there to change this host, so its file systems stay writable."""
    argv = [python, "-m", "pilotage_agent", "--state-dir", str(state_dir)]
    if config is not None:
        argv += ["--config", str(config)]
    command = " ".join(_quoted(part) for part in argv)
    return f"""\
[Unit]
Description=Pilotage agent
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
WatchdogSec=60
TimeoutStartSec=90
TimeoutStopSec=20
# Running steps survive a stop or restart of the agent; the next start takes them up again.
KillMode=process
SendSIGKILL=no
UMask=0077
LimitCORE=0
TasksMax=16384
OOMPolicy=continue
OOMScoreAdjust=-500
Delegate=yes
LockPersonality=yes
RestrictRealtime=yes
ProtectClock=yes
ProtectKernelLogs=yes
ProtectHostname=yes
KeyringMode=private
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET

[Install]
WantedBy=multi-user.target
"""


def install(unit: str) -> None:
    """Write the unit, enable it and wait until it says that it is ready; raises InstallFailed."""
    _check_machine()
    try:
        UNIT_FILE.write_text(unit, encoding="utf-8")
        UNIT_FILE.chmod(0o644)
    except OSError as error:
        raise InstallFailed(f"{UNIT_FILE} cannot be written: {error.strerror}") from error
    _systemctl("daemon-reload")
    _systemctl("enable", UNIT)
    _systemctl("restart", UNIT)


def uninstall() -> None:
    """Stop the service and take its unit away; the state folder stays. Raises InstallFailed."""
    _check_machine()
    if not UNIT_FILE.exists():
        raise InstallFailed(f"{UNIT} is not installed on this machine")
    _systemctl("disable", "--now", UNIT)
    UNIT_FILE.unlink(missing_ok=True)
    _systemctl("daemon-reload")


def is_running() -> bool:
    """Whether systemd runs the service now."""
    if shutil.which("systemctl") is None:
        return False
    asked = subprocess.run(
        ["systemctl", "is-active", "--quiet", UNIT], check=False, timeout=_START_SECONDS, capture_output=True
    )
    return asked.returncode == 0


def python_of_this_install() -> str:
    """Return the interpreter that runs this very installation."""
    return sys.executable


def _check_machine() -> None:
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        raise InstallFailed("systemd does not run this machine: start pilotage-agent run with your own supervisor")
    if os.geteuid() != 0:
        raise InstallFailed("a system service can only be installed by root: use sudo")


def _systemctl(*arguments: str) -> None:
    argv: Sequence[str] = ["systemctl", *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_START_SECONDS)
    except subprocess.TimeoutExpired:
        raise InstallFailed(f"{' '.join(argv)} did not end in time: look at journalctl -u {UNIT}") from None
    if done.returncode:
        raise InstallFailed(f"{' '.join(argv)} failed: {done.stderr.strip()} (journalctl -u {UNIT} says more)")


def _quoted(part: str) -> str:
    """Quote for ExecStart, where % and $ mean something."""
    part = part.replace("%", "%%").replace("$", "$$")
    return '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' if set(part) & set(" \t\"'\\;") else part
