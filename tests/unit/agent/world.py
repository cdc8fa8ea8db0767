"""A host in memory: a journal that outlives crashes, and a runner whose processes do."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage_agent.approval.consent import AskNobody, Consent
from pilotage_agent.attempts import AttemptParts, Attempts
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal import Journal
from pilotage_agent.journal_store import InlineCommits, JournalContent, JournalHead, MemoryJournalStore
from pilotage_agent.ledger import Entry, OutcomeFound, Recovered, WorkerGone, WorkerIdentity
from pilotage_agent.messages import (
    Assignment,
    Effect,
    FailureKind,
    Outcome,
    Query,
    QueryAnswer,
    Result,
)
from pilotage_agent.outbox import Outbox
from pilotage_agent.results import make_result
from pilotage_agent.running import LogSource, Run
from pilotage_proto.attempt import AttemptKey, AttemptKind


def key(number: int = 1, attempt: int = 1, execution: str = "exe_1") -> AttemptKey:
    return AttemptKey(execution, f"step{number}", "h1", "", AttemptKind.RUN, attempt)


def assignment(of: AttemptKey, effect: Effect = Effect.ONCE, epoch: int = 1, **more: Any) -> Assignment:
    return Assignment(key=of, epoch=epoch, plan_digest="sha256:0", step_type="test.step", effect=effect, **more)


@dataclass
class Process:
    """A worker with a job."""

    entry: Entry
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Result | None = None
    stopped: bool = False
    cut_off: bool = False


@dataclass
class World:
    """What outlives the agent process: started steps, their ends, and the disk."""

    starts: dict[AttemptKey, int] = field(default_factory=dict)
    processes: dict[AttemptKey, Process] = field(default_factory=dict)
    probe_answer: Mapping[str, Any] = field(default_factory=lambda: {"answer": "unknown", "evidence": ""})
    query_gate: asyncio.Event | None = None
    """Where set, queries wait for it before they are answered."""
    queries: int = 0
    """Queries that are being worked on."""
    no_workers: Exception | None = None
    recovering: bool = False
    """Whether the step type recovers."""
    mess: set[AttemptKey] = field(default_factory=set)
    """What attempts have begun and neither ended by themselves nor been put in order."""
    recoveries: list[AttemptKey] = field(default_factory=list)
    recovery: "asyncio.Future[Recovered] | None" = None
    """What recoveries wait for and then answer; None: they succeed at once."""
    seal_broken: bool = False
    store: MemoryJournalStore = field(default_factory=lambda: MemoryJournalStore(JournalContent(JournalHead("jrn_1"))))

    def finish(
        self, of: AttemptKey, outcome: Outcome = Outcome.SUCCEEDED, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Let a step end by itself."""
        process = self.processes[of]
        if process.outcome is None and not process.ended.is_set():
            entry = process.entry
            process.outcome = make_result(
                of, entry.epoch, outcome, outputs=outputs or {}, started_at=entry.started_at, ended_at=9
            )
            self.mess.discard(of)
            process.ended.set()

    def kill(self, of: AttemptKey) -> None:
        """Let a step that does not stop be killed."""
        self.mess.add(of)
        process = self.processes[of]
        process.outcome = make_result(of, 1, Outcome.CANCELLED, started_at=process.entry.started_at, ended_at=9)
        process.cut_off = True
        process.ended.set()

    def crash(self, of: AttemptKey) -> None:
        """Let a step's process vanish."""
        self.processes[of].ended.set()


class WorldRun:
    """A Run in the world."""

    def __init__(self, world: World, of: AttemptKey, *, attached: bool = False) -> None:
        self._world = world
        self._key = of
        self._attached = attached
        self._stop = ""

    @property
    def identity(self) -> WorkerIdentity:
        return WorkerIdentity("boot", 42, 1)

    def stop(self, reason: str) -> None:
        self._stop = reason
        process = self._world.processes.get(self._key)
        if process is not None:
            process.stopped = True
            self._world.finish(self._key, Outcome.CANCELLED)

    async def discard(self) -> None:
        pass

    async def perform(self, entry: Entry) -> OutcomeFound | WorkerGone:
        if not self._attached:
            if self._stop:
                return OutcomeFound(make_result(entry.key, entry.epoch, Outcome.CANCELLED, ended_at=1))
            self._world.starts[self._key] = self._world.starts.get(self._key, 0) + 1
            self._world.processes[self._key] = Process(entry)
            self._world.mess.add(self._key)
        process = self._world.processes[self._key]
        await process.ended.wait()
        if process.outcome is None:
            return WorkerGone(begun=True, same_boot=True, cause="it vanished")
        return OutcomeFound(process.outcome, process.cut_off)


