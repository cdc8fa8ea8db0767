"""A process that commits changes as fast as it can and says each that was acknowledged, until it is killed."""

import asyncio
import os
import sys
from pathlib import Path

from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_coordinator.store.sqlite import SqliteStore, open_store

from tests.contract.store.records import NOW, PLAN, attempt, audit, change, creation, key

EXECUTIONS = 8


async def commit_for_ever(store: SqliteStore, id: str) -> None:
    await store.executions.create(creation(id))
    version = 0
    while True:
        await store.executions.commit(
            change(id, version, attempts=(attempt(key(id, attempt=version + 1)),), audit=(audit(),))
        )
        version += 1
        os.write(1, f"{id} {version}\n".encode())


async def fill(store: SqliteStore) -> None:
    """Commit until the disk refuses, and say `full`; then, told that there is space again, commit on and say `well`."""
    await store.executions.create(creation("exe_1"))
    version = 0
    detail = {"text": "x" * 20_000}
    try:
        while True:
            await store.executions.commit(change("exe_1", version, audit=(audit(detail=detail),)))
            version += 1
    except StoreUnavailable as error:
        os.write(1, f"full {version} {error}\n".encode())
    await asyncio.to_thread(sys.stdin.readline)
    await store.executions.commit(change("exe_1", version, audit=(audit(detail=detail),)))
    os.write(1, b"well\n")


async def main(path: Path, task: str) -> None:
    store = await open_store(path, now=NOW, new_id=lambda prefix: f"{prefix}_1")
    try:
        await store.plans.put(PLAN)
        if task == "hold":
            os.write(1, b"open\n")
            await asyncio.to_thread(sys.stdin.readline)
        elif task == "fill":
            await fill(store)
        else:
            await asyncio.gather(*(commit_for_ever(store, f"exe_{n}") for n in range(EXECUTIONS)))
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
