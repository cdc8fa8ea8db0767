"""A coordinator and its hosts, as real processes with their own identities and folders, all below one folder."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pilotage_client import ClientError, PilotageClient

from tests.fleet.process import Process, kill_left_behind, program

T = TypeVar("T")

START_SECONDS = 120.0
RESTING = frozenset({"waiting_approval", "paused", "needs_attention"})
ENDED = frozenset({"completed", "failed", "cancelled", "rolled_back", "rollback_incomplete"})


class FleetFailed(Exception):
    """Something did not go as it must; the text says what."""


@dataclass(slots=True)
class Fleet:
    """A coordinator and its hosts. Addresses are chosen by the system at the first start and kept afterwards."""

    folder: Path
    hosts: tuple[str, ...]
    coordinator: Process = field(init=False)
    agents: dict[str, Process] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PILOTAGE_")},
            "PILOTAGE_STATE_DIR": str(self.folder / "coordinator"),
            "PILOTAGE_SOCKET": str(self.folder / "run" / "pilotage.sock"),
            "PILOTAGE_FLEET_LISTEN": "127.0.0.1:0",
            "PILOTAGE_ENROL_LISTEN": "127.0.0.1:0",
            "PILOTAGE_CONFIG": str(self.folder / "none.toml"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }
        self.coordinator = Process(
            "coordinator", [program("pilotage"), "coordinator", "serve"], logs / "coordinator.log", self.environment
        )
        for host in self.hosts:
            self.add(host)

    # --- folders ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """Return the folder of the coordinator: its database, keys and logs."""
        return Path(self.environment["PILOTAGE_STATE_DIR"])

    @property
    def socket(self) -> Path:
        """Return the unix socket of the coordinator's API."""
        return Path(self.environment["PILOTAGE_SOCKET"])

    def state_of(self, host: str) -> Path:
        """Return the folder of a host's agent: its key, certificate and journal."""
        return self.folder / "agents" / host

    def data_of(self, host: str) -> Path:
        """Return the folder of a host's data."""
        return self.folder / "data" / host

    # --- life ---------------------------------------------------------------------------------------------------

    def add(self, host: str, state: Path | None = None) -> Process:
        """Make (not start) the process of a host's agent, over its own state folder or another."""
        command = [program("pilotage-agent"), "run", "--state-dir", str(state or self.state_of(host))]
        self.agents[host] = Process(host, command, self.folder / "logs" / f"{host}.log", self.environment)
        return self.agents[host]

    def start_coordinator(self, extra: Mapping[str, str] | None = None) -> None:
        """Start the coordinator and wait until it answers."""
        self.coordinator.start(extra)
        self.await_coordinator()
        # From now on it listens where it did, so that agents find it again after a kill.
        status = self.call(lambda client: client.status())
        self.environment["PILOTAGE_FLEET_LISTEN"] = status["fleet_address"]
        self.environment["PILOTAGE_ENROL_LISTEN"] = status["enrol_address"]

    def await_coordinator(self) -> None:
        """Wait until the coordinator answers."""

        def answers() -> bool:
            if not self.coordinator.alive:
                raise FleetFailed(f"the coordinator ended at its start:\n{self.coordinator.output()[-2000:]}")
            try:
                return self.call(lambda client: client.healthy())
            except ClientError:
                return False

        self.until("the coordinator answers", answers)

    def enrol(self, host: str, labels: Mapping[str, str] | None = None, *, token: str = "") -> None:
        """Enrol a host with a token of its own (or a given one); its agent is not started."""
        text = token or self.call(lambda client: client.make_token(host, dict(labels or {})))["token"]
        done = self.join_with(text, self.state_of(host))
        if done.returncode:
            raise FleetFailed(f"{host} could not join:\n{done.stdout}{done.stderr}")

    def join_with(self, token: str, state: Path) -> "subprocess.CompletedProcess[str]":
        """Run `pilotage-agent join` and return what it said."""
        return subprocess.run(
            [program("pilotage-agent"), "join", token, "--state-dir", str(state)],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def join(self, host: str, labels: Mapping[str, str] | None = None) -> None:
        """Enrol a host and start its agent."""
        self.enrol(host, labels)
        self.agents[host].start()

    def await_online(self, hosts: Iterable[str] | None = None) -> None:
        """Wait until the hosts (all of them by default) have a session and have said what they can do."""
        wanted = set(self.hosts if hosts is None else hosts)

        def online() -> bool:
            return wanted <= {each["name"] for each in self.list_hosts() if each["state"] == "online"}

        self.until(f"online: {sorted(wanted)}", online)

    def stop(self) -> None:
        """Stop everything, agents first, and end the workers that they left behind."""
        for process in [*self.agents.values(), self.coordinator]:
            process.stop()
        kill_left_behind(self.folder)

    # --- asking -------------------------------------------------------------------------------------------------

    def call(self, ask: Callable[[PilotageClient], Awaitable[T]]) -> T:
        """Ask the coordinator through the client library."""

        async def work() -> T:
            async with PilotageClient(socket=self.socket) as client:
                return await ask(client)

        return asyncio.run(work())

    def list_hosts(self) -> list[Any]:
        """Return the hosts as the coordinator lists them."""
        return list(self.call(lambda client: client.list_hosts()))

    def run(self, *arguments: str, check: bool = True, input: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the CLI and return what it printed."""
        done = subprocess.run(
            [program("pilotage"), *arguments],
            env=self.environment, capture_output=True, text=True, input=input, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise FleetFailed(
                f"pilotage {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def show(self, *arguments: str) -> int:
        """Run the CLI on the user's own terminal; returns its exit code."""
        return subprocess.run([program("pilotage"), *arguments], env=self.environment, check=False).returncode

    def json(self, *arguments: str) -> Any:
        """Run the CLI with --json and return what it said."""
        return json.loads(self.run("--json", *arguments).stdout)

    def until(self, what: str, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until `ready` says so; raises FleetFailed with the end of every log when it does not in time."""
        give_up = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > give_up:
                raise FleetFailed(f"after {seconds:.0f} s still not: {what}; see {self.folder / 'logs'}{self._logs()}")
            time.sleep(0.03)

    def _logs(self) -> str:
        return "".join(
            f"\n--- {process.name}\n{process.output()[-1500:]}"
            for process in [self.coordinator, *self.agents.values()]
            if process.running is not None
        )
