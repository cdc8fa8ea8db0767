"""The agent's side of the zygote: workers in reserve, workers at work, and what became of them."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakSet

from pilotage_agent.errors import WorkerLost
from pilotage_agent.ledger import WorkerIdentity
from pilotage_agent.runner.frames import FrameBroken, FrameReader, pack
from pilotage_agent.runner.process import boot_id, start_time

_log = logging.getLogger("pilotage.agent.runner")

START_SECONDS: Final = 30.0
"""How long a first worker may take: the zygote must start and import."""

RETRY_SECONDS: Final = (0.1, 5.0)
"""The first pause after a worker could not be made, and the longest; each is twice the one before."""

STATUS_SECONDS: Final = 0.5
"""How long to wait for the zygote's word on how a worker ended."""

_ENVIRONMENT: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "PILOTAGE_FAILPOINT",
    "PYTHONPATH",
)


class Worker:
    """A worker process that waits for a job or has one."""

    def __init__(self, identity: WorkerIdentity, channel: socket.socket) -> None:
        self.identity = identity
        self.exited = asyncio.Event()
        self.status: int | None = None
        self.status_known = asyncio.Event()
        self._channel = channel
        self._frames = FrameReader()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._loop = asyncio.get_running_loop()
        self._handle: int | None = os.pidfd_open(identity.pid)
        channel.setblocking(False)
        self._loop.add_reader(channel.fileno(), self._readable)
        self._loop.add_reader(self._handle, self._gone)

    async def hand_over(self, message: Mapping[str, Any]) -> "asyncio.Future[dict[str, Any]]":
        """Give the worker its job; the future is its answer, or WorkerLost when it ends without one."""
        answer: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._answer = answer
        if self.exited.is_set():
            self._fail(answer)
        else:
            with contextlib.suppress(OSError):
                await self._loop.sock_sendall(self._channel, pack(dict(message)))
        return answer

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to exactly this process."""
        if not self.exited.is_set() and self._handle is not None:
            with contextlib.suppress(ProcessLookupError, OSError):
                signal.pidfd_send_signal(self._handle, number)

    def dismiss(self) -> None:
        """Let an idle worker end."""
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()

    def release(self) -> None:
        """Leave the process to itself: one without a job ends, one with a job goes on."""
        self.dismiss()
        if self._handle is not None:
            self._loop.remove_reader(self._handle)
            os.close(self._handle)
            self._handle = None

    async def ending(self) -> str:
        """Say how the process ended, for people."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STATUS_SECONDS):
                await self.status_known.wait()
        return describe_status(self.status)

    def _readable(self) -> None:
        try:
            data = self._channel.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.dismiss()
            return
        try:
            messages = self._frames.feed(data)
        except FrameBroken as error:
            _log.error("worker %d: %s", self.identity.pid, error)
            self.signal(signal.SIGKILL)
            return
        for message in messages:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)

    def _gone(self) -> None:
        if self._handle is not None:
            self._loop.remove_reader(self._handle)
            os.close(self._handle)
            self._handle = None
        while self._channel.fileno() >= 0:
            before = self._answer is not None and self._answer.done()
            self._readable()
            if self._channel.fileno() < 0 or before:
                break
            if not self._has_data():
                break
        self.exited.set()
        self.dismiss()
        if self._answer is not None and not self._answer.done():
            self._fail(self._answer)

    def _has_data(self) -> bool:
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def _fail(self, answer: "asyncio.Future[dict[str, Any]]") -> None:
        answer.set_exception(WorkerLost(f"worker {self.identity.pid} ended without an answer"))


