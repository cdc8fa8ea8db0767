"""A worker: the process in which one attempt runs (or, for cheap built-in reads, one after the other).

It is forked from the zygote, waits for a job on its socket, runs it, leaves the outcome in the attempt's folder, says
so on the socket, and ends. It does not need the agent once it has its job. SIGTERM asks the step to stop.
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from pilotage_plugin_api import Stream
from pilotage_proto.redaction import MASK, Redactor

from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal_record import result_to_dict
from pilotage_agent.messages import FailureKind, Outcome
from pilotage_agent.runner.attempt_folder import CUT_OFF, AttemptFolder, make_folder, only_one, remove_folder
from pilotage_agent.runner.call import Called, StepTypes, call_step
from pilotage_agent.runner.fork_handlers import ForkHandlers
from pilotage_agent.runner.frames import FrameBroken, pack, receive
from pilotage_agent.runner.inherited_loop import InheritedLoop
from pilotage_agent.runner.job import Job, Purpose
from pilotage_agent.runner.memory import note_on_peak
from pilotage_agent.runner.process import become_subreaper, children_of, kill_descendants
from pilotage_agent.runner.reporting import AttemptReporter, GrantedSecrets, PrintedText, microseconds
from pilotage_agent.runner.step_log import StepLogWriter

REUSE_LIMIT: Final = 1_000
"""Attempts that one worker may run (ARCHITECTURE, Workers)."""

REHEARSED: Final = "dummy.read"
"""A built-in step type that does nothing unless it is asked to."""

LOOK_AGAIN_SECONDS: Final = 0.1
"""How often a recovery looks whether an earlier one has ended."""

_OOM_SCORE: Final = b"500"
_MOST_FILES: Final = 1 << 16


class StopSignal:
    """SIGTERM, installed once and turned into the cancellation of whatever job is there; without a job it is the end.

    For the loop's own way of handling signals every worker would run through the list of all signals there are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._cancel: asyncio.Event | None = None
        signal.signal(signal.SIGTERM, self._stop)

    def for_job(self, cancel: asyncio.Event | None) -> None:
        """Cancel this from now on."""
        self._cancel = cancel

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._cancel is None:
            os._exit(0)
        self._loop.call_soon_threadsafe(self._cancel.set)


@dataclass(frozen=True, slots=True)
class Stage:
    """What the zygote has ready for every worker."""

    loop: InheritedLoop
    stop: StopSignal
    step_types: StepTypes
    fork_handlers: ForkHandlers
    failpoints: Failpoints


def settle_in(channel: socket.socket, stage: Stage) -> None:
    """Become a worker, right after the fork: own session, no inherited files but the standard ones, which lead
    nowhere, and first to go when memory runs out."""
    os.setsid()
    os.dup2(1, 2)
    become_subreaper("pilotage-worker")
    with contextlib.suppress(OSError):
        os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), _OOM_SCORE)  # closed below, with all others
    receives, sends = stage.loop.take_over()
    signal.set_wakeup_fd(sends, warn_on_full_buffer=False)
    first = 3
    for kept in sorted((channel.fileno(), receives, sends)):
        os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, _MOST_FILES)
    stage.fork_handlers.register()


def serve(channel: socket.socket, stage: Stage) -> NoReturn:
    """Take jobs until there are no more, or until one of them leaves the process unfit for another."""
    try:
        for _ in range(REUSE_LIMIT):
            message = receive(channel)
            if message is None:
                break
            if not _do(Job.from_message(message), channel, stage):
                break
    except (FrameBroken, OSError):
        os._exit(3)
    except BaseException:
        os._exit(4)
    os._exit(0)


