"""Restored databases put to the test: the engine loads them, checks them, and answers a question."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pilotage_plugin_api import StepContext, StepFailed

from pilotage_plugins.backup import scratch_mysql, scratch_postgresql
from pilotage_plugins.backup.server import Engine
from pilotage_plugins.backup.sqlite_copy import ask, integrity_problems, tables_and_rows

ANSWER_LIMIT: Final = 2000
SERVER_BASE: Final = Path("/var/tmp")  # noqa: S108 - the folder made there has mode 0700 and is refused when taken


@dataclass(frozen=True, slots=True)
class Tried:
    """What came out. `load_s`: what it took until the database could be asked; part of the time to recover."""

    integrity: str
    tables: int | None = None
    rows: int | None = None
    answer: str | None = None
    load_s: float = 0.0


class ScratchServer(Protocol):
    """Port: a server of some engine, made for one dump."""

    async def load(self, dump: Path) -> None:
        """Load a dump; raises StepFailed at its first error."""

    async def count(self) -> tuple[int, int]:
        """Return how many tables there are, and how many rows in them."""

    async def ask(self, query: str) -> str:
        """Return the answer to a query as text."""


async def put_to_the_test(
    ctx: StepContext, engine: str, restored: Path, snapshot_id: str, scratch: Path | None, query: str | None
) -> Tried:
    """Try a restored copy; raises StepFailed when it is no good. A dump that cannot be loaded here is told as such."""
    if engine == Engine.SQLITE:
        return await _sqlite(ctx, restored, snapshot_id, query)
    folder = (scratch or SERVER_BASE) / f"pilotage-{snapshot_id[:12]}"
    if engine == Engine.POSTGRESQL:
        return await _loaded(ctx, scratch_postgresql.scratch_server(ctx, folder), restored, query)
    if reason := await asyncio.to_thread(scratch_mysql.why_not_loaded, ctx, restored):
        if query:
            raise StepFailed(f"the dump of {engine} answers no query, as it cannot be loaded: {reason}")
        return Tried(f"complete; not loaded: {reason}")
    return await _loaded(ctx, scratch_mysql.scratch_server(ctx, folder), restored, query)


async def _sqlite(ctx: StepContext, copy: Path, snapshot_id: str, query: str | None) -> Tried:
    problems = await asyncio.to_thread(integrity_problems, copy, quick=False, stop=ctx.cancel.is_set)
    if problems:
        raise StepFailed(f"the database restored from snapshot {snapshot_id} is damaged: {'; '.join(problems[:5])}")
    tables, rows = await asyncio.to_thread(tables_and_rows, copy, ctx.cancel.is_set)
    answer = await asyncio.to_thread(ask, copy, query, ctx.cancel.is_set) if query else None
    return Tried("ok", tables, rows, None if answer is None else answer[:ANSWER_LIMIT])


async def _loaded(
    ctx: StepContext, starting: AbstractAsyncContextManager[ScratchServer], dump: Path, query: str | None
) -> Tried:
    async with starting as server:
        started = ctx.clock()
        ctx.progress(None, "loading the dump into a scratch server")
        await server.load(dump)
        load_s = ctx.clock() - started
        tables, rows = await server.count()
        answer = (await server.ask(query))[:ANSWER_LIMIT] if query else None
    return Tried("loaded", tables, rows, answer, load_s)
