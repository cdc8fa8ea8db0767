"""Watching one attempt at its worker: its end, its limits, and being stopped."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pilotage_agent.errors import WorkerLost
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal_record import entry_to_json, result_from_dict
from pilotage_agent.ledger import Entry, OutcomeFound, WorkerGone, WorkerIdentity
from pilotage_agent.messages import FailureKind, Outcome
from pilotage_agent.results import make_result
from pilotage_agent.runner.attempt_folder import CUT_OFF, AttemptFolder
from pilotage_agent.runner.job import Job
from pilotage_agent.runner.local_log import LocalLog
from pilotage_agent.runner.memory import limit_text, used_bytes
from pilotage_agent.runner.pool import Worker, WorkerPool
from pilotage_agent.runner.process import descendants_of, is_alive, kill_tree
from pilotage_agent.runner.step_log import KEPT

STOP_GRACE_SECONDS: Final = 12.0
"""How long a step may take to end after it was told to, before its whole tree is killed. The plugin API gives steps
ten seconds to clean up; two more are for writing the outcome."""

WATCH_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one attempt, 0 for none but of its log. `memory_bytes` bounds each process at once (RLIMIT_DATA), and
    the sum of all its processes at the next look (see memory.py for what counts). `tasks` bounds how many there may be.
    `log_bytes` is what is kept of its log (see step_log.py)."""

    memory_bytes: int = 0
    tasks: int = 1024
    log_bytes: int = KEPT
    stop_grace: float = STOP_GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class Breach:
    """Why an attempt's processes were killed."""

    outcome: Outcome
    text: str


def outcome_of(entry: Entry, body: Mapping[str, Any]) -> OutcomeFound:
    """Return what an outcome file says as the attempt's result."""
    return OutcomeFound(result_from_dict(entry.key, entry.epoch, dict(body)), bool(body.get(CUT_OFF)))


class Watch:
    """Ends a worker that outlives its time, its limits or a request to stop; remembers why."""

    def __init__(
        self, worker: WorkerIdentity, folder: AttemptFolder, timeout_ms: int, limits: Limits, send: Callable[[], None]
    ) -> None:
        self._worker = worker
        self._folder = folder
        self._timeout = timeout_ms / 1000
        self._limits = limits
        self._send_stop = send
        self._stop_reason: str | None = None
        self._stop_by: float | None = None
        self._timeout_by: float | None = None
        self._looking: asyncio.TimerHandle
        self._check: asyncio.Task[None] | None = None
        self.breach: Breach | None = None

    @property
    def stop_reason(self) -> str | None:
        """Why the attempt was asked to stop; None while it was not."""
        return self._stop_reason

    def stop(self, reason: str) -> None:
        """Ask the worker to stop; the killing follows after the grace."""
        if self._stop_reason is None:
            self._stop_reason = reason
            self._send_stop()

    async def until(self, ended: "asyncio.Future[Any]") -> None:
        """Return when `ended` is done; meanwhile keep the limits."""
        loop = asyncio.get_running_loop()
        begun = loop.time() - self._folder.seconds_since_begun()
        if self._timeout:
            self._timeout_by = begun + self._timeout + self._limits.stop_grace
        looking = loop.call_later(WATCH_SECONDS, self._look, ended)
        self._looking = looking
        try:
            await asyncio.wait({ended})
        finally:
            self._looking.cancel()
            if self._check is not None:
                self._check.cancel()

    def _look(self, ended: "asyncio.Future[Any]") -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(WATCH_SECONDS, self._look, ended)
        if self._check is None or self._check.done():
            self._check = loop.create_task(self._enforce(loop.time(), ended))

    async def _enforce(self, now: float, ended: "asyncio.Future[Any]") -> None:
        """Find out whether a bound is broken, and end the whole tree if it is."""
        if self._stop_reason is not None and self._stop_by is None:
            self._stop_by = now + self._limits.stop_grace
        self.breach = self.breach or self._overdue(now)
        if self.breach is None:
            self.breach = await asyncio.to_thread(self._too_big)
        if self.breach is not None and not ended.done():
            await asyncio.to_thread(kill_tree, self._worker, self._worker.boot_id)

    def _overdue(self, now: float) -> Breach | None:
        if self._stop_by is not None and now >= self._stop_by:
            grace = f"{self._limits.stop_grace:.0f} s"
            return Breach(Outcome.CANCELLED, f"it did not stop within {grace} and its processes were killed")
        if self._timeout_by is not None and now >= self._timeout_by:
            return Breach(
                Outcome.FAILED, f"it was still running after its timeout of {self._timeout:g} s and was killed"
            )
        return None

    def _too_big(self) -> Breach | None:
        tree = [self._worker.pid, *descendants_of(self._worker.pid)]
        if self._limits.tasks and len(tree) > self._limits.tasks:
            return Breach(Outcome.FAILED, f"it ran {len(tree)} processes, more than {self._limits.tasks}; all killed")
        if self._limits.memory_bytes:
            used = used_bytes(tree, self._limits.memory_bytes)
            if used > self._limits.memory_bytes:
                text = f"it used {used >> 20} MiB of memory, more than {limit_text(self._limits.memory_bytes)}; killed"
                return Breach(Outcome.FAILED, text)
        return None


