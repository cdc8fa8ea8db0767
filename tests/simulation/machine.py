"""A simulated host: what outlives its agent (journal, attempts' folders, workers), and what a power cut leaves."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from pilotage_agent.errors import JournalUnwritable
from pilotage_agent.journal_record import entry_from_json, entry_to_json
from pilotage_agent.journal_store import JournalContent, JournalHead, Transaction
from pilotage_agent.ledger import Entry, WorkerIdentity
from pilotage_agent.messages import Effect, FailureKind, Outcome, Result
from pilotage_agent.results import make_result
from pilotage_agent.settled import Settled
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.simulation.loop import spread
from tests.simulation.universe import Universe, short

FIRST_VERSION = "1"
"""Of the plugin that every host has in the beginning."""


def announced(version: str) -> dict[str, Any]:
    """Return the step type of the simulation as agents announce it."""
    return {"name": "dummy.run", "distribution": "dummy", "version": version}


class JournalFile:
    """The journal's file: what was committed, in the form in which it is stored."""

    def __init__(self, universe: Universe, host: str, journal_id: str) -> None:
        self._universe = universe
        self._host = host
        self.head = JournalHead(journal_id)
        self.entries: dict[AttemptKey, str] = {}
        self.settled: dict[bytes, Settled] = {}
        self.approvals: frozenset[str] = frozenset()
        self.full = False

    def load(self) -> JournalContent:
        """Read everything."""
        entries = tuple(entry_from_json(text) for text in self.entries.values())
        return JournalContent(self.head, entries, tuple(self.settled.values()), self.approvals)

    def commit(self, transaction: Transaction) -> None:
        """Apply a transaction; on a full disk it fails, and perhaps is found there all the same."""
        refused = self.full
        if not refused or self._universe.random.random() < 0.1:
            self._apply(transaction)
        if refused:
            self._universe.trace(f"{self._host}: journal refuses")
            raise JournalUnwritable("the disk is full")

    def close(self) -> None:
        """Nothing to release."""

    def _apply(self, transaction: Transaction) -> None:
        universe, host = self._universe, self._host
        if transaction.head.highest_epoch < self.head.highest_epoch:
            universe.violate(f"7: the epoch of {host} went from {self.head.highest_epoch} down")
        self.head = transaction.head
        for entry in transaction.entries:
            self.entries[entry.key] = entry_to_json(entry)
            universe.on_journaled(entry)
        for key in transaction.forgotten:
            self.entries.pop(key, None)
        for record in transaction.settled:
            self.settled[record.run] = record
        for run in transaction.dropped:
            self.settled.pop(run, None)
        self.approvals |= set(transaction.consumed_approvals)
        words = [f"{short(entry.key)} {entry.state}" for entry in transaction.entries]
        words += [f"{short(key)} forgotten" for key in transaction.forgotten]
        universe.trace(f"{host}: journal {', '.join(words)}")
        for entry in transaction.entries:
            universe.moment(f"{entry.state} journaled", host)


class Fate(StrEnum):
    """How a step will end if nobody stops it."""

    SUCCEED = "succeed"
    FAIL = "fail"
    VANISH = "vanish"


@dataclass
class Folder:
    """What is on the disk of one attempt."""

    entry: Entry
    outcome: Result | None = None


@dataclass(eq=False)
class Worker:
    """A process that makes one attempt. It belongs to the machine, not to the agent."""

    machine: "Machine"
    entry: Entry
    identity: WorkerIdentity
    duration: float
    fate: Fate
    ended: "asyncio.Future[None]"
    begun: bool = False
    stopping: bool = False

    def begin(self) -> None:
        """The step begins: this is the effect that must not happen twice."""
        if self.ended.done():
            return
        if self.stopping:
            self.end(None)
            return
        machine, key = self.machine, self.entry.key
        self.begun = True
        machine.folders[key] = Folder(self.entry)
        machine.note_start(self)
        loop = machine.universe.loop
        timeout = self.entry.timeout_ms / 1000
        if timeout and timeout < self.duration:
            loop.later(timeout, self._finish, Outcome.FAILED)
        else:
            loop.later(self.duration / 2, self._take_effect)
            outcomes = {Fate.SUCCEED: Outcome.SUCCEEDED, Fate.FAIL: Outcome.FAILED, Fate.VANISH: None}
            loop.later(self.duration, self._finish, outcomes[self.fate])

    def stop(self) -> None:
        """Ask it to stop: it does soon, or dies of it, or does not listen."""
        if self.stopping or self.ended.done():
            return
        self.stopping = True
        if self.begun:
            draw = self.machine.universe.random
            how = draw.choice([Outcome.CANCELLED, Outcome.CANCELLED, None, Outcome.SUCCEEDED])
            self.machine.universe.loop.later(spread(draw, 0.01, 3), self._finish, how)
            self.machine.universe.loop.later(12, self.end, None)

    def end(self, outcome: Result | None) -> None:
        """End the process; the outcome, if any, is on the disk then."""
        if self.ended.done():
            return
        machine, key = self.machine, self.entry.key
        if outcome is not None:
            machine.out_of_order.discard(key)
            if key in machine.folders:
                machine.folders[key].outcome = outcome
        machine.workers.pop(self.identity, None)
        machine.universe.trace(f"{machine.name}: worker of {short(key)} ends {outcome.outcome if outcome else '-'}")
        self.ended.set_result(None)
        machine.universe.moment("worker ended", machine.name)

    def _take_effect(self) -> None:
        if not self.ended.done():
            self.machine.effects.add(self.entry.key)

    def _finish(self, outcome: Outcome | None) -> None:
        if self.ended.done():
            return
        if outcome is None:
            self.end(None)
            return
        if outcome is Outcome.SUCCEEDED:
            self._take_effect()
        entry = self.entry
        failed = outcome is Outcome.FAILED
        outputs: dict[str, Any] = {"made": self.identity.pid} if outcome is Outcome.SUCCEEDED else {}
        if outputs and entry.key.path.endswith("/judge"):
            outputs["verdict"] = self.machine.universe.random.choice(["pass", "pass", "pass", "inconclusive", "fail"])
        self.end(
            make_result(
                entry.key,
                entry.epoch,
                outcome,
                outputs=outputs,
                failure_kind=FailureKind.STEP if failed else None,
                error="it failed" if failed else "",
                started_at=entry.started_at,
                ended_at=self.machine.now(),
            )
        )