class WorkerPool:
    """Keeps a few forked workers ready once the first was wanted; starts the zygote when it is needed."""

    def __init__(self, environment: Mapping[str, str], *, spares: int = 2, reusable: int = 4) -> None:
        self._environment = {name: environment[name] for name in _ENVIRONMENT if name in environment}
        self._spares = spares
        self._reusable = reusable
        self._boot = boot_id()
        self._fresh: deque[Worker] = deque()
        self._used: list[Worker] = []
        self._wanted: deque[asyncio.Future[Worker]] = deque()
        self._asked = 0
        self._known: dict[int, Worker] = {}
        self._living: WeakSet[Worker] = WeakSet()
        self._zygote: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting: asyncio.Lock = asyncio.Lock()
        self._pause = RETRY_SECONDS[0]
        self._retry: asyncio.TimerHandle | None = None
        self._trouble = ""

    async def take(self, *, reuse: bool) -> Worker:
        """Return a worker that has run nothing, or with `reuse` one that may have; raises WorkerLost."""
        while reuse and self._used:
            worker = self._used.pop()
            if not worker.exited.is_set():
                return worker
        if self._zygote is None:
            await self._start()
        while self._fresh:
            worker = self._fresh.popleft()
            if not worker.exited.is_set():
                self._replenish()
                return worker
        wanted: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._wanted.append(wanted)
        self._replenish()
        try:
            async with asyncio.timeout(START_SECONDS):
                return await wanted
        except TimeoutError:
            if _has_come(wanted):
                return wanted.result()
            raise WorkerLost(f"no worker process came within {START_SECONDS:.0f} s{self._trouble}") from None
        except asyncio.CancelledError:
            if _has_come(wanted):
                self.return_unused(wanted.result())
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._wanted.remove(wanted)

    def give_back(self, worker: Worker) -> None:
        """Keep a worker that is fit for another reusable attempt."""
        if len(self._used) < self._reusable and not worker.exited.is_set():
            self._used.append(worker)
        else:
            worker.dismiss()

    def return_unused(self, worker: Worker) -> None:
        """Keep a worker that was taken and never given a job."""
        if not worker.exited.is_set():
            self._fresh.append(worker)

    @property
    def zygote_pid(self) -> int | None:
        """The zygote's pid, once it runs."""
        return None if self._process is None else self._process.pid

    async def close(self) -> None:
        """Let idle workers and the zygote end; workers with a job go on."""
        for worker in self._living:
            worker.release()
        self._fresh.clear()
        self._used.clear()
        self._drop_zygote("the agent stops")

    async def _start(self) -> None:
        async with self._starting:
            if self._zygote is not None:
                return
            try:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            except OSError as error:
                raise WorkerLost(f"the worker zygote cannot be started: {error}") from error
            try:
                self._process = await asyncio.to_thread(self._spawn, theirs)
            except OSError as error:
                ours.close()
                raise WorkerLost(f"the worker zygote cannot be started: {error}") from error
            finally:
                theirs.close()
            ours.setblocking(False)
            self._asked = 0
            self._zygote = ours
            asyncio.get_running_loop().add_reader(ours.fileno(), self._from_zygote)

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "pilotage_agent.runner", "zygote", str(theirs.fileno())],
            # Symbols are looked up once in the zygote, not in every worker.
            env={**self._environment, "LD_BIND_NOW": "1"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def _replenish(self) -> None:
        """Ask for what is missing, unless a failure was just met: then the timer does."""
        missing = self._spares + len(self._wanted) - len(self._fresh) - self._asked
        if missing > 0 and self._zygote is not None and self._retry is None:
            try:
                self._zygote.send(json.dumps({"fork": missing}).encode())
            except BlockingIOError:
                self._try_later("the zygote is busy")
                return
            except OSError as error:
                self._drop_zygote(str(error))
                return
            self._asked += missing

    def _try_later(self, why: str) -> None:
        """Ask again after a pause that grows: a machine without room for a process is not helped by asking."""
        self._trouble = f": {why}"
        if self._retry is None:
            _log.warning("no worker can be made now (%s); trying again in %.1f s", why, self._pause)
            self._retry = asyncio.get_running_loop().call_later(self._pause, self._try_again)
            self._pause = min(self._pause * 2, RETRY_SECONDS[1])

    def _try_again(self) -> None:
        self._retry = None
        self._replenish()

    def _from_zygote(self) -> None:
        assert self._zygote is not None
        while True:
            try:
                data, handles, _, _ = socket.recv_fds(self._zygote, 4096, 4)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, handles = b"", []
            if not data:
                self._drop_zygote("it ended")
                return
            message = json.loads(data)
            if "worker" in message and not handles:
                # The worker ends by itself, as nobody holds the other end of its socket.
                self._asked = max(0, self._asked - 1)
                self._try_later("this process has no descriptor free for its socket")
            elif "worker" in message:
                self._arrived(int(message["worker"]), socket.socket(fileno=handles[0]))
            elif "failed" in message:
                self._asked = max(0, self._asked - 1)
                self._try_later(str(message["failed"]))
            else:
                self._buried(int(message["exit"]), int(message["status"]))

    def _arrived(self, pid: int, channel: socket.socket) -> None:
        self._asked = max(0, self._asked - 1)
        began = start_time(pid)
        if began is None:
            channel.close()
            self._try_later("it ended at once")
            return
        try:
            worker = Worker(WorkerIdentity(self._boot, pid, began), channel)
        except OSError as error:
            channel.close()
            self._try_later(str(error))
            return
        self._pause, self._trouble = RETRY_SECONDS[0], ""
        self._known[pid] = worker
        self._living.add(worker)
        while self._wanted:
            wanted = self._wanted.popleft()
            if not wanted.done():
                wanted.set_result(worker)
                return
        self._fresh.append(worker)

    def _buried(self, pid: int, status: int) -> None:
        worker = self._known.pop(pid, None)
        if worker is not None:
            worker.status = status
            worker.status_known.set()

    def _drop_zygote(self, why: str) -> None:
        """Forget the zygote; the next worker that is wanted starts a new one. Workers with a job are not touched."""
        if self._zygote is None:
            return
        asyncio.get_running_loop().remove_reader(self._zygote.fileno())
        self._zygote.close()
        self._zygote = None
        self._asked = 0
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._known.clear()
        for wanted in self._wanted:
            if not wanted.done():
                wanted.set_exception(WorkerLost(f"the worker zygote is gone: {why}"))
        self._wanted.clear()
        process, self._process = self._process, None
        if process is not None:
            threading.Thread(target=_let_go, args=(process,), name="zygote-end").start()


def _has_come(wanted: "asyncio.Future[Worker]") -> bool:
    """Whether a worker came in the very turn of the loop in which the wait for it was given up."""
    return wanted.done() and not wanted.cancelled() and wanted.exception() is None


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Reap the zygote if it ends at once; it may outlive us, for its busy workers' sake, and then nobody waits."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    if process.returncode is None:
        process.returncode = 0


def describe_status(status: int | None) -> str:
    """Return a waitpid status in words: `ended by SIGSEGV`, `exit code 3`."""
    if status is None:
        return "it vanished"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"it ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it was ended by signal {-code}"
