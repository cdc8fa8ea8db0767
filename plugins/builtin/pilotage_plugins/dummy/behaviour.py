"""The acts of a dummy."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pilotage_plugin_api import (
    InfrastructureFailed,
    Refused,
    StepContext,
    StepError,
    StepFailed,
    TargetFailed,
)

from pilotage_plugins.dummy.parameters import Crash, DummyFailure, DummyOutputs, DummyParams

FOR_EVER: Final = 1e9
CRASH_EXIT_CODE: Final = 70
_STUBBORN_CHILD: Final = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(3600)\n"
_ERRORS: Final[dict[DummyFailure, type[StepError]]] = {
    DummyFailure.STEP: StepFailed,
    DummyFailure.INFRASTRUCTURE: InfrastructureFailed,
    DummyFailure.PARAMETER: Refused,
    DummyFailure.TARGET: TargetFailed,
}


async def act(ctx: StepContext, params: DummyParams) -> DummyOutputs:
    """Do everything that the parameters ask for, in their order."""
    if params.write:
        await asyncio.to_thread(append_line, params.write, f"{quote(ctx.attempt_key)} {os.getpid()} {time.time_ns()}")
    secret = await ctx.secret(params.secret_length) if params.secret_length else None
    for _ in range(params.children):
        _leave_child()
    memory = bytearray(params.allocate)
    memory[::4096] = b"\1" * len(range(0, len(memory), 4096))
    _flood(ctx, params.flood)
    for line in params.log:
        ctx.log(line)
    await _pass_time(ctx, params)
    start = await asyncio.to_thread(count, params.counter, "run") if params.counter else 0
    if params.crash is not Crash.NONE and start <= params.crash_times:
        _die(params.crash)
    if params.fail == -1 or 0 < start <= params.fail:
        raise _ERRORS[params.fail_kind](params.fail_message)
    if params.finished:
        await asyncio.to_thread(append_line, params.finished, quote(ctx.attempt_key))
    return DummyOutputs(values=params.outputs, start=start, secret_bytes=None if secret is None else len(secret))


def append_line(path: Path, line: str) -> None:
    """Append one line in one write and wait until it is on the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def count(path: Path, what: str) -> int:
    """Count one more start of `what` in the file, and return how many there are now."""
    append_line(path, what)
    return path.read_text().split().count(what)


def _leave_child() -> None:
    """Start a child that outlives us and ignores SIGTERM, in the group of the worker."""
    subprocess.Popen(
        [sys.executable, "-c", _STUBBORN_CHILD],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ).returncode = 0  # left behind on purpose: nobody waits for it, so its object must not complain


def _flood(ctx: StepContext, size: int) -> None:
    line = "x" * 1023
    for _ in range(size // 1024):
        ctx.log(line)


async def _pass_time(ctx: StepContext, params: DummyParams) -> None:
    seconds = FOR_EVER if params.hang else params.sleep.total_seconds()
    if params.block:
        time.sleep(min(seconds, FOR_EVER))  # noqa: ASYNC251 - stopping the loop is what was asked for
        return
    slices = max(1, params.progress)
    for number in range(slices):
        if params.progress:
            ctx.progress((number + 1) / slices, f"slice {number + 1} of {slices}")
        await _sleep(seconds / slices, stubborn=params.ignore_cancel)


async def _sleep(seconds: float, *, stubborn: bool) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        with contextlib.suppress(*([asyncio.CancelledError] if stubborn else [])):
            await asyncio.sleep(left)


def _die(how: Crash) -> None:
    if how is Crash.SIGKILL:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(CRASH_EXIT_CODE)
