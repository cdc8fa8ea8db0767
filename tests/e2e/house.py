"""A coordinator with its hosts, the people around it, and keys that OpenSSH has made and signs with."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pilotage_client import PilotageClient
from pilotage_client.transport import Transport
from pilotage_proto.decision import NAMESPACE, Statement

from tests.fleet.fleet import Fleet

T = TypeVar("T")


def make_key(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)


def signed(key: Path, statement: Statement, namespace: str = NAMESPACE) -> str:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key)]
    return subprocess.run(command, input=statement.signed_bytes(), check=True, capture_output=True).stdout.decode()


class House:
    """A coordinator, its hosts, and the people around it, each with a key and a token of their own."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        self.folder = folder
        self.keys: dict[str, Path] = {}
        self.fleet = Fleet(folder / "fleet", hosts)
        self.fleet.environment |= {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "config")}
        self.fleet.environment["PILOTAGE_CONFIG"] = str(folder / "none.toml")
        make_key(folder / "home" / ".ssh" / "id_ed25519")
        self.owner = ""

    def open(self, labels: Mapping[str, str]) -> None:
        """Start everything."""
        self.fleet.start_coordinator()
        for host in self.fleet.hosts:
            self.fleet.join(host, labels)
        self.fleet.await_online()
        self.owner = self.fleet.json("whoami")["principal"]
        self.keys[self.owner] = self.folder / "home" / ".ssh" / "id_ed25519"

    def add(self, name: str, *options: str, key: bool = True) -> None:
        given = list(options)
        if key:
            self.keys[name] = self.folder / name / "key"
            make_key(self.keys[name])
            given += ["--key", f"{self.keys[name]}.pub"]
        self.fleet.run("principal", "add", name, *given)
        self.fleet.run("token", "create", name, "--to-file", str(self.folder / f"{name}.token"))

    def as_(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        token = {} if name == self.owner else {"PILOTAGE_TOKEN": (self.folder / f"{name}.token").read_text().strip()}
        before = dict(self.fleet.environment)
        self.fleet.environment |= token
        try:
            return self.fleet.run(*arguments, check=False)
        finally:
            self.fleet.environment.clear()
            self.fleet.environment |= before

    def ask(self, name: str, question: Callable[[PilotageClient], Awaitable[T]]) -> T:
        """Ask as somebody's token does."""
        token = (self.folder / f"{name}.token").read_text().strip()

        async def work() -> T:
            async with PilotageClient(Transport.over_socket(self.fleet.socket, token=token)) as client:
                return await question(client)

        return asyncio.run(work())

    def start(self, name: str, by: str = "") -> tuple[str, str]:
        """Start a blueprint; return its execution and the request that it waits for."""
        done = self.as_(by or self.owner, "--json", "run", "start", name, "--yes")
        assert done.returncode == 3, done.stdout + done.stderr
        newest = self.fleet.json("run", "list")[0]["id"]
        (waiting,) = self.fleet.json("approval", "list", "--execution", newest)
        return newest, waiting["id"]

    def shown(self, request: str) -> Any:
        return self.fleet.json("approval", "show", request)

    def state(self, execution: str) -> str:
        return str(self.fleet.json("run", "show", execution)["state"])
