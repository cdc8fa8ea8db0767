"""The ceiling: steps over a bare grpc.aio stream with mutual TLS and bare stores, with as many fsyncs and journal files
as Pilotage has, and no code of it. No protobuf, no rules, no recovery: what is left is what the parts themselves cost.

`python -m tests.benchmarks.bare serve FOLDER` stores each step in SQLite (one group commit for all who wait) and sends
the next; `python -m tests.benchmarks.bare agents FOLDER PLACE PORT KIND AGENTS STEPS` is many agents in one process,
whose journals are files in PLACE.
"""

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from tests.benchmarks.certificates import NAME, credentials_of

METHOD = "/bare.Fleet/Session"
ASSIGNMENT = b"a" * 350
RESULT = b"r" * 400
EVENT = "e" * 300
JOURNALED = b"j" * 700
FSYNCS = {"once": 2, "answer": 2, "read": 1}
"""Journal fsyncs in one step: STARTED and EXITED; a step that may be repeated needs none for STARTED."""
FSYNC_THREADS = 32


# --- the coordinator's side ---------------------------------------------------------------------------------------


class GroupCommit:
    """One SQLite connection on one thread; who waits while a transaction runs shares the next."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE events (agent TEXT, step INTEGER, body TEXT, PRIMARY KEY (agent, step))")
        self._waiting: list[tuple[tuple[str, int, str], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def store(self, agent: str, step: int) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((agent, step, EVENT), done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, [row for row, _ in group])
            for _, done in group:
                done.set_result(None)
        self._writer = None

    def _commit(self, rows: list[tuple[str, int, str]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")


async def serve(folder: Path) -> None:
    """Serve until killed; prints the port."""
    store = GroupCommit(folder / "bare.db")
    number = iter(range(1_000_000))

    async def session(_: Any, context: Any) -> None:
        agent, step = f"agent {next(number)}", 0
        while True:
            await store.store(agent, step)
            await context.write(ASSIGNMENT)
            if await context.read() is grpc.aio.EOF:
                return
            step += 1

    server = grpc.aio.server()
    handler: Any = grpc.stream_stream_rpc_method_handler(session)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Fleet", {"Session": handler}),))
    key, chain, authority = credentials_of(folder, "server")
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)], authority, True))
    await server.start()
    print(port, flush=True)
    await asyncio.Event().wait()


# --- the agents' side ---------------------------------------------------------------------------------------------


class Workers:
    """A process that forks one child for each step (`once`), or is itself the reused worker (`read`)."""

    def __init__(self, folder: Path, *, fork: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.benchmarks.bare_worker", str(theirs.fileno()), str(folder), str(fork)]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._asked = 0
        asyncio.get_running_loop().add_reader(ours.fileno(), self._answered)

    async def work(self) -> None:
        """Return when a worker has done a step."""
        self._asked += 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[self._asked] = done
        self._socket.send(str(self._asked).encode())
        await done

    def _answered(self) -> None:
        while True:
            try:
                answer = self._socket.recv(64)
            except BlockingIOError:
                return
            self._waiting.pop(int(answer)).set_result(None)

    def close(self) -> None:
        """End the process, which first waits for its children."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._process.wait()


async def be_agents(folder: Path, place: Path, port: int, kind: str, agents: int, steps: int) -> None:
    """Do so many steps at each of so many agents; prints when each began and ended, as JSON."""
    threads = ThreadPoolExecutor(max_workers=FSYNC_THREADS)
    workers = None if kind == "answer" else Workers(place, fork=kind == "once")
    assigned: list[list[int]] = []
    finished: list[int] = []
    key, chain, authority = credentials_of(folder, "agent")
    credentials = grpc.ssl_channel_credentials(authority, key, chain)

    async def agent(number: int) -> None:
        journal = os.open(place / f"journal-{number}", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        loop = asyncio.get_running_loop()

        def append() -> None:
            os.write(journal, JOURNALED)
            os.fsync(journal)

        times: list[int] = []
        assigned.append(times)
        options = (("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1))
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
            call: Any = channel.stream_stream(METHOD)()
            for _ in range(steps):
                await call.read()
                times.append(time.time_ns() // 1000)
                for _ in range(FSYNCS[kind] - 1):
                    await loop.run_in_executor(threads, append)
                if workers is not None:
                    await workers.work()
                await loop.run_in_executor(threads, append)
                await call.write(RESULT)
                finished.append(time.time_ns() // 1000)
            await call.read()
            call.cancel()
        os.close(journal)

    began = sum(os.times()[:4])
    await asyncio.gather(*(agent(number) for number in range(agents)))
    if workers is not None:
        workers.close()
    cpu = sum(os.times()[:4]) - began
    print(json.dumps({"assigned": assigned, "finished": finished, "cpu": cpu}), flush=True)


def main(arguments: list[str]) -> None:
    """Be one side."""
    if arguments[0] == "serve":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(Path(arguments[1])))
    else:
        folder, place, port, kind, agents, steps = arguments[1:]
        asyncio.run(be_agents(Path(folder), Path(place), int(port), kind, int(agents), int(steps)))


if __name__ == "__main__":
    main(sys.argv[1:])
