"""The agent's Runner port over a simulated machine."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pilotage_agent.errors import WorkerLost
from pilotage_agent.ledger import Entry, OutcomeFound, Recovered, WorkerGone, WorkerIdentity
from pilotage_agent.messages import Assignment, FailureKind, Outcome, Query, QueryAnswer
from pilotage_agent.results import make_result
from pilotage_agent.running import LogSource, Run
from pilotage_proto.attempt import AttemptKey

from tests.simulation.loop import spread
from tests.simulation.machine import Machine, Worker


class SimulatedRun:
    """One attempt at a worker; `worker` is there already when the agent came back to it."""

    def __init__(self, machine: Machine, entry: Entry, identity: WorkerIdentity, worker: Worker | None = None) -> None:
        self._machine = machine
        self._entry = entry
        self._identity = identity
        self._worker = worker
        self._stop: str | None = None

    @property
    def identity(self) -> WorkerIdentity:
        return self._identity

    def stop(self, reason: str) -> None:
        if self._stop is None:
            self._stop = reason
            if self._worker is not None:
                self._worker.stop()

    async def discard(self) -> None:
        self._machine.workers.pop(self._identity, None)

    async def perform(self, entry: Entry) -> OutcomeFound | WorkerGone:
        self._entry = entry
        if self._worker is None:
            if self._stop is not None:
                await self.discard()
                return OutcomeFound(self._cancelled(begun=False))
            self._worker = self._machine.hand_over(entry, self._identity)
        await asyncio.wait({self._worker.ended})
        outcome = self._machine.outcome_of(entry)
        if outcome is not None:
            return OutcomeFound(outcome)
        if self._stop is not None:
            return OutcomeFound(self._cancelled(begun=self._worker.begun), cut_off=self._worker.begun)
        same_boot = self._identity.boot_id == self._machine.boot_id
        return WorkerGone(begun=self._worker.begun, same_boot=same_boot, cause="its worker ended without an outcome")

    def _cancelled(self, *, begun: bool) -> Any:
        entry = self._entry
        started_at = entry.started_at if begun else 0
        now = self._machine.now()
        return make_result(
            entry.key, entry.epoch, Outcome.CANCELLED, error="cancelled", started_at=started_at, ended_at=now
        )


class SimulatedRunner:
    """Implements Runner for one agent process."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def prepare(self, entry: Entry, assignment: Assignment) -> Run:
        draw = self._machine.universe.random
        await asyncio.sleep(spread(draw, 0.0003, 0.02))
        if draw.random() < 0.02:
            raise WorkerLost("no process can be had")
        return SimulatedRun(self._machine, entry, self._machine.spare())

    async def reattach(self, entry: Entry) -> Run | OutcomeFound | WorkerGone:
        await asyncio.sleep(0)
        machine = self._machine
        outcome = machine.outcome_of(entry)
        if outcome is not None:
            return OutcomeFound(outcome)
        worker = machine.workers.get(entry.worker) if entry.worker is not None else None
        if worker is not None:
            return SimulatedRun(machine, entry, worker.identity, worker)
        same_boot = entry.worker is not None and entry.worker.boot_id == machine.boot_id
        return WorkerGone(begun=entry.key in machine.folders, same_boot=same_boot, cause="its worker is gone")

    def left_behind(self, journaled: Iterable[AttemptKey]) -> Iterable[Entry]:
        return [folder.entry for folder in self._machine.folders.values()]

    def recovers(self, step_type: str) -> bool:
        return self._machine.recovers

    async def recover(self, entry: Entry) -> Recovered:
        draw, machine = self._machine.universe.random, self._machine
        machine.end_worker(entry)
        machine.universe.moment("recovery begun", machine.name)
        await asyncio.sleep(spread(draw, 0.001, 2))
        if draw.random() < 0.1:
            return Recovered(False, "it cannot be put in order")
        machine.put_in_order(entry.key)
        machine.universe.moment("put in order", machine.name)
        return Recovered(True, "it was put in order")

    async def probe(self, entry: Entry) -> Mapping[str, Any]:
        draw = self._machine.universe.random
        await asyncio.sleep(spread(draw, 0.001, 0.5))
        if draw.random() < 0.3:
            return {"answer": "unknown", "evidence": "cannot tell"}
        done = entry.key in self._machine.effects
        return {"answer": "done" if done else "not_done", "outputs": {}, "evidence": "looked"}

    async def query(self, query: Query) -> QueryAnswer:
        return QueryAnswer(query.query_id, False, b"", FailureKind.INFRASTRUCTURE, "the simulation asks nothing")

    def log_of(self, key: AttemptKey) -> LogSource | None:
        return None

    def logs(self) -> Iterable[LogSource]:
        return ()

    def last_lines(self, key: AttemptKey) -> list[str]:
        return []

    def settle(self, key: AttemptKey) -> None:
        self._machine.folders.pop(key, None)

    def log_sent(self, key: AttemptKey) -> None:
        pass