class WorldRunner:
    """The Runner port over a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def prepare(self, entry: Entry, assignment: Assignment) -> Run:
        await asyncio.sleep(0)
        if self._world.no_workers:
            raise self._world.no_workers
        return WorldRun(self._world, entry.key)

    async def reattach(self, entry: Entry) -> Run | OutcomeFound | WorkerGone:
        await asyncio.sleep(0)
        process = self._world.processes.get(entry.key)
        if process is None:
            return WorkerGone(begun=False, same_boot=True, cause="its worker is gone")
        if process.outcome is not None:
            return OutcomeFound(process.outcome, process.cut_off)
        if process.ended.is_set():
            return WorkerGone(begun=True, same_boot=True, cause="its worker is gone")
        return WorldRun(self._world, entry.key, attached=True)

    def left_behind(self, journaled: Iterable[AttemptKey]) -> Iterable[Entry]:
        return [process.entry for process in self._world.processes.values()]

    def recovers(self, step_type: str) -> bool:
        return self._world.recovering

    async def recover(self, entry: Entry) -> Recovered:
        assert entry.assignment is not None
        self._world.recoveries.append(entry.key)
        recovered = Recovered(True, "put in order")
        if self._world.recovery is not None:
            recovered = await asyncio.shield(self._world.recovery)
        if recovered.ok:
            self._world.mess.discard(entry.key)
        return recovered

    async def probe(self, entry: Entry) -> Mapping[str, Any]:
        return self._world.probe_answer

    async def query(self, query: Query) -> QueryAnswer:
        self._world.queries += 1
        try:
            if self._world.query_gate is not None:
                await self._world.query_gate.wait()
        finally:
            self._world.queries -= 1
        return QueryAnswer(query.query_id, True, b"{}")

    def log_of(self, key: AttemptKey) -> LogSource | None:
        return None

    def logs(self) -> Iterable[LogSource]:
        return ()

    def last_lines(self, key: AttemptKey) -> list[str]:
        return ["the last line"]

    def settle(self, key: AttemptKey) -> None:
        self._world.processes.pop(key, None)

    def log_sent(self, key: AttemptKey) -> None:
        pass


class AllowAll:
    """A policy; `denied` are refused."""

    def __init__(self) -> None:
        self.denied: tuple[FailureKind, str] | None = None

    def refusal(self, assignment: Assignment) -> tuple[FailureKind, str] | None:
        return self.denied

    def query_refusal(self, query: Query) -> tuple[FailureKind, str] | None:
        return self.denied

    async def values_refusal(self, message: Assignment | Query) -> tuple[FailureKind, str] | None:
        return self.denied


class NoLogs:
    """A LogSink that takes none."""

    def add(self, source: LogSource) -> None:
        pass

    def nudge(self, key: AttemptKey) -> None:
        pass


class Host:
    """One agent process over a world. `crash` ends it as kill -9 would: nothing in memory is kept."""

    def __init__(self, world: World, slots: int = 8, consent: Consent | None = None) -> None:
        self.world = world
        self.outbox = Outbox(asyncio.get_running_loop().time)
        self.journal = Journal(world.store.load(), InlineCommits(world.store, _one_turn))
        self.policy = AllowAll()
        self.fatal: list[BaseException] = []
        parts = AttemptParts(
            journal=self.journal,
            runner=WorldRunner(world),
            outbox=self.outbox,
            policy=self.policy,
            logs=NoLogs(),
            now=lambda: 7,
            failpoints=Failpoints(),
            consent=consent or AskNobody(),
        )
        self.consent = consent
        self.attempts = Attempts(parts, slots)
        self.attempts.on_fatal = self.fatal.append
        self.results: dict[AttemptKey, list[Result]] = {}
        self.answers: list[QueryAnswer] = []

    async def recover(self) -> "Host":
        await self.attempts.recover()
        return self

    async def settle(self, turns: int = 40) -> None:
        """Let everything happen that can happen by itself, and take what is to be sent."""
        for _ in range(turns):
            await asyncio.sleep(0)
        while items := self.outbox.take():
            for item in items:
                if isinstance(item, Result):
                    self.results.setdefault(item.key, []).append(item)
                elif isinstance(item, QueryAnswer):
                    self.answers.append(item)
        assert not self.fatal, self.fatal

    def last(self, of: AttemptKey) -> Result:
        return self.results[of][-1]

    async def crash(self) -> "Host":
        """Die, and come back."""
        await self.attempts.close()
        self.journal.abandon()
        return await Host(self.world, consent=self.consent).recover()


async def _one_turn() -> None:
    await asyncio.sleep(0)
