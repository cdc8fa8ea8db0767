"""Running a program: an argument list, never a shell; output streamed in bounded lines; nothing left behind."""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pilotage_plugin_api.errors import DeadlineExceeded, StepCancelled, StepFailed, TargetFailed
from pilotage_plugin_api.output import OutputReader
from pilotage_plugin_api.process_group import GONE_WITHIN_SECONDS, kill_session, signal_group, wait_until_gone

TERM_GRACE_SECONDS: Final = 5.0
"""How long a program may take to end after SIGTERM before its group gets SIGKILL."""

LINE_LIMIT: Final = 64 * 1024
"""Bytes of one line of output. More than an agent's log keeps, so that a secret at the place where the log cuts is
still seen whole and taken out."""
TAIL_LIMIT: Final = 64 * 1024
EOF_GRACE_SECONDS: Final = 2.0


class CancelSignal(Protocol):
    """What says that the attempt should stop: an `asyncio.Event`, or something that looks like one."""

    def is_set(self) -> bool:
        """Whether cancellation was asked."""

    async def wait(self) -> object:
        """Return once cancellation was asked."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run.

    `argv[0]` is looked up in the PATH of `env`. `env` is the whole environment: nothing is inherited.
    `stdin` is nothing (reads end at once), bytes, an async stream of bytes, or an open file descriptor.
    `stdout_to` sends standard output to that descriptor instead of reading it (for data).
    Descriptors in `pass_fds` stay open in the program, under the same numbers.
    `on_stdout` and `on_stderr` get each line without its end, cut at `line_limit` bytes with a note of what was cut.
    """

    argv: Sequence[str | bytes | os.PathLike[str]]
    env: Mapping[str, str]
    cwd: Path | None = None
    stdin: bytes | AsyncIterable[bytes] | int | None = None
    stdout_to: int | None = None
    pass_fds: Sequence[int] = ()
    on_stdout: Callable[[bytes], None] | None = None
    on_stderr: Callable[[bytes], None] | None = None
    line_limit: int = LINE_LIMIT
    tail_limit: int = TAIL_LIMIT
    term_grace: float = TERM_GRACE_SECONDS

    @property
    def name(self) -> str:
        """The program's name for messages; the other arguments are left out, as they may be long or private."""
        return Path(os.fsdecode(self.argv[0])).name


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How a program ended. `exit_code` is negative, -N, when signal N ended it, as in `subprocess`.

    The tails are the last `tail_limit` bytes of each stream; the byte counts are of the whole streams.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    stdout_bytes: int
    stderr_bytes: int
    seconds: float

    @property
    def stdout_cut(self) -> bool:
        """Whether `stdout` is only the end of what was written."""
        return self.stdout_bytes > len(self.stdout)

    @property
    def ending(self) -> str:
        """How it ended, for messages: `exit code 3` or `SIGKILL`."""
        if self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-self.exit_code).name
        return f"signal {-self.exit_code}"


async def run_program(command: Command, cancel: CancelSignal, deadline: float | None) -> ProgramResult:
    """Run a program to its end and return how it ended, whatever its exit code.

    It leads its own session. When it ends, what it left behind in its group is killed too: nothing outlives the call.
    `deadline` is on `time.monotonic`'s scale. Raises StepCancelled and DeadlineExceeded after SIGTERM, `term_grace`
    and SIGKILL to the whole group; TargetFailed when the program is not there or cannot be started. On any exception,
    `asyncio.CancelledError` included, the group is killed before it passes on.
    """
    _check(command)
    if cancel.is_set():
        raise StepCancelled(f"cancelled before {command.name} was started")
    started = time.monotonic()
    process = _spawn(command)
    exited = _ExitWatch(process.pid)
    readers = {
        "stdout": OutputReader(process.stdout, command.on_stdout, command.line_limit, command.tail_limit),
        "stderr": OutputReader(process.stderr, command.on_stderr, command.line_limit, command.tail_limit),
    }
    tasks = [asyncio.create_task(reader.read_to_end()) for reader in readers.values()]
    tasks.append(asyncio.create_task(_feed(process, command.stdin)))
    stopped = True
    try:
        await _wait_for_exit(command, exited, tasks, cancel, deadline)
        stopped = False
    except BaseException:
        await _terminate(process.pid, exited, command.term_grace)
        raise
    finally:
        await _end(command, process, exited, tasks, stopped=stopped)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error
    return ProgramResult(
        exit_code=process.returncode,
        stdout=readers["stdout"].tail,
        stderr=readers["stderr"].tail,
        stdout_bytes=readers["stdout"].total,
        stderr_bytes=readers["stderr"].total,
        seconds=time.monotonic() - started,
    )