def _do(job: Job, channel: socket.socket, stage: Stage) -> bool:
    """Do one job; says whether the process may take another."""
    loop, stop, failpoints = stage.loop, stage.stop, stage.failpoints
    folder = AttemptFolder(Path(job.folder))
    scratch = folder.scratch
    redactor = Redactor(job.secrets.values())
    log = StepLogWriter(folder.logs, microseconds, redactor.text, job.log_bytes)
    reporter = AttemptReporter(log, folder, redactor, loop)
    threads_before = threading.active_count()
    cancel = asyncio.Event()
    stop.for_job(cancel)
    _limit_memory(job.memory_bytes)
    make_folder(scratch)
    record = folder.begin(job.entry) if job.purpose.is_attempt else -1
    failpoints.reach("worker.begun")
    called = _run(job, scratch, reporter, cancel, stage)
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
    _clean_up(job, channel, pack({"done": outcome, "fit": fit}), folder, record)
    if fit:
        os.chdir("/")
    return fit


def _clean_up(job: Job, channel: socket.socket, answer: bytes, folder: AttemptFolder, record: int) -> None:
    """Tell the agent, make the outcome durable for when there is no agent, and delete what was the step's own."""
    with contextlib.suppress(OSError):
        channel.sendall(answer)
    if job.purpose.is_attempt:
        # The agent journals the outcome, and syncs it, before it tells anybody: this is for when it is away, and
        # nobody waits for it.
        with contextlib.suppress(OSError):
            folder.close(record, durable=job.durable)
    remove_folder(folder.scratch)


def rehearse(stage: Stage, times: int = 12) -> None:
    """Do a job for nothing, so that a process and all that are forked from it do the next one with warm caches.

    Only in the zygote, before it forks: every page that is written once here need not be copied in each worker.
    """
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
            _do(Job.from_message(message), theirs, stage)
            receive(ours)


def _run(job: Job, scratch: Path, reporter: AttemptReporter, cancel: asyncio.Event, stage: Stage) -> Called:
    """Call the step type; what it prints meanwhile goes to the attempt's log."""
    deadline = time.monotonic() + job.timeout_ms / 1000 if job.timeout_ms else None
    work = _alone(
        job,
        cancel,
        deadline,
        call_step(job, scratch, reporter, GrantedSecrets(job.secrets), cancel, deadline, stage.step_types),
    )
    streams = sys.stdout, sys.stderr
    printed = PrintedText(reporter, Stream.STDOUT), PrintedText(reporter, Stream.STDERR)
    sys.stdout, sys.stderr = printed
    try:
        return stage.loop.run_until_complete(work)
    except BaseException as error:
        return Called.failed(f"{job.step_type} ended its process's work: {type(error).__name__}: {error}", clean=False)
    finally:
        for stream in printed:
            stream.finish()
        sys.stdout, sys.stderr = streams


async def _alone(job: Job, cancel: asyncio.Event, deadline: float | None, call: Coroutine[Any, Any, Called]) -> Called:
    """Await the call when no other process is at the same, if the job says so: a recovery that a former agent process
    asked for may still be at work."""
    if not job.alone:
        return await call
    with only_one(Path(job.alone)) as is_ours:
        while not is_ours():
            if cancel.is_set() or (deadline is not None and time.monotonic() > deadline):
                call.close()
                return Called.failed("an earlier recovery is still at work", FailureKind.INFRASTRUCTURE)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return await call


def _finish(job: Job, called: Called, redactor: Redactor) -> dict[str, Any]:
    """Redact what the step gave and put it into the form in which it travels."""
    outputs: Mapping[str, Any] = redactor.value(called.outputs)
    error = redactor.text(called.error)
    if called.outcome is Outcome.FAILED and not job.reuse:
        error += note_on_peak(job.memory_bytes)
    if job.purpose.is_attempt:
        hidden = {name: MASK for name in job.sensitive_outputs if name in outputs}
        told = called.result(job, {**outputs, **hidden}, error, microseconds())
        return {**result_to_dict(told), CUT_OFF: called.cut_off}
    return {
        "ok": called.ok,
        "answer": json.dumps(outputs),
        "failure_kind": called.failure_kind or "",
        "error": error,
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
