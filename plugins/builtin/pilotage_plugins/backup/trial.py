"""Restored databases put to the test: the engine loads them, checks them, and answers a question."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext, StepFailed

from pilotage_plugins.backup.scratch_postgresql import scratch_server
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


async def put_to_the_test(
    ctx: StepContext, engine: str, restored: Path, snapshot_id: str, scratch: Path | None, query: str | None
) -> Tried:
    """Try a restored copy; raises StepFailed when it is no good. A dump of MySQL is not loaded, and that is said."""
    if engine == Engine.SQLITE:
        return await _sqlite(ctx, restored, snapshot_id, query)
    if engine == Engine.POSTGRESQL:
        return await _postgresql(ctx, restored, (scratch or SERVER_BASE) / f"pilotage-{snapshot_id[:12]}", query)
    if query:
        raise StepFailed(f"a dump of {engine} is compared, not loaded, so it answers no query: leave `query` out")
    return Tried("complete; not loaded")


async def _sqlite(ctx: StepContext, copy: Path, snapshot_id: str, query: str | None) -> Tried:
    problems = await asyncio.to_thread(integrity_problems, copy, quick=False, stop=ctx.cancel.is_set)
    if problems:
        raise StepFailed(f"the database restored from snapshot {snapshot_id} is damaged: {'; '.join(problems[:5])}")
    tables, rows = await asyncio.to_thread(tables_and_rows, copy, ctx.cancel.is_set)
    answer = await asyncio.to_thread(ask, copy, query, ctx.cancel.is_set) if query else None
    return Tried("ok", tables, rows, None if answer is None else answer[:ANSWER_LIMIT])


async def _postgresql(ctx: StepContext, dump: Path, folder: Path, query: str | None) -> Tried:
    async with scratch_server(ctx, folder) as server:
        started = ctx.clock()
        ctx.progress(None, "loading the dump into a scratch server")
        await server.load(dump)
        load_s = ctx.clock() - started
        tables, rows = await server.count()
        answer = (await server.ask(query))[:ANSWER_LIMIT] if query else None
    return Tried("loaded", tables, rows, answer, load_s)
