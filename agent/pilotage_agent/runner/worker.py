"""A worker: the process in which one attempt runs (or, for cheap built-in reads, one after the other).

It is forked from the zygote, waits for a job on its socket, runs it, leaves the outcome in the attempt's folder, says
so on the socket, and ends. It does not need the agent once it has its job. SIGTERM asks the step to stop.
"""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from pilotage_proto.redaction import MASK, Redactor

from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal_record import result_to_dict
from pilotage_agent.runner.attempt_folder import AttemptFolder
from pilotage_agent.runner.call import Called, StepTypes, call_step
from pilotage_agent.runner.frames import FrameBroken, pack, receive
from pilotage_agent.runner.job import Job, Purpose
from pilotage_agent.runner.process import become_subreaper, children_of, kill_descendants
from pilotage_agent.runner.reporting import AttemptReporter, GrantedSecrets, PrintedText, microseconds
from pilotage_agent.runner.step_log import StepLogWriter

REUSE_LIMIT: Final = 1_000
"""Attempts that one worker may run (ARCHITECTURE, Workers)."""

REHEARSED: Final = "dummy.read"
"""A built-in step type that does nothing unless it is asked to."""

_OOM_SCORE: Final = "500"
_MOST_FILES: Final = 1 << 16


def settle_in(channel: socket.socket) -> None:
    """Become a worker, right after the fork: own session, no inherited files but the standard ones, which lead
    nowhere, and first to go when memory runs out."""
    os.setsid()
    os.dup2(1, 2)
    become_subreaper("pilotage-worker")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - quicker
        score.write(_OOM_SCORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.closerange(3, channel.fileno())
    os.closerange(channel.fileno() + 1, _MOST_FILES)


class StopSignal:
    """SIGTERM, installed once and turned into the cancellation of whatever job is there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._cancel: asyncio.Event | None = None
        loop.add_signal_handler(signal.SIGTERM, self._stop)

    def for_job(self, cancel: asyncio.Event | None) -> None:
        """Cancel this from now on."""
        self._cancel = cancel

    def _stop(self) -> None:
        if self._cancel is None:
            os._exit(0)
        self._cancel.set()


def serve(channel: socket.socket, step_types: StepTypes, failpoints: Failpoints) -> NoReturn:
    """Take jobs until there are no more, or until one of them leaves the process unfit for another."""
    try:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        stop = StopSignal(loop)
        for _ in range(REUSE_LIMIT):
            message = receive(channel)
            if message is None:
                break
            job = Job.from_message(message)
            if not _do(job, loop, channel, stop, step_types, failpoints):
                break
    except (FrameBroken, OSError):
        os._exit(3)
    except BaseException:
        os._exit(4)
    os._exit(0)


def _do(
    job: Job,
    loop: asyncio.AbstractEventLoop,
    channel: socket.socket,
    stop: StopSignal,
    step_types: StepTypes,
    failpoints: Failpoints,
) -> bool:
    """Do one job; says whether the process may take another."""
    folder = AttemptFolder(Path(job.folder))
    redactor = Redactor(job.secrets.values())
    log = StepLogWriter(folder.logs, microseconds, redactor.text)
    reporter = AttemptReporter(log, folder, redactor, loop)
    threads_before = threading.active_count()
    cancel = asyncio.Event()
    stop.for_job(cancel)
    _limit_memory(job.memory_bytes)
    folder.scratch.mkdir(mode=0o700, exist_ok=True)
    record = folder.begin(job.entry) if job.purpose.is_attempt else -1
    failpoints.reach("worker.begun")
    with _printed_to(reporter):
        called = _run(loop, job, folder, reporter, cancel, step_types)
    left = _end_survivors(reporter)
    outcome = _finish(job, called, redactor)
    log.close()
    if job.purpose.is_attempt:
        failpoints.reach("worker.outcome.before_write")
        # On a full disk the agent, which is told below, still puts the outcome into its journal once there is room.
        with contextlib.suppress(OSError):
            folder.finish(record, outcome)
        failpoints.reach("worker.outcome.after_write")
    fit = (
        job.reuse
        and not left
        and not cancel.is_set()
        and called.clean
        and threading.active_count() <= threads_before
        and not asyncio.all_tasks(loop)
    )
    stop.for_job(None)
    with contextlib.suppress(OSError):
        channel.sendall(pack({"done": outcome, "fit": fit}))
    if job.purpose.is_attempt:
        # The agent journals the outcome, and syncs it, before it tells anybody: this is for when there is no agent now,
        # and nobody waits for it.
        with contextlib.suppress(OSError):
            folder.close(record, durable=job.durable)
    shutil.rmtree(folder.scratch, ignore_errors=True)
    if fit:
        os.chdir("/")
    return fit


def rehearse(step_types: StepTypes, times: int = 12) -> None:
    """Do a job for nothing, so that a process and all that are forked from it do the next one with warm caches.

    Only in the zygote, before it forks: every page that is written once here need not be copied in each worker.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    stop = StopSignal(loop)
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix="pilotage-rehearsal-") as place, ours, theirs:
        for number in range(times):
            job = Job(
                purpose=Purpose.RUN,
                key=f"exe_0/rehearsal/host//run/{number + 1}",
                host="host",
                folder=f"{place}/{number}",
                step_type=REHEARSED,
                effect="read",
                reuse=True,
            )
            ours.sendall(pack(job.to_message()))
            message = receive(theirs)
            assert message is not None
            _do(Job.from_message(message), loop, theirs, stop, step_types, Failpoints())
            receive(ours)
    loop.remove_signal_handler(signal.SIGTERM)
    asyncio.set_event_loop(None)
    loop.close()


