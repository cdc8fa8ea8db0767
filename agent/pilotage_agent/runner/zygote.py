"""The zygote: a small single-threaded process that forks workers in a fraction of a millisecond.

Started as a program (`python -m pilotage_agent.runner zygote FD`), so it shares nothing with the agent's threads and
never imports gRPC. The agent asks on a SOCK_SEQPACKET socket, `{"fork": N}`; each worker is answered by
`{"worker": PID}` with the worker's own socket attached, or by `{"failed": TEXT}` when the machine has no room for it;
its end by `{"exit": PID, "status": N}` (status as of waitpid). When the agent goes away the zygote stays until the
last busy worker has ended, to bury what it leaves.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
from dataclasses import replace
from typing import NoReturn

from pilotage_agent.failpoint import Failpoints
from pilotage_agent.ledger import WorkerIdentity
from pilotage_agent.runner.call import StepTypes, builtin_catalogue
from pilotage_agent.runner.fork_handlers import ForkHandlers
from pilotage_agent.runner.inherited_loop import InheritedLoop
from pilotage_agent.runner.process import become_subreaper, boot_id, children_of_thread, kill_tree, start_time
from pilotage_agent.runner.worker import REHEARSED, Stage, StopSignal, rehearse, serve, settle_in


class Zygote:
    """Forks and buries."""

    def __init__(self, agent: socket.socket, stage: Stage) -> None:
        self._agent: socket.socket | None = agent
        self._stage = stage
        self._workers: set[int] = set()

    def run(self, wakeup: int) -> None:
        """Serve until the agent is gone and no worker is left."""
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        if self._agent is not None:
            poll.register(self._agent, select.POLLIN)
        while self._agent is not None or self._workers:
            for handle, _ in poll.poll():
                if handle == wakeup:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wakeup, 4096)
                elif self._agent is not None and not self._serve_agent(self._agent):
                    poll.unregister(self._agent)
                    self._agent.close()
                    self._agent = None
            self._bury()

    def _serve_agent(self, agent: socket.socket) -> bool:
        """Do what one message asks; says whether the agent is still there."""
        try:
            data = agent.recv(4096)
        except OSError:
            return False
        if not data:
            return False
        for _ in range(int(json.loads(data)["fork"])):
            self._fork(agent)
        return True

    def _fork(self, agent: socket.socket) -> None:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            self._tell({"failed": str(error)})
            return
        with ours, theirs:
            try:
                pid = os.fork()
            except OSError as error:
                self._tell({"failed": str(error)})
                return
            if pid == 0:
                self._become_worker(theirs)
            self._workers.add(pid)
            with contextlib.suppress(OSError):
                socket.send_fds(agent, [json.dumps({"worker": pid}).encode()], [ours.fileno()])

    def _become_worker(self, channel: socket.socket) -> NoReturn:
        try:
            settle_in(channel, self._stage)
            serve(channel, self._stage)
        finally:
            os._exit(5)

    def _bury(self) -> None:
        ended = False
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid in self._workers:
                    self._workers.discard(pid)
                    ended = True
                    self._tell({"exit": pid, "status": status})
        if ended:
            self._end_strays()

    def _end_strays(self) -> None:
        """End what dead workers left: every child that is no worker of ours came here by adoption."""
        me = os.getpid()
        for pid in children_of_thread(me, me):
            if pid not in self._workers and (began := start_time(pid)) is not None:
                kill_tree(WorkerIdentity(boot_id(), pid, began), boot_id())

    def _tell(self, message: dict[str, int | str]) -> None:
        if self._agent is not None:
            with contextlib.suppress(OSError):
                self._agent.send(json.dumps(message).encode())


def _lead_output_nowhere() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    os.close(nothing)


def main(arguments: list[str], fork_handlers: ForkHandlers) -> None:
    """Be the zygote over the socket whose descriptor is the first argument."""
    agent = socket.socket(fileno=int(arguments[0]))
    agent.setblocking(True)
    agent.set_inheritable(False)
    become_subreaper("pilotage-zygote")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    failpoints = Failpoints.from_environment(os.environ)
    _lead_output_nowhere()
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # The workers keep this handler: programs that they start do not, and to take it back would cost each of them more.
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    with fork_handlers.held_back():
        stage = _set_stage(fork_handlers, failpoints)
    gc.collect()
    gc.freeze()
    Zygote(agent, stage).run(wake_read)


def _set_stage(fork_handlers: ForkHandlers, failpoints: Failpoints) -> Stage:
    """Make and try out what every worker needs."""
    builtin = builtin_catalogue()
    loop = InheritedLoop()
    stage = Stage(loop, StopSignal(loop), StepTypes(builtin), fork_handlers, failpoints)
    if REHEARSED in builtin.step_types:
        rehearse(replace(stage, failpoints=Failpoints()))
    return stage
