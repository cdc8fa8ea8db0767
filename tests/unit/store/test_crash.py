"""What happens to a store in a file when its process dies, when another wants it, and when the disk is full."""

import asyncio
import re
import resource
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from pilotage_coordinator.store.errors import StoreLocked
from pilotage_coordinator.store.sqlite import open_store

from tests.contract.store.records import NOW

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def child(path: Path, task: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.unit.store.committing_child",
        str(path),
        task,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    text = await asyncio.wait_for(process.stdout.readline(), 20)
    return text.decode().strip()


def note(said: dict[str, int], text: str) -> None:
    id, version = text.split()
    said[id] = int(version)


@pytest.mark.parametrize("acknowledged", [1, 40, 400])
async def test_what_was_acknowledged_survives_kill_9(path: Path, acknowledged: int) -> None:
    said: dict[str, int] = {}
    async with child(path, "commit") as process:
        for _ in range(acknowledged):
            note(said, await line(process))
        process.kill()
        assert process.stdout is not None
        for rest in (await process.stdout.read()).decode().splitlines(keepends=True):
            if rest.endswith("\n"):
                note(said, rest)
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_2")
    try:
        for id, version in said.items():
            found = await store.executions.get(id)
            assert version <= found.version <= version + 1
            events = await store.executions.events(id, limit=10_000)
            assert [event.sequence for event in events] == list(range(1, found.version + 2))
            assert len(await store.executions.attempt_keys(id, "backup", limit=10_000)) == found.version
        assert store.coordinator_id == "coo_1"
        assert (await store.audit.verify()).fault == ""
    finally:
        await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_second_process_is_refused_and_told_who_holds_the_database(path: Path) -> None:
    async with child(path, "hold") as process:
        assert await line(process) == "open"
        with pytest.raises(StoreLocked, match=rf"{re.escape(str(path))} is open in process {process.pid}\b"):
            await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_2")
        process.kill()
        await process.wait()
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_2")
    await store.close()


async def test_a_full_disk_refuses_whole_changes_and_is_well_again_later(path: Path) -> None:
    """The kernel's own limit on file size stands for the full disk: writes past it fail as they do there."""
    async with child(path, "hold") as first:
        assert await line(first) == "open"
    async with child(path, "fill") as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
        full = await line(process)
        assert full.startswith("full ")
        version = int(full.split()[1])
        assert version > 5
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert process.stdin is not None
        process.stdin.write(b"\n")
        assert await line(process) == "well"
        assert await asyncio.wait_for(process.wait(), 20) == 0
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_2")
    try:
        assert (await store.executions.get("exe_1")).version == version + 1
        assert len(await store.executions.events("exe_1")) == version + 2
        verdict = await store.audit.verify()
        assert (verdict.checked, verdict.fault) == (version + 1, "")
    finally:
        await store.close()


async def test_the_files_are_for_the_owner_alone(path: Path) -> None:
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    try:
        await store.begin_epoch()
        assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}
        assert {file.name for file in path.parent.iterdir()} == {
            "pilotage.db",
            "pilotage.db-wal",
            "pilotage.db-shm",
            "pilotage.db.lock",
        }
    finally:
        await store.close()
    assert {file.name for file in path.parent.iterdir()} == {"pilotage.db", "pilotage.db.lock"}