def judge_end(
    entry: Entry, folder: AttemptFolder, watch: Watch, cause: str, now: int, boot: str
) -> OutcomeFound | WorkerGone:
    """Say how an attempt ended whose worker is gone without a word: by its outcome file, or by why it was killed."""
    if (outcome := folder.read_outcome()) is not None:
        return outcome_of(entry, outcome)
    begun = folder.has_begun()
    breach = watch.breach
    if breach is None and watch.stop_reason is not None:
        breach = Breach(Outcome.CANCELLED, f"cancelled: {watch.stop_reason}")
    if breach is None:
        same_boot = entry.worker is not None and entry.worker.boot_id == boot
        return WorkerGone(begun=begun, same_boot=same_boot, cause=cause)
    failed = breach.outcome is Outcome.FAILED
    return OutcomeFound(
        make_result(
            entry.key,
            entry.epoch,
            breach.outcome,
            failure_kind=FailureKind.STEP if failed else None,
            error=f"{entry.step_type}: {breach.text}" if failed else breach.text,
            started_at=entry.started_at if begun else 0,
            ended_at=now,
        ),
        cut_off=begun,
    )


class LocalRun:
    """One attempt at a worker of this agent process."""

    def __init__(
        self,
        entry: Entry,
        job: Job,
        worker: Worker,
        folder: AttemptFolder,
        log: LocalLog,
        pool: WorkerPool,
        limits: Limits,
        now: Callable[[], int],
        failpoints: Failpoints,
    ) -> None:
        self._entry = entry
        self._job = job
        self._worker = worker
        self._folder = folder
        self._log = log
        self._pool = pool
        self._now = now
        self._failpoints = failpoints
        self._given = False
        self._watch = Watch(worker.identity, folder, job.timeout_ms, limits, self._send_stop)

    @property
    def identity(self) -> WorkerIdentity:
        return self._worker.identity

    def stop(self, reason: str) -> None:
        self._watch.stop(reason)

    async def discard(self) -> None:
        self._pool.return_unused(self._worker)

    def _send_stop(self) -> None:
        if self._given:
            self._worker.signal(signal.SIGTERM)

    async def perform(self, entry: Entry) -> OutcomeFound | WorkerGone:
        """Make the folder, hand the job over and wait for its end."""
        self._entry = entry
        if self._watch.stop_reason is not None:
            await self.discard()
            return self._unbegun()
        self._given = True
        job = replace(self._job, started_at=entry.started_at, entry=entry_to_json(entry))
        answer = await self._worker.hand_over(job.to_message())
        self._failpoints.reach("agent.worker.spawned")
        try:
            await self._watch.until(answer)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        self._log.end()
        try:
            message = answer.result()
        except WorkerLost:
            cause = await self._worker.ending()
            return judge_end(entry, self._folder, self._watch, cause, self._now(), self.identity.boot_id)
        self._let_go(fit=bool(message["fit"]))
        return outcome_of(entry, message["done"])

    def _unbegun(self) -> OutcomeFound:
        text = f"cancelled before it began: {self._watch.stop_reason}"
        entry = self._entry
        result = make_result(entry.key, entry.epoch, Outcome.CANCELLED, error=text, ended_at=self._now())
        return OutcomeFound(result)

    def _let_go(self, *, fit: bool) -> None:
        if fit and self._watch.stop_reason is None:
            self._pool.give_back(self._worker)
        else:
            _bury_later(self._worker)


