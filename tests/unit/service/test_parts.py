"""Work in the background of a coordinator: it ends with the coordinator, whatever becomes of a cancel."""

import asyncio
import contextlib

import pytest
from pilotage_coordinator import parts
from pilotage_coordinator.parts import Process, in_background


async def test_work_that_misses_a_cancel_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CANCEL_AGAIN_SECONDS", 0.01)
    missed = 0

    async def work() -> None:
        nonlocal missed
        while not missed:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                missed += 1
        await asyncio.Event().wait()

    process = Process(0, "", lambda prefix: prefix)
    async with asyncio.timeout(5), contextlib.AsyncExitStack() as stack:
        in_background(stack, process, work(), "work")
        await asyncio.sleep(0)
    assert (missed, process.failure) == (1, "")
