"""Every attempt that this agent holds, driven to its result: the ledger's verdicts carried out.

It outlives sessions. One task drives each attempt: worker, STARTED into the journal, the run, EXITED into the
journal, report. Messages are handled in the order in which they come; handling one never waits for a step.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from pilotage_proto.attempt import AttemptKey, AttemptKind

from pilotage_agent.approval.consent import AskNobody, Consent, Granted
from pilotage_agent.approval.errors import Unapproved
from pilotage_agent.errors import JournalUnwritable, SealBroken, WorkerLost
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal import Journal
from pilotage_agent.ledger import (
    Answer,
    AskProbe,
    Attach,
    Entry,
    Ignore,
    OutcomeFound,
    Recover,
    Repeat,
    Settle,
    StillRunning,
    Stop,
    Take,
    Withdraw,
    WorkerGone,
    judge_assignment,
    judge_cancel,
    judge_lost,
    judge_outcome,
    judge_probe,
    judge_recovery,
    judge_restart,
    may_forget,
    tombstone,
)
from pilotage_agent.messages import (
    Accepted,
    Assignment,
    Cancel,
    EntryState,
    FailureKind,
    Outcome,
    Query,
    QueryAnswer,
    Result,
    ResultAck,
    SignedPlan,
    Started,
)
from pilotage_agent.outbox import Outbox
from pilotage_agent.readable import unreadable
from pilotage_agent.results import add_evidence, fitting, make_result
from pilotage_agent.running import LogSink, Run, Runner

_log = logging.getLogger("pilotage.agent.attempts")

RETRY_SECONDS: Final = 1.0
"""How long to wait before an unwritable EXITED is tried again; doubled up to a minute."""

_LONGEST_RETRY: Final = 60.0

QUERIES_AT_ONCE: Final = 8
"""Queries that are worked on at the same time: each takes a worker, beside those of the steps."""
MOST_QUERIES: Final = 256
"""Queries that are held, those that wait for their turn included; more are refused."""


class Policy(Protocol):
    """What this host allows, whatever a coordinator says."""

    def refusal(self, assignment: Assignment) -> tuple[FailureKind, str] | None:
        """Return why the assignment may not run here; None when it may."""

    def query_refusal(self, query: Query) -> tuple[FailureKind, str] | None:
        """Return why a question may not be answered here; None when it may."""

    async def values_refusal(self, message: Assignment | Query) -> tuple[FailureKind, str] | None:
        """Return why what an assignment or a question names may not be touched here; None when it may."""


@dataclass(frozen=True, slots=True)
class AttemptParts:
    """What the attempts work with. `now` gives UTC microseconds."""

    journal: Journal
    runner: Runner
    outbox: Outbox
    policy: Policy
    logs: LogSink
    now: Callable[[], int]
    failpoints: Failpoints
    consent: Consent = field(default_factory=AskNobody)


class Attempts:
    """The open attempts and their tasks. `slots` bounds how many run at once; others wait as ACCEPTED."""

    def __init__(self, parts: AttemptParts, slots: int) -> None:
        self._journal = parts.journal
        self._runner = parts.runner
        self._outbox = parts.outbox
        self._policy = parts.policy
        self._logs = parts.logs
        self._now = parts.now
        self._failpoints = parts.failpoints
        self._consent = parts.consent
        self._slots = asyncio.Semaphore(slots)
        self._runs: dict[AttemptKey, Run] = {}
        self._stops: dict[AttemptKey, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._queries: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(QUERIES_AT_ONCE)
        self.on_fatal: Callable[[BaseException], None] = _log_fatal

    @property
    def running(self) -> int:
        """How many attempts have begun and not ended."""
        return sum(entry.state is EntryState.STARTED for entry in self._journal.entries())

    @property
    def waiting(self) -> int:
        """How many attempts wait for a slot or a worker."""
        return sum(entry.state is EntryState.ACCEPTED for entry in self._journal.entries())

    # --- after a start of the agent -----------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take up what a former process of this agent left: watch what runs, settle what ended. Call it once, before
        the first session; what takes longer goes on in tasks."""
        for entry in self._runner.left_behind([entry.key for entry in self._journal.entries()]):
            self._adopt(entry)
        for log in self._runner.logs():
            self._logs.add(log)
        for entry in self._journal.entries():
            if entry.state is EntryState.STARTED:
                self._spawn(self._resume(entry))
            elif entry.state is EntryState.EXITED:
                await self._runner.reattach(entry)
                self._send_log(entry.key)

    def _adopt(self, entry: Entry) -> None:
        """Know an attempt again whose record was lost (or never needed an fsync), from the traces that it left."""
        known = self._journal.find(entry.key)
        settled = self._journal.fences(entry.key).settled.find(entry.key)
        if known is None and settled is not None and settled.attempt >= entry.key.attempt:
            self._runner.settle(entry.key)
        elif known is None or (known.state is EntryState.ACCEPTED and entry.state is EntryState.STARTED):
            self._journal.note(entry)

    async def _resume(self, entry: Entry) -> None:
        found = await self._runner.reattach(entry)
        self._send_log(entry.key)
        if isinstance(found, OutcomeFound | WorkerGone):
            await self._conclude(entry, judge_restart(entry, found, self._now()))
            return
        assert isinstance(judge_restart(entry, StillRunning(), self._now()), Attach)
        await self._watch(entry, found)

    # --- messages -----------------------------------------------------------------------------------------------------

    def assign(self, message: Assignment) -> None:
        """Handle an Assignment."""
        entry = self._journal.find(message.key)
        verdict = judge_assignment(entry, self._journal.fences(message.key), message, self._now())
        match verdict:
            case Answer(result) if entry is None:
                self._tell(result)
            case Answer(result):
                assert entry is not None
                if result.epoch > entry.epoch:
                    self._journal.note(replace(entry, epoch=result.epoch, result=result))
                self._spawn(self._report(entry.key))
            case Repeat(known):
                if known != entry:
                    self._journal.note(known)
                self._report_state(known)
            case Take(taken):
                self._take(taken, message)

    def see(self, plan: SignedPlan) -> None:
        """Handle a SignedPlan: keep it for the attempts to come."""
        self._consent.see(plan)

    def cancel(self, message: Cancel) -> None:
        """Handle a Cancel."""
        self._failpoints.reach("agent.cancel.received")
        entry = self._adopted(self._journal.find(message.key), message.epoch)
        verdict = judge_cancel(entry, self._journal.fences(message.key), message, self._now())
        match verdict:
            case Ignore(reason):
                _log.warning("ignored: %s", reason)
            case Stop(key, reason):
                self._stops[key] = reason
                if run := self._runs.get(key):
                    run.stop(reason)
            case Answer(result, keep=True):
                self._journal.note(tombstone(message, result))
                self._failpoints.reach("agent.tombstone.noted")
                self._spawn(self._report(message.key))
            case Answer(result) if entry is None:
                self._tell(result)
            case Answer():
                self._spawn(self._report(message.key))
            case Withdraw(result):
                assert entry is not None
                self._end(entry, result)
                self._spawn(self._report(message.key))

    def _adopted(self, entry: Entry | None, epoch: int) -> Entry | None:
        """Return the entry under the epoch of a cancel: the coordinator compares the result with its newest sending."""
        if entry is None or epoch <= entry.epoch or epoch < self._journal.highest_epoch:
            return entry
        result = None if entry.result is None else replace(entry.result, epoch=epoch)
        adopted = replace(entry, epoch=epoch, result=result)
        self._journal.note(adopted)
        return adopted

    def acknowledge(self, message: ResultAck) -> None:
        """Handle a ResultAck: forget the attempt."""
        self._failpoints.reach("agent.ack.received")
        if may_forget(self._journal.find(message.key)):
            self._journal.forget(message.key)
            self._runner.settle(message.key)

    def ask(self, message: Query) -> None:
        """Handle a Query."""
        if problem := unreadable(message):
            self._outbox.answer(QueryAnswer(message.query_id, False, b"", FailureKind.PARAMETER, problem))
            return
        if refusal := self._policy.query_refusal(message):
            self._outbox.answer(QueryAnswer(message.query_id, False, b"", *refusal))
            return
        if len(self._queries) >= MOST_QUERIES:
            busy = f"the agent holds {len(self._queries)} queries; ask again later"
            self._outbox.answer(QueryAnswer(message.query_id, False, b"", FailureKind.INFRASTRUCTURE, busy))
            return
        task = asyncio.get_running_loop().create_task(self._answer(message))
        self._queries.add(task)
        task.add_done_callback(self._queries.discard)

    def drop_queries(self) -> None:
        """Stop working on queries: they are lost with their stream."""
        for task in self._queries:
            task.cancel()

    def report_unacknowledged(self) -> None:
        """Report again what has ended and was not acknowledged."""
        for entry in self._journal.entries():
            if entry.result is not None and self._journal.is_durable(entry.key):
                self._outbox.result(entry.result)

    async def close(self) -> None:
        """Stop driving; workers go on by themselves."""
        tasks = [*self._tasks, *self._queries]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one attempt --------------------------------------------------------------------------------------------------

    def _take(self, entry: Entry, message: Assignment) -> None:
        self._failpoints.reach("agent.accepted.before_journal")
        self._journal.note(entry)
        self._failpoints.reach("agent.accepted.after_journal")
        problem = unreadable(message)
        refusal = (FailureKind.PARAMETER, f"not started: {problem}") if problem else self._policy.refusal(message)
        if refusal is not None:
            self._end(entry, self._declined(entry, *refusal))
            self._spawn(self._report(entry.key))
            return
        self._outbox.notice(Accepted(entry.key, entry.epoch))
        self._spawn(self._drive(entry, message))

    async def _drive(self, entry: Entry, message: Assignment) -> None:
        async with self._slots:
            if not self._is_still_accepted(entry.key):
                return
            if (forbidden := await self._policy.values_refusal(message)) is not None:
                if self._is_still_accepted(entry.key):
                    await self._settle(entry, self._declined(entry, *forbidden))
                return
            try:
                granted = await self._consent.check(message)
                if not self._is_still_accepted(entry.key):
                    return
                run = await self._runner.prepare(entry, granted.assignment)
            except Unapproved as refused:
                await self._refuse(entry, refused)
                return
            except (WorkerLost, SealBroken, OSError) as error:
                # An OSError is a machine without room: descriptors, processes, memory. Nothing of the step has begun.
                text = f"not started: {error}" if isinstance(error, OSError) else str(error)
                if self._is_still_accepted(entry.key):
                    await self._settle(entry, self._declined(entry, FailureKind.INFRASTRUCTURE, text))
                return
            if not self._is_still_accepted(entry.key):
                await run.discard()
                return
            try:
                started = await self._start(entry.key, run, granted)
            except Unapproved as refused:
                await run.discard()
                await self._refuse(entry, refused)
                return
            if started is not None:
                await self._watch(started, run)

    async def _refuse(self, entry: Entry, refused: Unapproved) -> None:
        _log.warning("%s: %s", entry.key, refused)
        if self._is_still_accepted(entry.key):
            await self._settle(entry, self._declined(entry, FailureKind.APPROVAL, str(refused)))

    async def _start(self, key: AttemptKey, run: Run, granted: Granted) -> Entry | None:
        """Journal the start; nothing of the step happens before this has returned an entry.

        One that rests on approvals is counted in the same transaction; raises Unapproved when they are used up.
        """
        known = self._journal.find(key)
        assert known is not None
        if granted.order is not None:
            self._journal.begin_use(granted.order, key.attempt, self._consent.forgets_until())
        started = replace(
            known,
            state=EntryState.STARTED,
            started_at=self._now(),
            worker=run.identity,
            recovers=key.kind is AttemptKind.RUN and self._runner.recovers(known.step_type),
            assignment=granted.assignment,
        )
        self._failpoints.reach("agent.started.before_journal")
        self._runs[key] = run
        try:
            if started.starts_durably or granted.order is not None:
                await self._journal.append(started)
            else:
                self._journal.note(started)
        except JournalUnwritable as error:
            self._runs.pop(key, None)
            await run.discard()
            declined = self._declined(started, FailureKind.INFRASTRUCTURE, f"not started: {error}")
            # Reported without being durable: nothing began, and no disk space is needed to say so.
            self._end(started, declined)
            self._outbox.result(declined)
            return None
        self._failpoints.reach("agent.started.after_journal")
        self._outbox.notice(Started(key, started.epoch, started.started_at))
        return started

    async def _watch(self, entry: Entry, run: Run) -> None:
        self._runs[entry.key] = run
        if reason := self._stops.get(entry.key):
            run.stop(reason)
        self._send_log(entry.key)
        try:
            found = await run.perform(entry)
        finally:
            self._runs.pop(entry.key, None)
        self._logs.nudge(entry.key)
        match found:
            case OutcomeFound():
                await self._conclude(entry, judge_outcome(entry, found, self._now()))
            case WorkerGone(begun=False):
                await self._conclude(entry, judge_restart(entry, found, self._now()))
            case WorkerGone(cause=cause):
                await self._conclude(entry, judge_lost(entry, cause, self._now()))

    async def _conclude(self, entry: Entry, verdict: Attach | Recover | AskProbe | Settle) -> None:
        """Carry a verdict out. Until it is settled the journal says STARTED, so that a crash in between leads here
        again."""
        if isinstance(verdict, Recover):
            self._failpoints.reach("agent.recovery.before")
            recovered = await self._runner.recover(entry)
            self._failpoints.reach("agent.recovery.after")
            verdict = judge_recovery(entry, verdict, recovered, self._now())
        match verdict:
            case Settle(result):
                await self._settle(entry, result)
            case AskProbe():
                answer = await self._runner.probe(entry)
                await self._settle(entry, judge_probe(entry, verdict, answer, self._now()))

    async def _settle(self, entry: Entry, result: Result) -> None:
        """Journal how an attempt ended, and then report it."""
        self._failpoints.reach("agent.exited.before_journal")
        self._end(entry, self._with_lines(result))
        await self._report(entry.key)

    def _end(self, entry: Entry, result: Result) -> None:
        """Decide, at once and for good, how an attempt ended: what comes later does not change it."""
        known = self._journal.find(entry.key) or entry
        self._stops.pop(entry.key, None)
        if known.state is not EntryState.EXITED:
            ended = replace(result, epoch=known.epoch)
            self._journal.note(replace(known, state=EntryState.EXITED, assignment=None, result=ended))
            self._journal.end_use(entry.key, ended)

    def _tell(self, result: Result) -> None:
        """Report what is said of a key that is not open here, once what it rests on is durable: else a crash could make
        another answer true."""
        if self._journal.is_all_durable:
            self._outbox.result(result)
        else:
            self._spawn(self._tell_later(result))

    async def _tell_later(self, result: Result) -> None:
        await self._until(lambda: self._journal.is_all_durable, result.key)
        self._outbox.result(result)

    async def _report(self, key: AttemptKey) -> None:
        """Report how an attempt ended, once that is durable, however long the disk refuses."""
        await self._until(lambda: self._journal.is_durable(key), key)
        self._failpoints.reach("agent.exited.after_journal")
        entry = self._journal.find(key)
        if entry is not None and entry.result is not None:
            self._outbox.result(entry.result)

    async def _until(self, durable: Callable[[], bool], key: AttemptKey) -> None:
        pause = RETRY_SECONDS
        while not durable():
            try:
                await self._journal.flush()
            except JournalUnwritable as error:
                _log.error("%s: its end cannot be journaled, so it is not reported yet: %s", key, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_RETRY)

    async def _answer(self, message: Query) -> None:
        async with self._turns:
            forbidden = await self._policy.values_refusal(message)
            if forbidden is not None:
                answer = QueryAnswer(message.query_id, False, b"", *forbidden)
            else:
                answer = await self._runner.query(message)
        self._outbox.answer(fitting(answer))

    def _send_log(self, key: AttemptKey) -> None:
        if log := self._runner.log_of(key):
            self._logs.add(log)

    def _report_state(self, entry: Entry) -> None:
        if entry.state is EntryState.STARTED:
            self._outbox.notice(Started(entry.key, entry.epoch, entry.started_at))
        else:
            self._outbox.notice(Accepted(entry.key, entry.epoch))

    def _is_still_accepted(self, key: AttemptKey) -> bool:
        entry = self._journal.find(key)
        return entry is not None and entry.state is EntryState.ACCEPTED

    def _declined(self, entry: Entry, kind: FailureKind, text: str) -> Result:
        return make_result(
            entry.key, entry.epoch, Outcome.DECLINED, failure_kind=kind, error=text, ended_at=self._now()
        )

    def _with_lines(self, result: Result) -> Result:
        """Add the last lines of the log to the evidence of an interrupted attempt."""
        if result.outcome is not Outcome.INTERRUPTED:
            return result
        return add_evidence(result, {"log": self._runner.last_lines(result.key)})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.on_fatal(error)


def _log_fatal(error: BaseException) -> None:
    _log.critical("an attempt can no longer be driven: %s", error, exc_info=error)
