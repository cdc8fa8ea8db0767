"""Questions to a history of a million executions, through the HTTP API."""

import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pilotage_coordinator.store.sqlite.store import open_store

from tests.benchmarks.figure import Figure, Report
from tests.benchmarks.sample import percentile
from tests.benchmarks.site import Site

EXECUTIONS = 1_000_000
BLUEPRINTS = 20
ASKED = 500
STATES = ("completed",) * 17 + ("failed", "cancelled", "rolled_back")
_PLAN = "sha256:" + "0" * 64


async def measure(folder: Path, quick: bool = False) -> Report:
    """Fill a database, start a coordinator on it, and ask."""
    number = EXECUTIONS // 20 if quick else EXECUTIONS
    site = Site(folder / "history")
    try:
        state = site.database.parent
        state.mkdir(mode=0o700)
        now = time.time_ns() // 1000
        store = await open_store(site.database, now=now, new_id=lambda prefix: f"{prefix}_benchmark")
        await store.close()
        _fill(site.database, now, number)
        plain = _ask_sql(site.database)
        await site.start()
        client = site.client
        one = await _ask(lambda n: client.list_runs(blueprint=f"nightly_{n % BLUEPRINTS}", limit=50))
        failed = await _ask(
            lambda n: client.list_runs(blueprint=f"nightly_{n % BLUEPRINTS}", states=["failed"], limit=50)
        )
        newest = await _ask(lambda _: client.list_runs(limit=50))
        health = await _ask(lambda _: client.healthy())
    finally:
        await site.close()
    empty = f"an empty answer takes p50 {percentile(health, 50):.2f} ms, p99 {percentile(health, 99):.2f} ms"
    sql = percentile(plain, 50)
    figures = [
        Figure("last 50 of a workflow, p50", percentile(one, 50), "ms", sql),
        Figure("last 50 of a workflow, p99", percentile(one, 99), "ms", percentile(plain, 99), "<= 5 ms"),
        Figure("last 50 failed of a workflow, p50", percentile(failed, 50), "ms"),
        Figure("last 50 failed of a workflow, p99", percentile(failed, 99), "ms", None, "<= 5 ms"),
        Figure("last 50 of all, p99", percentile(newest, 99), "ms"),
    ]
    return Report("history", f"History of {number:,} executions", figures, (f"ceiling: the bare SQL; {empty}",))


def _fill(database: Path, now: int, executions: int) -> None:
    """Write the rows as the store does, with its indexes and counters."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    connection.execute("INSERT INTO plans VALUES (?, '{}', '{}', ?)", (_PLAN, now))
    connection.executemany(
        "INSERT INTO workflow_executions (id, blueprint_id, blueprint_version, plan_digest, requested_by, created_at,"
        " version, sequence, status, reason, outcome, started_at, ended_at, counts, warnings)"
        " VALUES (?, ?, '1.0.0', ?, 'root', ?, 7, 31, ?, '', ?, ?, ?, '{\"succeeded\":12}', '[]')",
        (_row(number, now - (executions - number) * 1_000_000) for number in range(executions)),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _row(number: int, at: int) -> tuple[object, ...]:
    state = STATES[number % len(STATES)]
    blueprint = f"nightly_{number // len(STATES) % BLUEPRINTS}"
    return (f"exe_{number:032x}", blueprint, _PLAN, at, state, state, at, at + 500_000)


async def _ask(question: Callable[[int], Awaitable[object]]) -> list[float]:
    """Ask again and again; return the milliseconds of each answer."""
    times: list[float] = []
    for number in range(ASKED):
        began = time.perf_counter()
        await question(number)
        times.append((time.perf_counter() - began) * 1000)
    return times[ASKED // 10 :]


def _ask_sql(database: Path) -> list[float]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    times: list[float] = []
    for number in range(ASKED):
        began = time.perf_counter()
        connection.execute(
            "SELECT * FROM workflow_executions WHERE blueprint_id = ? ORDER BY number DESC LIMIT 50",
            (f"nightly_{number % BLUEPRINTS}",),
        ).fetchall()
        times.append((time.perf_counter() - began) * 1000)
    connection.close()
    return times[ASKED // 10 :]
