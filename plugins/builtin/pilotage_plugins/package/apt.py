"""Debian's package programs, called so that they never ask, never wait for ever, and fail in the right kind."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pilotage_plugin_api import (
    InfrastructureFailed,
    ProgramResult,
    StepContext,
    StepError,
    StepFailed,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.package.system import Conffiles

ENVIRONMENT: Final[Mapping[str, str]] = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "NEEDRESTART_SUSPEND": "1",
}
"""Nothing asks, shows pages, or restarts services behind our back."""

PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]*(:[a-z0-9-]+)?$", max_length=200)]
PackageRequest = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]*(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?$", max_length=300)
]

_FRESH: Final = ("Dir::Cache::pkgcache=",)
"""apt takes its cache of what is installed for good when dpkg's status has the same size and the same second as before,
so it misses what was changed twice within a second. Without that cache it reads the status each time."""

LOOKING: Final = ("Debug::NoLocking=1", "Dir::Cache::srcpkgcache=")
"""The settings for a call that reads the host's lists and writes nothing, not even a cache."""

_HOOKLESS: Final = Path(__file__).with_name("hookless.conf")
"""As a file of its own, since only a file can clear a list, and only one given by `-c` is read after the host's."""

LOCKED: Final = "Could not get lock"
_EVERY: Final = 0.5
_MAY_HEAL: Final = (
    LOCKED,
    "frontend lock was locked",
    "status database area is locked",
    "Failed to fetch",
    "Temporary failure resolving",
    "Could not resolve",
    "Could not connect",
    "Connection timed out",
    "Unable to fetch some archives",
    "Some index files failed to download",
    "No space left on device",
    "enough free space",
)
_NOT_THERE: Final = (
    "Unable to locate package",
    "was not found",
    "has no installation candidate",
    "are you root",
    "not going to be installed",
    "held packages were changed",
    "you have held broken packages",
)


@dataclass(frozen=True, slots=True)
class Apt:
    """The programs as one attempt calls them. `options` go to every call of apt (`-o` settings). With `hooks`, apt
    runs those of the host, such as APT::Update::Post-Invoke. `lock_wait`, in seconds, is for locks of other programs.
    """

    ctx: StepContext
    options: tuple[str, ...] = ()
    hooks: bool = False
    lock_wait: float = 0.0

    async def get(
        self,
        *argv: str,
        pass_fds: Sequence[int] = (),
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> ProgramResult:
        """Run `apt-get`; raises in the kind of what it says went wrong.

        apt itself waits for dpkg's lock, but never for those of its lists and its archives; it takes these before it
        changes anything, so it is run again until `lock_wait` has passed.
        """
        command = ("apt-get", "-q", *self._flags(), *argv)
        give_up = time.monotonic() + self.lock_wait
        while True:
            result = await self.ctx.program(command, env=ENVIRONMENT, pass_fds=pass_fds, on_stdout=on_stdout)
            if result.exit_code == 0:
                return result
            error = failure("apt-get", result)
            if not isinstance(error, InfrastructureFailed) or LOCKED not in str(error) or time.monotonic() >= give_up:
                raise error
            await self.ctx.sleep(_EVERY)

    async def quiet(self, *argv: str, tolerate: bool = False, env: Mapping[str, str] | None = None) -> str:
        """Run a program that only tells something, and return what it told, however long it is."""
        lines: list[bytes] = []
        result = await self.ctx.program(
            argv, env={**ENVIRONMENT, **(env or {})}, on_stdout=lines.append, on_stderr=_nowhere
        )
        if result.exit_code != 0 and not tolerate:
            raise failure(argv[0], result)
        return b"\n".join(lines).decode("utf-8", "replace")

    async def mark(self, *argv: str, env: Mapping[str, str] | None = None) -> str:
        """Run `apt-mark` and return what it told."""
        return await self.quiet("apt-mark", *self._flags(), *argv, env=env)

    async def cache(self, *argv: str) -> str:
        """Run `apt-cache` and return what it told; names that it does not know are left out."""
        return await self.quiet("apt-cache", *self._flags(), *argv, tolerate=True)

    async def policy(self, *packages: str) -> str:
        """Return what apt tells of the versions of these installed packages; without any, of its archives."""
        return await self.quiet("apt-cache", *self._flags(), "policy", *packages)

    @property
    def dpkg_flags(self) -> list[str]:
        """What the settings say to dpkg about conffiles, for a call that does not go through apt; keep, unless said."""
        prefix = "Dpkg::Options::="
        flags = [option.removeprefix(prefix) for option in self.options if option.startswith(prefix)]
        return flags or ["--force-confdef", "--force-confold"]

    def _flags(self) -> list[str]:
        without = () if self.hooks else ("-c", str(_HOOKLESS))
        return [*without, *(part for option in (*_FRESH, *self.options) for part in ("-o", option))]


def failure(program: str, result: ProgramResult) -> StepError:
    """Return the error for a package program that failed, with its last words and the cure where we know one."""
    said = (result.stderr + b"\n" + result.stdout).decode("utf-8", "replace")
    # That it waited for a lock is not why it failed.
    told = re.sub(r"^Waiting for cache lock: .*$", "", said, flags=re.MULTILINE)
    complaints = [line for line in told.splitlines() if re.match(r"(E|dpkg|Err)\b.*:", line)]
    words = " | ".join(complaints[:12]) or told[-1500:].strip()
    text = f"{program} ended with {result.ending}: {words[:2500]}"
    if "dpkg was interrupted" in told:
        return TargetFailed(f"{text}. An earlier run was cut off: package.repair finishes it")
    if any(sign in told for sign in _MAY_HEAL):
        return InfrastructureFailed(text)
    if any(sign in told for sign in _NOT_THERE):
        return TargetFailed(text)
    if broken := re.findall(r"^dpkg: error processing (?:package|archive) (\S+)", told, re.MULTILINE):
        text = f"{text}. The scripts of {', '.join(sorted(set(broken)))} failed; once cured, package.repair finishes it"
    return StepFailed(text)


def at_work(lock_wait: float, conffiles: Conffiles = Conffiles.KEEP) -> tuple[str, ...]:
    """Return the settings for a call that changes packages: how long it waits for the lock, and about conffiles."""
    # dpkg's own default is to keep what was changed here, so confdef may stand only beside confold.
    force = ("confnew",) if conffiles is Conffiles.REPLACE else ("confdef", "confold")
    return (
        f"DPkg::Lock::Timeout={max(0, round(lock_wait))}",
        "Dpkg::Use-Pty=0",
        *(f"Dpkg::Options::=--force-{answer}" for answer in force),
    )


def beside(scratch: Path) -> tuple[str, ...]:
    """Return the settings under which lists are fetched into and read from a folder of ours, not the host's."""
    for name in ("lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    return (
        f"Dir::State::lists={scratch}/lists",
        f"Dir::Cache={scratch}/cache",
        "APT::Sandbox::User=root",
        "Debug::NoLocking=1",
    )


def _nowhere(line: bytes) -> None:
    """Take a line that is not news."""
