"""A runner with real processes, without a coordinator: assignments in, results out."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pilotage_agent.attempts import AttemptParts, Attempts
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal import Journal
from pilotage_agent.journal_sqlite import ThreadedCommits, open_or_replace
from pilotage_agent.link.log_feed import LogFeed
from pilotage_agent.messages import (
    Assignment,
    Effect,
    LogAck,
    LogChunk,
    Progress,
    Result,
    ResultAck,
)
from pilotage_agent.outbox import Outbox
from pilotage_agent.runner.local import LocalRunner, RunnerParts
from pilotage_agent.runner.local_run import Limits
from pilotage_agent.runner.pool import WorkerPool
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.agent.world import AllowAll

RECOVERING = ("dummy.probe", "container.upgrade", "container.pause", "compose.up", "backup.create")


def microseconds() -> int:
    return time.time_ns() // 1000


def key(number: int = 1, attempt: int = 1) -> AttemptKey:
    return AttemptKey("exe_1", f"step{number}", "h1", "", AttemptKind.RUN, attempt)


class RunnerSite:
    """An agent's inside: journal, attempts, runner; what the link would send is kept here."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        root.mkdir(exist_ok=True)
        (root / "attempts").mkdir(exist_ok=True)
        store, content = open_or_replace(root / "journal.db", "jrn_1", 1)
        self.folder = root / "attempts"
        self.journal = Journal(content, ThreadedCommits(store, self._thread))
        self.pool = WorkerPool(os.environ, spares=1)
        parts = RunnerParts(
            host="h1",
            facts=lambda: '{"cpu_count": 2}',
            unseal=lambda context, name, blob: blob,
            is_builtin=lambda name: True,
            recovers=lambda name: name in RECOVERING,
            now=microseconds,
        )
        self.runner = LocalRunner(self.folder, self.pool, parts, limits, Failpoints())
        self.outbox = Outbox(time.monotonic)
        self.logs = LogFeed(self.runner.log_sent)
        self.logs.begin_session(1 << 30)
        attempts = AttemptParts(
            self.journal, self.runner, self.outbox, AllowAll(), self.logs, microseconds, Failpoints()
        )
        self.attempts = Attempts(attempts, 8)
        self.results: dict[AttemptKey, asyncio.Future[Result]] = {}
        self.chunks: dict[AttemptKey, list[LogChunk]] = {}
        self.progress: list[Progress] = []
        self._pump = asyncio.ensure_future(self._send())

    async def run(self, of: AttemptKey, step_type: str, seconds: float = 30.0, **parameters: Any) -> Result:
        self.assign(of, step_type, **parameters)
        return await self.result(of, seconds)

    def assign(self, of: AttemptKey, step_type: str, *, timeout_ms: int = 0, **parameters: Any) -> None:
        secrets = parameters.pop("secrets", {})
        self.attempts.assign(
            Assignment(
                key=of,
                epoch=1,
                plan_digest="sha256:0",
                step_type=step_type,
                effect=Effect(step_type.partition(".")[2]) if step_type.startswith("dummy.") else Effect.ONCE,
                parameters=json.dumps(parameters).encode(),
                timeout_ms=timeout_ms,
                secrets=secrets,
            )
        )

    async def result(self, of: AttemptKey, seconds: float = 30.0) -> Result:
        return await asyncio.wait_for(asyncio.shield(self._future(of)), seconds)

    def lines(self, of: AttemptKey) -> list[str]:
        data = b"".join(chunk.data for chunk in self.chunks.get(of, []))
        return [json.loads(line)["m"] for line in data.splitlines()]

    def acknowledge(self, of: AttemptKey) -> None:
        self.attempts.acknowledge(ResultAck(of))

    async def close(self) -> None:
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        await self.attempts.close()
        await self.runner.close()
        await self.journal.close()

    def _future(self, of: AttemptKey) -> "asyncio.Future[Result]":
        return self.results.setdefault(of, asyncio.get_running_loop().create_future())

    async def _send(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self.outbox.wait(), 0.1)
            except TimeoutError:
                self.logs.look()
            self.progress += self.logs.progress()
            for item in self.outbox.take():
                if isinstance(item, Result) and not self._future(item.key).done():
                    self._future(item.key).set_result(item)
            while (chunk := await self.logs.next_chunk()) is not None:
                self.chunks.setdefault(chunk.key, []).append(chunk)
                self.logs.acknowledge(LogAck(chunk.key, chunk.offset + len(chunk.data)))


@asynccontextmanager
async def runner_site(root: Path, limits: Limits | None = None) -> AsyncIterator[RunnerSite]:
    site = RunnerSite(root, limits or Limits())
    try:
        await site.attempts.recover()
        yield site
    finally:
        await site.close()
