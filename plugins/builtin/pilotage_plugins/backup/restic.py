"""The program restic: opening a repository, running one of its commands, waiting for locks."""

import json
import re
import socket
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from pilotage_plugin_api import (
    Availability,
    InfrastructureFailed,
    ProgramResult,
    StepCancelled,
    StepContext,
    StepFailed,
    StepType,
    Stream,
    TargetFailed,
)
from pilotage_plugin_api.program import CancelSignal
from pydantic import BaseModel

from pilotage_plugins.backup.errors import failure, is_locked
from pilotage_plugins.backup.locks import Lock, process_lives, read_lock, removable, still_locked
from pilotage_plugins.backup.outage import Outage
from pilotage_plugins.backup.repository import RepositoryParams, cache_arguments, masked
from pilotage_plugins.backup.signals import EitherSignal

OLDEST_RESTIC: Final = (0, 14)
LOCK_POLL_SECONDS: Final = 2.0
LOCKS_READ: Final = 20
_LOCK_ID: Final = re.compile(rb"^[0-9a-f]{64}$", re.MULTILINE)
_VERSION: Final = re.compile(r"restic (\d+)\.(\d+)(?:\.(\d+))?")

Argument = str | bytes
ParamsT = TypeVar("ParamsT", bound=BaseModel)
OutputsT = TypeVar("OutputsT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Restic:
    """An opened repository: every call runs restic once, and again only while a lock is in the way."""

    ctx: StepContext
    params: RepositoryParams
    options: Sequence[str]
    env: Mapping[str, str]
    fds: Sequence[int]

    async def run(
        self,
        what: str,
        *arguments: Argument,
        accept: Sequence[int] = (0,),
        on_line: Callable[[bytes], None] | None = None,
        on_error_line: Callable[[bytes], None] | None = None,
        stdin: Callable[[], AsyncIterable[bytes]] | None = None,
        stdout_to: int | None = None,
    ) -> ProgramResult:
        """Run a command; `what` names it in errors. Raises the StepError that the failure means."""
        result = await self.attempt(
            *arguments, on_line=on_line, on_error_line=on_error_line, stdin=stdin, stdout_to=stdout_to
        )
        if result.exit_code not in accept:
            raise failure(result, what, self.params.repository)
        return result

    async def attempt(
        self,
        *arguments: Argument,
        on_line: Callable[[bytes], None] | None = None,
        on_error_line: Callable[[bytes], None] | None = None,
        stdin: Callable[[], AsyncIterable[bytes]] | None = None,
        stdout_to: int | None = None,
    ) -> ProgramResult:
        """Run a command and return how it ended, whatever its exit code.

        When a lock is in the way, it is removed if it may be (see `locks`), and the command is tried again until
        `lock_wait` has passed; then InfrastructureFailed names the holder. It also tells of a repository that went
        away in the middle and did not come back within `outage_wait`.
        """
        started = self.ctx.clock()
        while True:
            result = await self._while_reachable(
                *arguments, on_line=on_line, on_error_line=on_error_line, stdin=stdin, stdout_to=stdout_to
            )
            if not is_locked(result):
                return result
            if await self.remove_dead_locks():
                continue
            waited = self.ctx.clock() - started
            if waited >= self.params.lock_wait.total_seconds():
                raise still_locked(self.params.repository, await self._locks(), self.params.unlock, waited)
            self.ctx.log("the repository is locked; waiting")
            await self.ctx.sleep(LOCK_POLL_SECONDS)

    async def _while_reachable(
        self,
        *arguments: Argument,
        on_line: Callable[[bytes], None] | None,
        on_error_line: Callable[[bytes], None] | None,
        stdin: Callable[[], AsyncIterable[bytes]] | None,
        stdout_to: int | None,
    ) -> ProgramResult:
        outage = Outage(self.ctx.clock, self.params.outage_wait.total_seconds())

        def listen(line: bytes) -> None:
            outage.note(line)
            if on_error_line is not None:
                on_error_line(line)
            else:
                self.ctx.log(line.decode("utf-8", "backslashreplace"), Stream.STDERR)

        stoppable = self.stopped_by(EitherSignal(self.ctx.cancel, outage.over))
        try:
            return await stoppable._start(
                *arguments, on_line=on_line, on_error_line=listen, stdin=stdin, stdout_to=stdout_to
            )
        except StepCancelled:
            if not outage.over.is_set() or self.ctx.cancel.is_set():
                raise
        seconds = self.params.outage_wait.total_seconds()
        raise InfrastructureFailed(
            f"the repository {masked(self.params.repository)} went away, and did not come back for {seconds:g} s."
            " Try again when it can be reached; nothing of what was stored is lost."
            f" restic said: {masked(outage.reason)}"
        )

    async def version(self) -> tuple[int, int]:
        """Return the program's version; (0, 0) when it does not say."""
        said = await self.ctx.program(["restic", "version"], on_stdout=lambda _line: None)
        found = read_version(said.stdout)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    async def remove_dead_locks(self) -> bool:
        """Remove the locks that may be removed; returns whether there were any."""
        locks = await self._locks()
        allowed, why = removable(locks, self.params.unlock, socket.gethostname(), process_lives, datetime.now(UTC))
        self.ctx.log(f"locks in the repository: {len(locks)}; {why}")
        if not allowed:
            return False
        result = await self._start("unlock")
        return result.exit_code == 0 and len(await self._locks()) < len(locks)

    async def _locks(self) -> list[Lock]:
        """Return the locks there are; one that goes away meanwhile, or cannot be read, is left out."""
        listed = await self._start("list", "locks", "--no-lock", on_line=lambda _line: None)
        locks = []
        for name in _LOCK_ID.findall(listed.stdout)[:LOCKS_READ]:
            shown = await self._start("cat", "lock", name, "--no-lock", on_line=lambda _line: None)
            try:
                locks.append(read_lock(json.loads(shown.stdout)))
            except (ValueError, KeyError, TypeError):
                continue
        return locks

    def limited(self, seconds: float) -> "Restic":
        """Return the same repository, whose commands take at most so long (DeadlineExceeded)."""
        return replace(self, ctx=self.ctx.within(seconds))

    def stopped_by(self, cancel: CancelSignal) -> "Restic":
        """Return the same repository whose commands end when this signal is set, too."""
        return replace(self, ctx=replace(self.ctx, cancel=cancel))

    async def json_file(self, what: str, *arguments: Argument, name: str) -> Path:
        """Run a command with --json and return the file in the scratch folder that holds what it printed."""
        path = self.ctx.scratch / name
        with path.open("wb") as out:
            await self.run(what, "--json", *arguments, stdout_to=out.fileno())
        return path

    async def json(self, what: str, *arguments: Argument, silence: Any = None) -> Any:
        """Run a command with --json and return the one value that it printed; `silence` is what nothing at all means,
        None when it means nothing good."""
        path = await self.json_file(what, *arguments, name="answer.json")
        try:
            content = path.read_bytes()
            return silence if silence is not None and not content.strip() else json.loads(content)
        except ValueError as error:
            raise StepFailed(f"{what}: restic printed no JSON: {error}") from error
        finally:
            path.unlink()

    async def _start(
        self,
        *arguments: Argument,
        on_line: Callable[[bytes], None] | None = None,
        on_error_line: Callable[[bytes], None] | None = None,
        stdin: Callable[[], AsyncIterable[bytes]] | None = None,
        stdout_to: int | None = None,
    ) -> ProgramResult:
        return await self.ctx.program(
            ["restic", *self.options, *arguments],
            env=self.env,
            pass_fds=self.fds,
            on_stdout=on_line,
            on_stderr=on_error_line,
            stdin=stdin() if stdin else None,
            stdout_to=stdout_to,
        )


@asynccontextmanager
async def open_repository(
    ctx: StepContext, params: RepositoryParams, *, looking: bool = False
) -> AsyncIterator[Restic]:
    """Prepare what restic needs to open the repository; secrets stay in memory files and its environment.

    `looking`: nothing may change anywhere, so no lock is made, waited for or removed, and no cache is written.
    """
    async with AsyncExitStack() as stack:
        password = await stack.enter_async_context(ctx.secret_file(params.password))
        fds = [password.fd]
        options = ["--password-file", password.path]
        options += ["--no-lock", "--no-cache"] if looking else cache_arguments(params)
        if params.address_secret:
            address = await stack.enter_async_context(ctx.secret_file(params.address_secret))
            fds.append(address.fd)
            options += ["--repository-file", address.path]
        else:
            options += ["--repo", params.repository]
        env = {"RESTIC_PROGRESS_FPS": "2", "TMPDIR": str(ctx.scratch), **params.backend}
        for variable, ref in params.backend_secrets.items():
            env[variable] = (await ctx.secret(ref)).decode()
        yield Restic(ctx, params, options, env, fds)


def read_version(said: bytes) -> "re.Match[str] | None":
    """Find the version in what `restic version` says: its groups are major, minor and patch."""
    return _VERSION.search(said.decode("utf-8", "replace"))


class ResticStepType(StepType[ParamsT, OutputsT]):
    """What every verb shares: it needs restic on the host."""

    async def available(self, ctx: StepContext) -> Availability:
        """Look for restic and its version."""
        try:
            result = await ctx.program(["restic", "version"])
        except TargetFailed:
            return Availability(available=False, reason="restic is not installed: apt-get install restic")
        found = read_version(result.stdout)
        if not found:
            return Availability(available=False, reason=f"`restic version` ended with {result.ending}")
        if (int(found[1]), int(found[2])) < OLDEST_RESTIC:
            wanted = ".".join(map(str, OLDEST_RESTIC))
            return Availability(available=False, reason=f"{found[0]} is too old: {wanted} or newer is needed")
        return Availability(available=True, details={"restic": found[0].removeprefix("restic ")})
