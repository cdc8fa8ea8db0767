"""The coordinator and the agent of this machine, as `up` and `down` see them."""

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage_client import ClientError, CoordinatorUnreachable, PilotageClient, RequestRefused
from pilotage_client.place import state_dir

from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_coordinator.cli.programs import Program
from pilotage_coordinator.cli.screen import Screen

START_TIMEOUT = 30.0
ONLINE_TIMEOUT = 30.0
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class LocalFleet:
    """Both programs. `agent` is the command line of the agent, without a verb."""

    coordinator: Program
    agent: Program
    agent_command: tuple[str, ...]
    agent_options: tuple[str, ...]

    @classmethod
    def of_machine(cls, socket_file: Path | None, advertise: str) -> "LocalFleet":
        """Return the programs of this installation and this user."""
        folder = state_dir() / "programs"
        serve = [sys.executable, "-m", "pilotage_coordinator.cli"]
        serve += ["--socket", str(socket_file)] if socket_file else []
        serve += ["coordinator", "serve"]
        if advertise:
            serve += ["--advertise", advertise, "--fleet-listen", "0.0.0.0:7443", "--enrol-listen", "0.0.0.0:7444"]
        command = (_agent_program(),)
        # With a state folder of one's own choice everything stays in it, so that several fleets fit on one machine.
        chosen = "PILOTAGE_STATE_DIR" in os.environ and "PILOTAGE_AGENT_STATE_DIR" not in os.environ
        options = ("--state-dir", str(state_dir() / "agent")) if chosen else ()
        return cls(
            Program("coordinator", serve, folder),
            Program("agent", [*command, "run", *options], folder),
            command,
            options,
        )

    @property
    def _join_again(self) -> str:
        return shlex.join(["pilotage-agent", "join", "--again", *self.agent_options, "TOKEN"])

    @property
    def doctor(self) -> str:
        """Return the command that examines this agent, wherever its state is."""
        return shlex.join(["pilotage-agent", "doctor", *self.agent_options])

    async def check_advertised(self, name: str) -> None:
        """Raise NotUnderstood for a name that this machine cannot resolve: nobody would reach it under that name."""
        try:
            await asyncio.get_running_loop().getaddrinfo(name, None)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no host name"
            raise NotUnderstood(
                f"--advertise {name}: this machine cannot resolve it ({why}); nothing was started",
                "give an address of this machine, or enter the name in DNS or in /etc/hosts",
            ) from error

    async def bring_up_coordinator(self, client: PilotageClient, screen: Screen) -> bool:
        """Start the coordinator unless it answers; return whether it was started."""
        try:
            await client.healthy()
            return False
        except CoordinatorUnreachable:
            if self.coordinator.running() is None:
                screen.say("starting the coordinator")
                self.coordinator.start()
        await self._await(self.coordinator, START_TIMEOUT, "answer", lambda: _answers(client))
        return True

    async def bring_up_agent(self, client: PilotageClient, screen: Screen) -> tuple[str, bool]:
        """Let this machine join unless it has, and start its agent unless it runs; return (host name, started)."""
        status = await self._agent_status()
        if status is None:
            name = host_name(socket.gethostname())
            screen.say(f"letting this machine join as {name}")
            token = await client.make_token(name)
            near = await _loopback((await client.status())["enrol_address"])
            await self._agent("join", "-", "--name", name, *near, stdin=token["token"] + "\n")
            status = await self._agent_status()
        if status is None:
            raise ClientError("this machine joined, and yet its agent knows nothing of it", f"run `{self.doctor}`")
        name = str(status["host_name"])
        if "revoked" in str(status["link"]):
            raise ClientError(
                f"this machine joined as {name}, and {name} was revoked: it is shut out for good",
                f"let it join anew: pilotage host token, then {self._join_again}",
            )
        started = not status["running"]
        if started:
            screen.say("starting the agent")
            self.agent.start()
        await self._await(self.agent if started else None, ONLINE_TIMEOUT, "come online", lambda: _online(client, name))
        return name, started

    async def _agent_status(self) -> dict[str, Any] | None:
        """Return what the agent says of itself; None when this machine has not joined."""
        code, output = await self._run("status", "--json")
        if code != 0:
            return None
        try:
            found: dict[str, Any] = json.loads(output)
        except ValueError as error:
            raise ClientError(f"the agent's status is no JSON: {output[:200]!r}") from error
        return found

    async def _agent(self, *arguments: str, stdin: str = "") -> None:
        code, output = await self._run(*arguments, stdin=stdin)
        if code != 0:
            raise ClientError(f"pilotage-agent {arguments[0]}: {output.strip()}", f"run `{self.doctor}`")

    async def _run(self, *arguments: str, stdin: str = "") -> tuple[int, str]:
        try:
            process = await asyncio.create_subprocess_exec(
                *self.agent_command,
                *arguments,
                *self.agent_options,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise ClientError(f"{self.agent_command[0]}: {error.strerror}", "install Pilotage again") from error
        output, errors = await process.communicate(stdin.encode())
        if process.returncode:
            return process.returncode, (errors + output).decode(errors="replace")
        return 0, output.decode(errors="replace")

    async def _await(
        self, program: Program | None, timeout: float, what: str, reached: Callable[[], Awaitable[bool]]
    ) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while not await reached():
            name = program.name if program else "agent"
            if program is not None and program.running() is None:
                words = program.last_words()
                raise ClientError(f"the {name} ended at once:\n{words}", f"its log is {program.log}")
            if loop.time() > end:
                where = f"its log is {program.log}" if program else f"look at it with `{self.doctor}`"
                raise ClientError(f"the {name} did not {what} within {timeout:.0f} s", where)
            await asyncio.sleep(0.1)


def host_name(hostname: str) -> str:
    """Return a machine's name as a host's: lower case, its first part, nothing but letters, digits and dashes."""
    name = re.sub(r"[^a-z0-9-]+", "-", hostname.lower().partition(".")[0]).strip("-")
    return name or "localhost"


async def _loopback(enrol_address: str) -> tuple[str, ...]:
    """Return the options by which an agent of this machine reaches its coordinator without any name: none where
    nothing listens on the loopback address. Another that listens there is told by its certificate authority."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, int(enrol_address.rpartition(":")[2]))
    except (OSError, ValueError):
        return ()
    writer.close()
    return ("--reach", LOOPBACK)


def _agent_program() -> str:
    """Return the agent's program of this installation, else of the path."""
    beside = Path(sys.executable).with_name("pilotage-agent")
    return str(beside) if beside.exists() else (shutil.which("pilotage-agent") or "pilotage-agent")


async def _answers(client: PilotageClient) -> bool:
    try:
        return await client.healthy()
    except CoordinatorUnreachable:
        return False


async def _online(client: PilotageClient, name: str) -> bool:
    try:
        return (await client.show_host(name))["state"] == "online"
    except (CoordinatorUnreachable, RequestRefused):
        return False