def _run(
    loop: asyncio.AbstractEventLoop,
    job: Job,
    folder: AttemptFolder,
    reporter: AttemptReporter,
    cancel: asyncio.Event,
    step_types: StepTypes,
) -> Called:
    deadline = time.monotonic() + job.timeout_ms / 1000 if job.timeout_ms else None
    secrets = GrantedSecrets(job.secrets)
    try:
        return loop.run_until_complete(call_step(job, folder.scratch, reporter, secrets, cancel, deadline, step_types))
    except BaseException as error:
        return Called.failed(f"{job.step_type} ended its process's work: {type(error).__name__}: {error}", clean=False)


def _finish(job: Job, called: Called, redactor: Redactor) -> dict[str, Any]:
    """Redact what the step gave and put it into the form in which it travels."""
    outputs: Mapping[str, Any] = redactor.value(called.outputs)
    if job.purpose.is_attempt:
        hidden = {name: MASK for name in job.sensitive_outputs if name in outputs}
        return result_to_dict(called.result(job, {**outputs, **hidden}, redactor.text(called.error), microseconds()))
    return {
        "ok": called.ok,
        "answer": json.dumps(outputs),
        "failure_kind": called.failure_kind or "",
        "error": redactor.text(called.error),
    }


def _end_survivors(reporter: AttemptReporter) -> bool:
    """End whatever the step left running below this process; says whether there was anything."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        # As a subreaper this process adopts whatever its children leave: no child means nothing below it at all.
        return False
    me = os.getpid()
    before = len(children_of(me))
    kill_descendants(me)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    reporter.note(f"the step left {before} process(es) behind; they were ended")
    return True


def _limit_memory(limit: int) -> None:
    """Bound what each process of the attempt may allocate, programs included.

    RLIMIT_DATA counts writable private memory only, so programs that reserve large address ranges still run.
    """
    if limit:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


@contextlib.contextmanager
def _printed_to(reporter: AttemptReporter) -> Any:
    """Send what a plugin prints to the attempt's log."""
    streams: tuple[TextIO, TextIO] = (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = PrintedText(reporter, "stdout"), PrintedText(reporter, "stderr")
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, PrintedText):
                stream.finish()
        sys.stdout, sys.stderr = streams