@dataclass(eq=False)
class Machine:
    """One host. `starts` and `effects` are written by nobody but the steps themselves."""

    universe: Universe
    name: str
    boot: int = 1
    journal: JournalFile = field(init=False)
    offset: int = 0
    """How wrong its clock is, microseconds."""
    folders: dict[AttemptKey, Folder] = field(default_factory=dict)
    workers: dict[WorkerIdentity, Worker | None] = field(default_factory=dict)
    """What runs; None: a spare worker without a job."""
    starts: Counter[AttemptKey] = field(default_factory=Counter)
    effects: set[AttemptKey] = field(default_factory=set)
    kinds: dict[AttemptKey, Effect] = field(default_factory=dict)
    out_of_order: set[AttemptKey] = field(default_factory=set)
    """Attempts that began and came neither to an end by themselves nor to a recovery, where steps recover."""
    forgetful: bool = False
    """Its journal was lost at least once."""
    plugin: str = FIRST_VERSION
    """The version of the plugin that its agent announces when it starts."""
    _pids: int = 100

    def __post_init__(self) -> None:
        self.journal = JournalFile(self.universe, self.name, f"{self.name}-journal-1")

    @property
    def boot_id(self) -> str:
        """Return what tells this boot from the others."""
        return f"boot-{self.name}-{self.boot}"

    def now(self) -> int:
        """Return what its clock shows."""
        return self.universe.wall() + self.offset

    @property
    def recovers(self) -> bool:
        """Whether the plugin of this host puts in order what interrupted attempts leave half done: on every second."""
        return self.name[-1:] in "02468"

    def spare(self) -> WorkerIdentity:
        """Fork a worker without a job."""
        self._pids += 1
        identity = WorkerIdentity(self.boot_id, self._pids, self._pids)
        self.workers[identity] = None
        return identity

    def hand_over(self, entry: Entry, identity: WorkerIdentity) -> Worker:
        """Give a spare worker its job."""
        draw = self.universe.random
        fate = draw.choices([Fate.SUCCEED, Fate.FAIL, Fate.VANISH], [16, 3, 1])[0]
        ended = self.universe.loop.create_future()
        worker = Worker(self, entry, identity, spread(draw, 0.01, 6), fate, ended)
        self.workers[identity] = worker
        self.universe.loop.later(spread(draw, 0.0003, 0.01), worker.begin)
        return worker

    def note_start(self, worker: Worker) -> None:
        """A step has begun."""
        key, effect = worker.entry.key, worker.entry.effect
        self.starts[key] += 1
        if self.recovers and key.kind is AttemptKind.RUN:
            self.out_of_order.add(key)
        self.kinds[key] = effect
        self.universe.trace(f"{self.name}: STEP {short(key)} begins ({effect})")
        self.universe.on_step_begun(key)
        self.universe.moment("step begun", self.name)

    def end_worker(self, entry: Entry) -> None:
        """Make sure that nothing of an attempt is at work."""
        worker = self.workers.get(entry.worker) if entry.worker is not None else None
        if worker is not None:
            self.universe.violate(f"recovery: {short(entry.key)} is to be put in order while it is at work")

    def put_in_order(self, key: AttemptKey) -> None:
        """A recovery has done its work."""
        self.universe.trace(f"{self.name}: {short(key)} is put in order")
        self.out_of_order.discard(key)

    def agent_died(self) -> None:
        """Spare workers end with the agent that forked them; the others go on."""
        for identity in [each for each, worker in self.workers.items() if worker is None]:
            del self.workers[identity]

    def lose_power(self) -> None:
        """Everything ends; only what was synced is found again."""
        for worker in list(self.workers.values()):
            if worker is not None and not worker.ended.done():
                worker.ended.set_result(None)
        self.workers.clear()
        self.boot += 1
        for key, folder in list(self.folders.items()):
            # That a step began is never synced, how it ended only where it must not begin again.
            synced = folder.outcome is not None and folder.entry.starts_durably
            if not synced and self.universe.random.random() < 0.5:
                del self.folders[key]

    def lose_journal(self, number: int, *, folders: bool) -> None:
        """The journal's file is gone, or set aside as damaged; perhaps the folders of the attempts too."""
        self.forgetful = True
        self.journal = JournalFile(self.universe, self.name, f"{self.name}-journal-{number}")
        if folders:
            self.folders.clear()

    def copy(self) -> "Machine":
        """Return another machine with the same name and a copy of the journal, as a cloned disk has them."""
        other = Machine(self.universe, self.name, boot=1000)
        other.journal = JournalFile(self.universe, self.name, self.journal.head.journal_id)
        other.journal.head = self.journal.head
        other.journal.entries = dict(self.journal.entries)
        other.journal.settled = dict(self.journal.settled)
        return other

    def outcome_of(self, entry: Entry) -> Result | None:
        """Return what the outcome file says, as the agent reads it."""
        folder = self.folders.get(entry.key)
        outcome = folder.outcome if folder else None
        return None if outcome is None else replace(outcome, epoch=entry.epoch)
