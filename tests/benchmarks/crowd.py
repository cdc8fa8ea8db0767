"""Many agents in one process, each with its own identity, journal file and mutual TLS stream: real journals, rules,
sessions; only what runs the steps is chosen.

`python -m tests.benchmarks.crowd [--runner answer|hold|workers] STATE_DIR...`
`answer` says at once that a step succeeded, `hold` says so after SIGUSR1 and writes how often each step began to
STATE_DIR/begun, `workers` runs it in a one-shot worker of the crowd's one zygote.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotage_agent.agent import microseconds
from pilotage_agent.attempts import AttemptParts, Attempts
from pilotage_agent.catalogue import HostCatalogue, probe_catalogue
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.identity import Identity, load_identity
from pilotage_agent.journal import Journal
from pilotage_agent.journal_sqlite import ThreadedCommits, open_or_replace
from pilotage_agent.ledger import Entry, OutcomeFound, Recovered, WorkerGone, WorkerIdentity
from pilotage_agent.link.backoff import Backoff
from pilotage_agent.link.channel import fleet_channel
from pilotage_agent.link.connection import Connection
from pilotage_agent.link.grpc_transport import GrpcTransport
from pilotage_agent.link.log_feed import LogFeed
from pilotage_agent.link.session import SessionParts
from pilotage_agent.link.transport import Transport
from pilotage_agent.messages import Assignment, Inventory, Outcome, Query, QueryAnswer
from pilotage_agent.outbox import Outbox
from pilotage_agent.policy import LocalPolicy
from pilotage_agent.results import make_result
from pilotage_agent.runner.local import LocalRunner, RunnerParts
from pilotage_agent.runner.local_run import Limits
from pilotage_agent.runner.pool import WorkerPool
from pilotage_agent.runner.process import boot_id
from pilotage_agent.running import LogSource, Runner
from pilotage_agent.state_dir import StateDir
from pilotage_proto.attempt import AttemptKey

SLOTS = 200
OUTPUTS: Mapping[str, Any] = {"values": {}, "start": 0, "secret_bytes": None}


@dataclass(slots=True)
class Answers:
    """What the runner in the process does: succeed, once `gate` is open."""

    gate: asyncio.Event
    begun: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class AnsweredRun:
    """A step that needs no worker. Implements `Run`."""

    answers: Answers
    identity: WorkerIdentity

    async def perform(self, entry: Entry) -> OutcomeFound | WorkerGone:
        self.answers.begun[str(entry.key)] += 1
        if not self.answers.gate.is_set():
            await self.answers.gate.wait()
        result = make_result(
            entry.key, entry.epoch, Outcome.SUCCEEDED,
            outputs=OUTPUTS, started_at=entry.started_at, ended_at=microseconds(),
        )  # fmt: skip
        return OutcomeFound(result)

    def stop(self, reason: str) -> None:
        """Succeed all the same."""

    async def discard(self) -> None:
        """Nothing to give back."""


@dataclass(slots=True)
class AnsweringRunner:
    """Implements `Runner` inside the process."""

    answers: Answers
    me: WorkerIdentity

    async def prepare(self, entry: Entry, assignment: Assignment) -> AnsweredRun:
        return AnsweredRun(self.answers, self.me)

    async def reattach(self, entry: Entry) -> WorkerGone:
        return WorkerGone(begun=True, same_boot=True, cause="the crowd was started again")

    def left_behind(self, journaled: Iterable[AttemptKey]) -> Iterable[Entry]:
        return ()

    def recovers(self, step_type: str) -> bool:
        return False

    async def recover(self, entry: Entry) -> Recovered:
        return Recovered(False, "nothing here recovers")

    async def probe(self, entry: Entry) -> Mapping[str, Any]:
        return {"answer": "unknown"}

    async def query(self, query: Query) -> QueryAnswer:
        return QueryAnswer(query.query_id, True, b'{"changes": [], "complete": true, "note": ""}')

    def log_of(self, key: AttemptKey) -> LogSource | None:
        return None

    def logs(self) -> Iterable[LogSource]:
        return ()

    def last_lines(self, key: AttemptKey) -> list[str]:
        return []

    def settle(self, key: AttemptKey) -> None:
        """Nothing is kept."""

    def log_sent(self, key: AttemptKey) -> None:
        """Nothing is kept."""


@dataclass(slots=True)
class Crowd:
    """What all agents of the process share."""

    catalogue: HostCatalogue
    pool: WorkerPool | None
    answers: Answers
    boot: str = field(default_factory=boot_id)

    async def live(self, state: StateDir) -> None:
        """Be the agent of one state folder until cancelled."""
        identity = load_identity(state.identity)
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        store, content = await loop.run_in_executor(
            thread, open_or_replace, state.journal, f"jrn_{uuid.uuid4().hex}", microseconds()
        )
        journal = Journal(content, ThreadedCommits(store, thread))
        outbox = Outbox(time.monotonic)
        runner = self._runner(state, identity)
        logs = LogFeed(runner.log_sent)
        policy = LocalPolicy(("*",), lambda: self.catalogue)
        failpoints = Failpoints.from_environment({})
        attempts = Attempts(AttemptParts(journal, runner, outbox, policy, logs, microseconds, failpoints), slots=SLOTS)
        await attempts.recover()
        session = SessionParts(
            journal=journal,
            attempts=attempts,
            outbox=outbox,
            logs=logs,
            inventory=lambda: Inventory(b"{}", self.catalogue.step_types, self.catalogue.quarantined),
            now=microseconds,
            failpoints=failpoints,
            agent_version="benchmark",
            instance_id=f"ins_{uuid.uuid4().hex}",
            boot_id=self.boot,
            slots=SLOTS,
        )

        async def dial() -> Transport:
            address = identity.enrolment.fleet_address
            return await GrpcTransport.open(fleet_channel(address, identity), address)

        try:
            await Connection(dial, session, Backoff(random.random)).run()
        finally:
            await attempts.close()
            await journal.close()

    def _runner(self, state: StateDir, identity: Identity) -> Runner:
        if self.pool is None:
            return AnsweringRunner(self.answers, WorkerIdentity(self.boot, os.getpid(), 1))
        parts = RunnerParts(
            host=identity.enrolment.host_name,
            facts=lambda: "{}",
            unseal=lambda context, name, blob: identity.sealing_key.unseal(context, name, blob),
            is_builtin=self.catalogue.is_builtin,
            recovers=self.catalogue.recovers,
            now=microseconds,
        )
        return LocalRunner(state.attempts, self.pool, parts, Limits(), Failpoints.from_environment({}))


async def gather(states: list[StateDir], runner: str) -> None:
    """Be all agents until SIGTERM."""
    stop = asyncio.Event()
    answers = Answers(asyncio.Event())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, answers.gate.set)
    if runner != "hold":
        answers.gate.set()
    catalogue = await probe_catalogue(os.environ)
    pool = WorkerPool(os.environ, spares=4, reusable=len(states)) if runner == "workers" else None
    crowd = Crowd(catalogue, pool, answers)
    agents = [asyncio.create_task(crowd.live(state)) for state in states]
    await stop.wait()
    for agent in agents:
        agent.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*agents, return_exceptions=True)
    if pool is not None:
        await pool.close()
    if runner == "hold":
        (states[0].path / "begun").write_text(json.dumps(answers.begun))


def main() -> None:
    """Be a crowd."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.crowd", description=__doc__)
    parser.add_argument("--runner", choices=("answer", "hold", "workers"), default="answer")
    parser.add_argument("states", nargs="+", type=Path)
    chosen = parser.parse_args()
    asyncio.run(gather([StateDir(path) for path in chosen.states], chosen.runner))


if __name__ == "__main__":
    main()
