"""A coordinator of one's own for a measurement: its process, hosts that have joined, and its HTTP client."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pilotage_agent.link.channel import enrol_channel
from pilotage_agent.link.enrol import JoinToken, finish_joining, join
from pilotage_agent.state_dir import StateDir
from pilotage_client import CoordinatorUnreachable, PilotageClient

from tests.benchmarks.sample import cpu_seconds, family_cpu_seconds

START_SECONDS = 60.0
JOINS_AT_ONCE = 8
SERVING = b"\x08\x01"
"""The health service's answer while it serves."""


class BenchmarkFailed(Exception):
    """Something that is needed to measure did not happen; the text says what."""


@dataclass(slots=True)
class Site:
    """Everything below one folder. Processes are ended by `close`."""

    folder: Path
    client: PilotageClient = field(init=False)
    environment: dict[str, str] = field(init=False)
    coordinator: "subprocess.Popen[bytes] | None" = None
    agents: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True)
        place = self.folder / "pilotage.sock"
        self.client = PilotageClient(socket=place)
        self.environment = {
            **os.environ,
            "PILOTAGE_STATE_DIR": str(self.folder / "coordinator"),
            "PILOTAGE_SOCKET": str(place),
            "PILOTAGE_FLEET_LISTEN": "127.0.0.1:0",
            "PILOTAGE_ENROL_LISTEN": "127.0.0.1:0",
            "PILOTAGE_CONFIG": str(self.folder / "none.toml"),
        }

    @property
    def database(self) -> Path:
        """The coordinator's database file."""
        return self.folder / "coordinator" / "pilotage.db"

    def agent_state(self, host: str) -> Path:
        """Return the state folder of a host's agent."""
        return self.folder / "agents" / host

    # --- the coordinator ----------------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the coordinator's process and return at once."""
        with (self.folder / "coordinator.log").open("ab") as log:
            self.coordinator = subprocess.Popen(
                [sys.executable, "-m", "pilotage_coordinator.cli", "coordinator", "serve"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
            )  # fmt: skip

    async def start(self) -> None:
        """Start the coordinator and wait until its API answers; later starts keep the ports."""
        self.launch()
        await self.answering()
        status = await self.client.status()
        self.environment["PILOTAGE_FLEET_LISTEN"] = str(status["fleet_address"])
        self.environment["PILOTAGE_ENROL_LISTEN"] = str(status["enrol_address"])

    async def serving(self) -> float:
        """Wait until the gRPC ports serve, as the health service says; returns the seconds that it took."""
        began = time.monotonic()
        host, _, port = self.environment["PILOTAGE_ENROL_LISTEN"].rpartition(":")
        while time.monotonic() < began + START_SECONDS:
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=1.0):
                break
            await asyncio.sleep(0.002)
        authority = (self.folder / "coordinator" / "authority.pem").read_bytes()
        certificate = x509.load_pem_x509_certificates(authority)[0].public_bytes(serialization.Encoding.PEM)
        async with enrol_channel(f"{host}:{port}", certificate) as channel:
            check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
            while await check(b"", wait_for_ready=True, timeout=START_SECONDS) != SERVING:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        return time.monotonic() - began

    async def answering(self) -> None:
        """Wait until the API answers."""
        await self.until("the coordinator answers", self._answers)

    async def _answers(self) -> bool:
        if self.coordinator is not None and self.coordinator.poll() is not None:
            raise BenchmarkFailed(f"the coordinator ended; see {self.folder / 'coordinator.log'}")
        try:
            return await self.client.healthy()
        except CoordinatorUnreachable:
            return False

    def stop_coordinator(self) -> None:
        """End the coordinator in order."""
        if self.coordinator is not None and self.coordinator.poll() is None:
            self.coordinator.terminate()
            _wait(self.coordinator)

    def kill(self) -> None:
        """Kill -9 the coordinator."""
        assert self.coordinator is not None
        self.coordinator.send_signal(signal.SIGKILL)
        self.coordinator.wait()

    def coordinator_cpu(self) -> float:
        """Return the seconds of CPU time that the coordinator has used."""
        assert self.coordinator is not None
        return cpu_seconds(self.coordinator.pid)

    def agents_cpu(self) -> float:
        """Return the seconds of CPU time that all agents have used, with their workers."""
        return sum(family_cpu_seconds(agent.pid) for agent in self.agents)

    # --- hosts --------------------------------------------------------------------------------------------------------

    async def join(self, hosts: Iterable[str]) -> None:
        """Let hosts join; each gets an identity of its own in its agent's state folder."""
        room = asyncio.Semaphore(JOINS_AT_ONCE)

        async def one(host: str) -> None:
            async with room:
                token = await self.client.make_token(host)
                state = StateDir(self.agent_state(host))
                state.make()
                identity = await join(JoinToken.parse(token["token"]), host, state.joining, "benchmark")
                finish_joining(identity, state.identity, state.joining)

        await asyncio.gather(*(one(host) for host in hosts))

    def start_agent(self, host: str, **settings: str) -> "subprocess.Popen[bytes]":
        """Start a host's real agent."""
        command = [sys.executable, "-m", "pilotage_agent", "--state-dir", str(self.agent_state(host))]
        return self._start_agents(host, command, settings)

    def start_crowd(self, name: str, hosts: Sequence[str], *options: str) -> "subprocess.Popen[bytes]":
        """Start one process that holds the agents of many hosts; see crowd.py."""
        states = [str(self.agent_state(host)) for host in hosts]
        return self.start_program(name, "tests.benchmarks.crowd", *options, *states)

    def start_program(self, name: str, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a module of ours that stands for agents."""
        return self._start_agents(name, [sys.executable, "-m", module, *arguments], {})

    def _start_agents(self, name: str, command: Sequence[str], settings: dict[str, str]) -> "subprocess.Popen[bytes]":
        environment = {**self.environment, **settings}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.agents.append(process)
        return process

    async def online(self, number: int) -> None:
        """Wait until so many hosts have a session."""

        async def enough() -> bool:
            return await self.count_online() >= number

        await self.until(f"{number} hosts are online", enough)

    async def count_online(self) -> int:
        """Return how many hosts have a session now."""
        return sum(host["state"] == "online" for host in await self.client.list_hosts())

    # --- executions ---------------------------------------------------------------------------------------------------

    async def run(self, source: str, parameters: dict[str, object]) -> str:
        """Start the blueprint in a text and wait for its end, which must be good; returns the execution's id."""
        started = await self.client.start_run(source=source, parameters=parameters)
        await self.ended(started["execution"])
        return started["execution"]

    async def ended(self, execution: str) -> None:
        """Wait until an execution has completed; a look every fifth of a second, at its own row only."""

        async def over() -> bool:
            found = {each["id"]: each["state"] for each in await self.client.list_runs(limit=20)}
            if found[execution] in ("failed", "cancelled", "needs_attention"):
                raise BenchmarkFailed(f"{execution} is {found[execution]}; see {self.folder}")
            return found[execution] == "completed"

        await self.until(f"{execution} ends", over, seconds=300.0, pause=0.2)

    async def until(
        self, what: str, true: Callable[[], Awaitable[bool]], *, seconds: float = START_SECONDS, pause: float = 0.02
    ) -> None:
        """Ask again and again until something is true."""
        deadline = time.monotonic() + seconds
        while not await true():
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"waited {seconds:.0f} s until {what}; see {self.folder}")
            await asyncio.sleep(pause)

    # --- the end ------------------------------------------------------------------------------------------------------

    def stop_agents(self) -> None:
        """End all agents."""
        for agent in self.agents:
            agent.terminate()
        for agent in self.agents:
            _wait(agent)
        self.agents.clear()

    async def close(self) -> None:
        """End all processes."""
        await self.client.__aexit__(None, None, None)
        self.stop_agents()
        self.stop_coordinator()


def _wait(process: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
        return
    process.kill()
    process.wait()


@asynccontextmanager
async def a_site(folder: Path) -> AsyncIterator[Site]:
    """Give a running coordinator in a new folder, and end everything afterwards."""
    site = Site(folder)
    try:
        await site.start()
        yield site
    finally:
        await site.close()
