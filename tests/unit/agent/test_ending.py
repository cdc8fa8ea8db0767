"""A cancel that comes in the very turns of the loop in which what is waited for happens: it ends the work all the same.

Else nobody ends it any more, and the stop of the agent waits for ever.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pilotage_agent import catalogue
from pilotage_agent.agent import Agent
from pilotage_agent.config import AgentConfig
from pilotage_agent.errors import LinkLost
from pilotage_agent.link.backoff import Backoff
from pilotage_agent.link.connection import Connection
from pilotage_agent.link.grpc_transport import GrpcTransport
from pilotage_agent.messages import Hello
from pilotage_agent.outbox import Outbox
from pilotage_agent.runner.pool import Worker

from tests.unit.agent.test_session import WELCOME, MemoryTransport, session
from tests.unit.agent.world import Host, World

between = pytest.mark.parametrize("turns", range(5))
"""How many turns of the loop lie between what happens and the cancel."""


async def turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def ends(work: "asyncio.Task[Any]", happens: Callable[[], None], turns: int) -> bool:
    """Let happen what the work waits for, and cancel it so many turns later; says whether it was then cancelled, unless
    it had come to its end before."""
    await turn(10)
    assert not work.done()
    happens()
    await turn(turns)
    late = not work.cancel()
    await turn(50)
    ended = late or work.cancelled()
    while not work.done():
        work.cancel()
        await turn(50)
    return ended


@between
async def test_a_link_that_is_to_dial_again(turns: int) -> None:
    async def dial() -> Any:
        raise LinkLost("gone")

    parts: Any = None
    connection = Connection(dial, parts, Backoff(lambda: 0.5))
    assert await ends(asyncio.create_task(connection.run()), connection.redial, turns)


@between
async def test_a_session_that_is_welcomed(turns: int) -> None:
    transport = MemoryTransport()
    work = asyncio.create_task(session(await Host(World()).recover(), transport).run())
    await transport.wait_for(Hello)
    assert await ends(work, lambda: transport.inbox.put_nowait(WELCOME), turns)


@between
async def test_a_look_at_the_host_that_is_asked_for(
    turns: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def look() -> bool:
        return False

    agent = Agent.__new__(Agent)
    agent._config = AgentConfig(tmp_path)
    agent._refresh = asyncio.Event()
    monkeypatch.setattr(agent, "_look", look)
    work = asyncio.create_task(agent._keep_looking(Outbox(lambda: 0.0)))
    assert await ends(work, agent._refresh.set, turns)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


@between
async def test_a_channel_that_is_connected(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    connected, closed = asyncio.Event(), asyncio.Event()

    async def close() -> None:
        closed.set()

    channel: Any = SimpleNamespace(channel_ready=connected.wait, close=close)
    monkeypatch.setattr(GrpcTransport, "__init__", lambda self, channel: None)
    work = asyncio.create_task(GrpcTransport.open(channel, "here"))
    assert await ends(work, connected.set, turns)
    assert closed.is_set() == work.cancelled()


@between
async def test_a_worker_whose_end_is_explained(turns: int) -> None:
    worker = Worker.__new__(Worker)
    worker.status, worker.status_known = 0, asyncio.Event()
    assert await ends(asyncio.create_task(worker.ending()), worker.status_known.set, turns)


@between
async def test_a_list_of_plugins_that_comes(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = asyncio.Event()

    async def communicate() -> tuple[bytes, bytes]:
        await printed.wait()
        return b"{}", b""

    async def start(*_: Any, **__: Any) -> Any:
        async def ended() -> int:
            return 0

        return SimpleNamespace(communicate=communicate, wait=ended, pid=0, returncode=0)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    monkeypatch.setattr(os, "killpg", lambda pid, number: None)
    assert await ends(asyncio.create_task(catalogue.probe_holdings({})), printed.set, turns)