def _check(command: Command) -> None:
    """Refuse what no program can be started with, before anything happens."""
    if isinstance(command.argv, str | bytes) or not command.argv:
        raise ValueError("argv must be a list of arguments, with the program first; a command line is never parsed")
    for text in [*command.argv, *command.env, *command.env.values()]:
        if b"\0" in os.fsencode(text):
            raise StepFailed(f"an argument of {command.name} holds a NUL byte, which no program can receive")


def _spawn(command: Command) -> subprocess.Popen[bytes]:
    """Start the program: new session, no inherited descriptors, no preexec_fn (it crashes beside gRPC threads)."""
    stdin: int = subprocess.PIPE
    if command.stdin is None:
        stdin = subprocess.DEVNULL
    elif isinstance(command.stdin, int):
        stdin = command.stdin
    try:
        return subprocess.Popen(
            list(command.argv),
            env=dict(command.env),
            cwd=command.cwd,
            stdin=stdin,
            stdout=subprocess.PIPE if command.stdout_to is None else command.stdout_to,
            stderr=subprocess.PIPE,
            pass_fds=tuple(command.pass_fds),
            start_new_session=True,
        )
    except OSError as error:
        if command.cwd is not None and not command.cwd.is_dir():
            raise TargetFailed(f"cannot run {command.name}: there is no folder {str(command.cwd)!r}") from error
        if isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
            raise TargetFailed(
                f"cannot run {command.name}: {error.strerror}. Install it on this host, or give its full path"
            ) from error
        raise StepFailed(f"cannot run {shlex.quote(command.name)}: {error.strerror}") from error


class _ExitWatch:
    """Knows when the leader has ended, without reaping it (its pid must stay taken until its group is dead)."""

    def __init__(self, pid: int) -> None:
        self._done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._handle: int | None = os.pidfd_open(pid)
        self._loop.add_reader(self._handle, self._ended)

    def _ended(self) -> None:
        self._done.set()
        self.close()

    def close(self) -> None:
        if self._handle is not None:
            self._loop.remove_reader(self._handle)
            os.close(self._handle)
            self._handle = None

    def is_set(self) -> bool:
        return self._done.is_set()

    async def wait(self) -> None:
        await self._done.wait()


async def _wait_for_exit(
    command: Command,
    exited: _ExitWatch,
    tasks: Sequence[asyncio.Task[None]],
    cancel: CancelSignal,
    deadline: float | None,
) -> None:
    """Return when the program has ended; raise when it should stop, or when a reader or the feeder failed."""
    ended = asyncio.ensure_future(exited.wait())
    cancelled = asyncio.ensure_future(cancel.wait())
    pending: set[asyncio.Future[object]] = {ended, cancelled, *tasks}  # type: ignore[arg-type]
    try:
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return
            if cancelled.done():
                raise StepCancelled(f"cancelled while {command.name} was running")
            if not done:
                raise DeadlineExceeded(f"{command.name} was still running at the attempt's deadline and was ended")
            for task in done:
                task.result()
    finally:
        ended.cancel()
        cancelled.cancel()


async def _terminate(group: int, exited: _ExitWatch, grace: float) -> None:
    """Ask the group to end, wait for its leader at most `grace` seconds; the killing is `_end`'s."""
    signal_group(group, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(exited.wait(), grace)


async def _end(
    command: Command,
    process: subprocess.Popen[bytes],
    exited: _ExitWatch,
    tasks: Sequence[asyncio.Task[None]],
    *,
    stopped: bool,
) -> None:
    """Kill what is left, reap the leader, and collect the last output. A program that was stopped is searched for
    members of its session that changed their group; one that ended by itself only has its group killed."""
    left: list[int] = []
    try:
        if stopped:
            kill_session(process.pid)
            await exited.wait()
            left = await wait_until_gone(process.pid)
    finally:
        signal_group(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GONE_WITHIN_SECONDS)
        exited.close()
        try:
            left = left or await wait_until_gone(process.pid)
            await asyncio.wait(tasks, timeout=EOF_GRACE_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
    if left:
        raise StepFailed(f"{command.name} left processes that SIGKILL does not end: {left}")


async def _feed(process: subprocess.Popen[bytes], stdin: bytes | AsyncIterable[bytes] | int | None) -> None:
    """Write standard input with backpressure, then close it; a program that stops reading is its own business."""
    if process.stdin is None or stdin is None or isinstance(stdin, int):
        return
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, process.stdin)
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        if isinstance(stdin, bytes):
            writer.write(stdin)
            await writer.drain()
        else:
            async for chunk in stdin:
                writer.write(chunk)
                await writer.drain()
    except (BrokenPipeError, ConnectionResetError):
        return
    finally:
        transport.close()
