"""What a step is given for one attempt: logs, progress, secrets, programs, a scratch folder, and when to stop."""

import asyncio
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from pilotage_plugin_api.errors import DeadlineExceeded, Refused, StepCancelled
from pilotage_plugin_api.program import CancelSignal, Command, ProgramResult, run_program
from pilotage_plugin_api.values import SecretRef

PLAIN_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
}
"""What every program gets unless the step says otherwise: the same on every host, and nothing of the agent's own."""


class Stream(StrEnum):
    """Where a log line comes from."""

    STEP = "step"
    STDOUT = "stdout"
    STDERR = "stderr"


class Reporter(Protocol):
    """Port: where log lines and progress go. Calls return at once and never raise."""

    def log(self, stream: Stream, text: str) -> None:
        """Take one line, without its end; the receiver bounds and redacts."""

    def progress(self, fraction: float | None, text: str) -> None:
        """Take the newest progress: a fraction between 0 and 1, or None when it is not known."""


class Secrets(Protocol):
    """Port: the secrets that this attempt was granted."""

    async def resolve(self, name: str) -> bytes:
        """Return the content of the secret; raises Refused, naming it, when the attempt was not granted it."""


class Invoker(Protocol):
    """Port: runs another step type inside this attempt."""

    async def __call__(self, ctx: "StepContext", name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Validate, run and return the outputs as JSON; raises Refused for any effect but `read`."""


async def refuse_to_invoke(ctx: "StepContext", name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Be the Invoker of a context in which no other step type can be run."""
    raise Refused(f"{name} cannot be run from inside another step here")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret as a file in memory, for a program that wants a path. Give it `pass_fds=[file.fd]` and `file.path`."""

    path: str
    fd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """One attempt, seen from inside. Made by the agent's worker, or by the test harness.

    `attempt_key`: one line, unique for each attempt, ending in `/NUMBER`; the key that `probe` gets later.
    `host`: the host's name in the inventory. `facts`: what is known of it, JSON values.
    `scratch`: an empty folder of this attempt's own, mode 0700, removed afterwards.
    `deadline`: on the scale of `clock`, seconds; None for none.
    """

    attempt_key: str
    host: str
    scratch: Path
    reporter: Reporter
    secrets: Secrets
    cancel: CancelSignal
    deadline: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(PLAIN_ENVIRONMENT))
    invoker: Invoker = refuse_to_invoke
    clock: Callable[[], float] = time.monotonic

    @property
    def step_run(self) -> str:
        """The key without the number of the attempt: the same for every attempt of one step on one host and item."""
        return self.attempt_key.rpartition("/")[0] or self.attempt_key

    def log(self, text: str, stream: Stream = Stream.STEP) -> None:
        """Write to the attempt's log, line by line. Never write a secret: what is redacted later is luck."""
        for line in text.splitlines() or [""]:
            self.reporter.log(stream, line)

    def progress(self, fraction: float | None, text: str = "") -> None:
        """Report how far the attempt is: 0 to 1, or None when it cannot be known. As often as you like."""
        self.reporter.progress(None if fraction is None else min(1.0, max(0.0, fraction)), text)

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, never below 0; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - self.clock())

    def checkpoint(self) -> None:
        """Raise StepCancelled or DeadlineExceeded when the attempt should stop; for loops that never await."""
        if self.cancel.is_set():
            raise StepCancelled("the attempt was cancelled")
        if self.remaining() == 0.0:
            raise DeadlineExceeded("the attempt's deadline has passed")

    async def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until cancellation or the deadline, which raise as in `checkpoint`."""
        left = self.remaining()
        pause = seconds if left is None else min(seconds, left)
        try:
            await asyncio.wait_for(self.cancel.wait(), pause)
        except TimeoutError:
            if pause < seconds:
                raise DeadlineExceeded("the attempt's deadline has passed") from None
        self.checkpoint()

    async def secret(self, ref: SecretRef) -> bytes:
        """Return the content of a secret. Keep it short-lived; never log it, return it or put it into argv."""
        return await self.secrets.resolve(ref.name)

    @asynccontextmanager
    async def secret_file(self, ref: SecretRef) -> AsyncIterator[SecretFile]:
        """Give a secret as a file that lives in memory only, so that not even a power cut leaves it on a disk."""
        content = await self.secrets.resolve(ref.name)
        handle = os.memfd_create("pilotage-secret", os.MFD_CLOEXEC)
        try:
            os.fchmod(handle, 0o400)
            os.write(handle, content)
            os.lseek(handle, 0, os.SEEK_SET)
            yield SecretFile(path=f"/proc/self/fd/{handle}", fd=handle)
        finally:
            os.close(handle)

    async def program(
        self,
        argv: Sequence[str | bytes | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes | AsyncIterable[bytes] | int | None = None,
        stdout_to: int | None = None,
        pass_fds: Sequence[int] = (),
        on_stdout: Callable[[bytes], None] | None = None,
        on_stderr: Callable[[bytes], None] | None = None,
        deadline: float | None = None,
    ) -> ProgramResult:
        """Run a program (see `program.run_program`); its lines go to the log unless a callback takes them.

        `env` is added to `environment`. `deadline`, on the clock's scale, may only shorten the attempt's own.
        """
        command = Command(
            argv=argv,
            env={**self.environment, **(env or {})},
            cwd=cwd or self.scratch,
            stdin=stdin,
            stdout_to=stdout_to,
            pass_fds=pass_fds,
            on_stdout=on_stdout or self._log_lines(Stream.STDOUT),
            on_stderr=on_stderr or self._log_lines(Stream.STDERR),
        )
        deadlines = [moment for moment in (deadline, self.deadline) if moment is not None]
        return await run_program(command, self.cancel, min(deadlines, default=None))

    async def invoke(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run another step type of effect `read` within this attempt, and return its outputs as JSON."""
        return await self.invoker(self, name, params)

    def within(self, seconds: float) -> "StepContext":
        """Return the same context with a deadline at most this many seconds away."""
        moment = self.clock() + seconds
        return replace(self, deadline=moment if self.deadline is None else min(moment, self.deadline))

    def _log_lines(self, stream: Stream) -> Callable[[bytes], None]:
        return lambda line: self.log(line.decode("utf-8", "backslashreplace"), stream)
