"""A unit of the host's systemd, asked and told through `systemctl`."""

import asyncio
import shutil
from pathlib import Path
from typing import Annotated, Final

from pilotage_plugin_api import (
    Availability,
    ProgramResult,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
    TargetFailed,
)
from pydantic import AfterValidator, Field

RUNNING: Final = frozenset({"active", "reloading"})
_BOOTED: Final = Path("/run/systemd/system")
_SUFFIXES: Final = (
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".scope",
)
_PROPERTIES: Final = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "InvocationID",
    "MainPID",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "NeedDaemonReload",
)


def full_name(name: str) -> str:
    """Return the name with its kind, `.service` when none is written, as systemctl reads it."""
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


UnitName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*$", max_length=255),
    AfterValidator(full_name),
]


class UnitParams(StepParams):
    """Which unit."""

    unit: UnitName = Field(description="The unit: nginx, nginx.service, backup.timer")


class UnitState(StepOutputs):
    """What systemd says of a unit: `active` is its ActiveState, `sub` its SubState, `enabled` its UnitFileState
    (empty where it has none). `invocation` changes with every start."""

    active: str
    sub: str
    enabled: str
    invocation: str = ""
    result: str = ""
    exit_status: int = 0
    restarts: int = 0
    stale: bool = Field(False, description="Its files changed on the disk since systemd read them")

    @property
    def running(self) -> bool:
        """Whether it is up."""
        return self.active in RUNNING


async def availability() -> Availability:
    """Say whether this host is run by systemd."""
    if shutil.which("systemctl") is None:
        return Availability(available=False, reason="there is no systemctl on this host: it is not run by systemd")
    if not _BOOTED.is_dir():
        return Availability(available=False, reason="systemd does not run this host (it was not booted by it)")
    return Availability(available=True)


async def look(ctx: StepContext, unit: str) -> UnitState:
    """Return the unit's state; raises TargetFailed when the host has no such unit, or it is masked."""
    result = await systemctl(ctx, "show", f"--property={','.join(_PROPERTIES)}", "--", unit, quiet=True)
    if result.exit_code != 0:
        raise _failure(f"cannot look at {unit}", result)
    found = dict(line.partition("=")[::2] for line in result.stdout.decode("utf-8", "replace").splitlines())
    load = found.get("LoadState", "")
    if load == "not-found":
        raise TargetFailed(f"there is no unit {unit} on this host: install what brings it first")
    if load == "masked":
        raise TargetFailed(f"{unit} is masked on this host: systemctl unmask {unit}, if it should ever run")
    if load not in ("loaded", "merged"):
        raise TargetFailed(f"{unit} cannot be loaded ({load}): systemd-analyze verify {unit} says why")
    return UnitState(
        active=found.get("ActiveState", ""),
        sub=found.get("SubState", ""),
        enabled=found.get("UnitFileState", ""),
        invocation=found.get("InvocationID", ""),
        result=found.get("Result", ""),
        exit_status=int(found.get("ExecMainStatus") or 0),
        restarts=int(found.get("NRestarts") or 0),
        stale=found.get("NeedDaemonReload") == "yes",
    )


async def tell(ctx: StepContext, *argv: str, unit: str, lines: int = 20) -> None:
    """Have systemctl do something to a unit, and wait for it; a failure ends with the last lines of its journal."""
    result = await systemctl(ctx, *argv, "--", unit)
    if result.exit_code != 0:
        raise _failure(f"systemctl {argv[0]} {unit} failed", result, await journal(ctx, unit, lines))


async def systemctl(ctx: StepContext, *argv: str, quiet: bool = False) -> ProgramResult:
    """Run systemctl; `quiet` keeps its output out of the log."""
    command = ("systemctl", "--no-ask-password", "--no-pager", *argv)
    return await (ctx.program(command, on_stdout=_nowhere, on_stderr=_nowhere) if quiet else ctx.program(command))


async def journal(ctx: StepContext, unit: str, lines: int) -> list[str]:
    """Return the last lines of the unit's journal; none where there is no journal to read."""
    if lines == 0 or await asyncio.to_thread(shutil.which, "journalctl") is None:
        return []
    result = await ctx.program(
        ("journalctl", "--no-pager", "--output=short-iso", f"--lines={lines}", f"--unit={unit}"),
        on_stdout=_nowhere,
        on_stderr=_nowhere,
    )
    said = result.stdout.decode("utf-8", "replace").splitlines() if result.exit_code == 0 else []
    return [line[:1000] for line in said if not line.startswith("-- ")]


def failed_unit(unit: str, state: UnitState, said: list[str]) -> StepFailed:
    """Return the error for a unit that is not up as it should be, with its last words."""
    why = f"{state.active} ({state.sub}), result {state.result}, exit status {state.exit_status}"
    return StepFailed(f"{unit} is {why}; the end of its journal: {_quoted(said)}")


def _failure(what: str, result: ProgramResult, said: list[str] | None = None) -> Exception:
    words = (result.stderr or result.stdout)[-2000:].decode("utf-8", "replace").strip()
    if "not been booted with systemd" in words or "Failed to connect to bus" in words:
        return TargetFailed(f"{what}: systemd does not answer on this host: {words}")
    if "Interactive authentication required" in words or "Access denied" in words:
        return TargetFailed(f"{what}: the agent may not do that: {words}")
    tail = f"; the end of its journal: {_quoted(said)}" if said else ""
    return StepFailed(f"{what}: {words}{tail}")


def _quoted(said: list[str]) -> str:
    return " | ".join(said)[-3000:] or "(empty)"


def _nowhere(line: bytes) -> None:
    """Take a line that is not news."""