class Question:
    """A call of a step type that is no attempt: a probe, a preview, a read."""

    def __init__(self, job: Job, worker: Worker, folder: AttemptFolder, pool: WorkerPool, limits: Limits) -> None:
        self._job = job
        self._worker = worker
        self._pool = pool
        self._watch = Watch(worker.identity, folder, job.timeout_ms, limits, lambda: worker.signal(signal.SIGTERM))

    async def answer(self) -> dict[str, Any]:
        """Return the worker's answer; raises WorkerLost when it gave none."""
        answer = await self._worker.hand_over(self._job.to_message())
        try:
            await self._watch.until(answer)
        except asyncio.CancelledError:
            answer.cancel()
            await asyncio.to_thread(kill_tree, self._worker.identity, self._worker.identity.boot_id)
            raise
        try:
            message = answer.result()
        except WorkerLost:
            cause = self._watch.breach.text if self._watch.breach else await self._worker.ending()
            raise WorkerLost(f"{self._job.step_type} gave no answer: {cause}") from None
        if message["fit"]:
            self._pool.give_back(self._worker)
        else:
            _bury_later(self._worker)
        answered: dict[str, Any] = message["done"]
        return answered


class AttachedRun:
    """An attempt that a former agent process handed over; only its process and its folder speak."""

    def __init__(
        self, entry: Entry, folder: AttemptFolder, log: LocalLog, limits: Limits, now: Callable[[], int]
    ) -> None:
        assert entry.worker is not None
        self._entry = entry
        self._worker = entry.worker
        self._folder = folder
        self._log = log
        self._now = now
        self._handle: int | None = os.pidfd_open(entry.worker.pid)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._handle, self._gone)
        self._watch = Watch(entry.worker, folder, entry.timeout_ms, limits, self._send_stop)

    @property
    def identity(self) -> WorkerIdentity:
        return self._worker

    def stop(self, reason: str) -> None:
        self._watch.stop(reason)

    async def discard(self) -> None:
        self._close()

    async def perform(self, entry: Entry) -> OutcomeFound | WorkerGone:
        """Wait for the end of the worker that runs already."""
        self._entry = entry
        if not is_alive(self._worker, self._worker.boot_id):
            self._gone()
        try:
            await self._watch.until(self._ended)
        finally:
            self._close()
        self._log.end()
        cause = "its worker ended without an outcome"
        return judge_end(self._entry, self._folder, self._watch, cause, self._now(), self._worker.boot_id)

    def _send_stop(self) -> None:
        if self._handle is not None and is_alive(self._worker, self._worker.boot_id):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGTERM)

    def _gone(self) -> None:
        self._close()
        if not self._ended.done():
            self._ended.set_result(None)

    def _close(self) -> None:
        if self._handle is not None:
            asyncio.get_running_loop().remove_reader(self._handle)
            os.close(self._handle)
            self._handle = None


def _bury_later(worker: Worker) -> None:
    """Make sure that a worker which has answered also ends; a plugin's thread may hold it."""
    loop = asyncio.get_running_loop()
    loop.call_later(5.0, lambda: worker.signal(signal.SIGKILL))
