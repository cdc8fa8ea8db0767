"""The agent's side of the zygote when the machine has no room for another process."""

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pilotage_agent.errors import WorkerLost
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.runner import pool as pool_module
from pilotage_agent.runner.call import StepTypes
from pilotage_agent.runner.fork_handlers import ForkHandlers
from pilotage_agent.runner.inherited_loop import InheritedLoop
from pilotage_agent.runner.pool import WorkerPool
from pilotage_agent.runner.worker import Stage, StopSignal
from pilotage_agent.runner.zygote import Zygote
from pilotage_plugin_api.catalogue import Catalogue

WAITS = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]


class PlayedZygote(WorkerPool):
    """A pool whose zygote is played by the test, which reads what is asked and answers."""

    other_side: socket.socket

    def __init__(self) -> None:
        super().__init__({}, spares=1)
        self._spawned = threading.Event()

    def _spawn(self, theirs: socket.socket) -> "subprocess.Popen[bytes]":
        self.other_side = theirs.dup()
        self.other_side.setblocking(False)
        self._spawned.set()
        return subprocess.Popen(WAITS, stdin=subprocess.DEVNULL)

    async def asked(self) -> int:
        """Wait for the next request for workers."""
        assert await asyncio.to_thread(self._spawned.wait, 5.0)
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.other_side, 4096), 5.0)
        return int(json.loads(data)["fork"])

    def refuse(self) -> None:
        """Answer that one worker could not be made."""
        self.other_side.send(json.dumps({"failed": "no room"}).encode())

    def deliver(self, process: "subprocess.Popen[bytes]") -> None:
        """Answer with a worker: any process will do."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(self.other_side, [json.dumps({"worker": process.pid}).encode()], [ours.fileno()])


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    """Give a process that lives as long as the test."""
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE) as process:
        yield process


@pytest.fixture
async def pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PlayedZygote]:
    monkeypatch.setattr(pool_module, "RETRY_SECONDS", (0.01, 0.04))
    pool = PlayedZygote()
    yield pool
    pool.other_side.close()
    await pool.close()


async def test_a_worker_that_could_not_be_made_is_asked_for_again(
    pool: PlayedZygote, process: "subprocess.Popen[bytes]"
) -> None:
    taking = asyncio.ensure_future(pool.take(reuse=False))
    for _ in range(3):
        assert await pool.asked() == 2
        pool.refuse()
        pool.refuse()
    assert await pool.asked() == 2
    pool.deliver(process)
    worker = await asyncio.wait_for(taking, 5.0)
    assert worker.identity.pid == process.pid
    pool.return_unused(worker)


async def test_a_spare_that_could_not_be_made_is_asked_for_again(
    pool: PlayedZygote, process: "subprocess.Popen[bytes]"
) -> None:
    taking = asyncio.ensure_future(pool.take(reuse=False))
    assert await pool.asked() == 2
    pool.deliver(process)
    worker = await asyncio.wait_for(taking, 5.0)
    pool.refuse()
    assert await pool.asked() == 1
    pool.return_unused(worker)


async def test_a_worker_whose_socket_found_no_room_is_asked_for_again(
    pool: PlayedZygote, process: "subprocess.Popen[bytes]"
) -> None:
    taking = asyncio.ensure_future(pool.take(reuse=False))
    assert await pool.asked() == 2
    pool.other_side.send(json.dumps({"worker": process.pid}).encode())
    pool.deliver(process)
    assert await pool.asked() == 1
    pool.return_unused(await asyncio.wait_for(taking, 5.0))


async def test_an_agent_without_descriptors_cannot_start_a_zygote_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_free(*_: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socketpair", none_free)
    pool = WorkerPool({})
    with pytest.raises(WorkerLost, match="Too many open files"):
        await pool.take(reuse=False)
    monkeypatch.undo()
    await pool.close()


async def test_a_wait_without_end_says_why(pool: PlayedZygote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "START_SECONDS", 0.05)
    taking = asyncio.ensure_future(pool.take(reuse=False))
    await pool.asked()
    pool.refuse()
    with pytest.raises(WorkerLost, match="no room"):
        await taking
    pool.refuse()
    assert await pool.asked() == 1, "nobody waits any more: only the spare is wanted"


async def test_a_worker_that_comes_as_the_wait_is_cancelled_is_kept_and_begins_nothing(
    pool: PlayedZygote, process: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = asyncio.ensure_future(pool.take(reuse=False))

    def arrived_and_cancelled(pid: int, channel: socket.socket) -> None:
        WorkerPool._arrived(pool, pid, channel)
        taking.cancel()

    monkeypatch.setattr(pool, "_arrived", arrived_and_cancelled)
    await pool.asked()
    pool.deliver(process)
    with pytest.raises(asyncio.CancelledError):
        await taking
    worker = await asyncio.wait_for(pool.take(reuse=False), 5.0)
    assert worker.identity.pid == process.pid
    pool.return_unused(worker)


async def test_a_worker_that_comes_as_the_time_is_up_is_taken(
    pool: PlayedZygote, process: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    taking = asyncio.ensure_future(pool.take(reuse=False))
    await pool.asked()
    pool.deliver(process)
    later = loop.time() + pool_module.START_SECONDS
    monkeypatch.setattr(loop, "time", lambda: later)
    worker = await taking
    monkeypatch.undo()
    assert worker.identity.pid == process.pid
    pool.return_unused(worker)


def test_the_zygote_lives_on_when_it_cannot_fork(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    agent, zygote_side = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    loop = InheritedLoop()
    request.addfinalizer(loop.close)
    before = signal.getsignal(signal.SIGTERM)
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, before))
    stage = Stage(loop, StopSignal(loop), StepTypes(Catalogue(step_types={})), ForkHandlers(), Failpoints())
    zygote = Zygote(zygote_side, stage)

    def no_room() -> Any:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_room)
    with agent, zygote_side:
        agent.send(json.dumps({"fork": 2}).encode())
        assert zygote._serve_agent(zygote_side)
        answers = [json.loads(agent.recv(4096)) for _ in range(2)]
    assert all("Resource temporarily unavailable" in answer["failed"] for answer in answers)
