"""The demo's processes: a coordinator, agents with identities of their own, and the means to kill them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 30.0


class DemoFailed(Exception):
    """Something did not go as it must; the text says what."""


@dataclass(slots=True)
class Process:
    """A program that is started, killed and started again."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, with its output going to its log file."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )

    def kill(self) -> int:
        """Kill -9 it and return the pid that it had."""
        assert self.running is not None
        pid = self.running.pid
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()
        return pid

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self.running is None or self.running.poll() is not None:
            return
        self.running.terminate()
        try:
            self.running.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


@dataclass(slots=True)
class Fleet:
    """A coordinator and its hosts, all below one folder."""

    folder: Path
    hosts: tuple[str, ...]
    coordinator: Process = field(init=False)
    agents: dict[str, Process] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            "PILOTAGE_STATE_DIR": str(self.folder / "coordinator"),
            "PILOTAGE_SOCKET": str(self.folder / "pilotage.sock"),
            "PILOTAGE_FLEET_LISTEN": "127.0.0.1:0",
            "PILOTAGE_ENROL_LISTEN": "127.0.0.1:0",
            "PILOTAGE_CONFIG": str(self.folder / "none.toml"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }
        self.coordinator = Process(
            "coordinator", [program("pilotage"), "coordinator", "serve"], logs / "coordinator.log", self.environment
        )
        for host in self.hosts:
            command = [program("pilotage-agent"), "run", "--state-dir", str(self.state_of(host))]
            self.agents[host] = Process(host, command, logs / f"{host}.log", self.environment)

    def state_of(self, host: str) -> Path:
        """Return the folder of a host's agent: its key, certificate and journal."""
        return self.folder / "agents" / host

    def data_of(self, host: str) -> Path:
        """Return the folder of a host's data."""
        return self.folder / "data" / host

    def start_coordinator(self) -> None:
        """Start the coordinator and wait until it answers."""
        self.coordinator.start()
        self._await("the coordinator", lambda: self.run("coordinator", "status", check=False).returncode == 0)
        # From now on it listens where it did, so that agents find it again after a kill.
        status = self.json("coordinator", "status")
        self.environment["PILOTAGE_FLEET_LISTEN"] = str(status["fleet_address"])
        self.environment["PILOTAGE_ENROL_LISTEN"] = str(status["enrol_address"])

    def join(self, host: str) -> None:
        """Enrol a host with a token of its own, and start its agent."""
        token = str(self.json("host", "token", host)["token"])
        state = self.state_of(host)
        done = subprocess.run(
            [program("pilotage-agent"), "join", token, "--state-dir", str(state)],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise DemoFailed(f"{host} could not join:\n{done.stdout}{done.stderr}")
        self.agents[host].start()

    def await_online(self) -> None:
        """Wait until every host has a session and has said what it can do."""
        self._await(
            "the hosts", lambda: sum(each["state"] == "online" for each in self.list_hosts()) == len(self.hosts)
        )

    def list_hosts(self) -> list[dict[str, Any]]:
        """Return the hosts as the coordinator lists them."""
        return list(self.json("host", "list"))

    def run(self, *arguments: str, check: bool = True, input: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the CLI and return what it printed."""
        done = subprocess.run(
            [program("pilotage"), *arguments],
            env=self.environment, capture_output=True, text=True, input=input, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise DemoFailed(
                f"pilotage {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def show(self, *arguments: str) -> int:
        """Run the CLI on the user's own terminal; returns its exit code."""
        return subprocess.run([program("pilotage"), *arguments], env=self.environment, check=False).returncode

    def json(self, *arguments: str) -> Any:
        """Run the CLI with --json and return what it said."""
        return json.loads(self.run("--json", *arguments).stdout)

    def stop(self) -> None:
        """Stop everything, agents first."""
        for process in [*self.agents.values(), self.coordinator]:
            process.stop()

    def _await(self, what: str, ready: Any) -> None:
        until = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > until:
                raise DemoFailed(f"{what} did not come up in {START_SECONDS:.0f} s; see {self.folder / 'logs'}")
            time.sleep(0.1)


def program(name: str) -> str:
    """Return the path of one of our own programs, from the environment that runs this."""
    return str(Path(sys.executable).parent / name)
