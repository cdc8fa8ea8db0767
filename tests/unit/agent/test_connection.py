"""What the log hears of a link that cannot be had."""

import asyncio
import logging
from typing import Any

import pytest
from pilotage_agent.errors import LinkLost
from pilotage_agent.link import connection as module
from pilotage_agent.link.backoff import Backoff
from pilotage_agent.link.connection import Connection, LinkState


async def test_the_log_hears_the_same_reason_once_in_a_while_and_each_other_one_at_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = ["full"] * 50 + ["gone"] + ["full"] * 50
    told: list[LinkState] = []
    ended = asyncio.Event()

    async def dial() -> Any:
        if not reasons:
            ended.set()
            await asyncio.Event().wait()
        raise LinkLost(reasons.pop())

    backoff = Backoff(lambda: 0.0)
    monkeypatch.setattr(backoff, "next", lambda: 0.0)
    parts: Any = None
    caplog.set_level(logging.WARNING, "pilotage.agent.link")
    running = asyncio.create_task(Connection(dial, parts, backoff, told.append).run())
    async with asyncio.timeout(5):
        await ended.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [each.getMessage() for each in caplog.records] == [
        "not connected: full",
        "not connected: gone",
        "not connected: full",
    ]
    assert len(told) == 101

    caplog.clear()
    monkeypatch.setattr(module, "SAME_AGAIN_SECONDS", 0.0)
    reasons += ["full"] * 3
    ended.clear()
    running = asyncio.create_task(Connection(dial, parts, backoff).run())
    async with asyncio.timeout(5):
        await ended.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(caplog.records) == 3
