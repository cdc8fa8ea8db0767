"""What `up` checks and says before and while it starts the programs of this machine."""

import asyncio
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from pilotage_client import ClientError
from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_coordinator.cli.local_fleet import LocalFleet, _loopback
from pilotage_coordinator.cli.programs import Program
from pilotage_coordinator.cli.screen import Screen

from tests.unit.cli.terminal import Terminal


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFleet:
    monkeypatch.setenv("PILOTAGE_STATE_DIR", str(tmp_path))
    return LocalFleet.of_machine(None, "")


def _resolves(name: str, *_: Any, **__: Any) -> list[Any]:
    if name == "here":
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_a_name_that_does_not_resolve_is_refused_with_its_cure(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolves)
    await fleet.check_advertised("here")
    with pytest.raises(NotUnderstood, match=r"cannot resolve it .*nothing was started") as raised:
        await fleet.check_advertised("nowhere")
    assert "/etc/hosts" in raised.value.fix
    with pytest.raises(NotUnderstood):
        await LocalFleet.check_advertised(fleet, "x" * 300)


def test_nothing_is_started_under_a_name_that_does_not_resolve(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PILOTAGE_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", _resolves)
    monkeypatch.setattr(Program, "start", lambda _: pytest.fail("it was started"))
    said = terminal.run_alone("up", "--advertise", "nowhere", socket=tmp_path / "api.sock")
    assert (said.code, said.out) == (2, "")
    assert "--advertise nowhere" in said.err


async def test_the_agent_of_this_machine_goes_by_loopback_where_something_listens_there() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await _loopback(f"a-name-elsewhere:{port}") == ("--reach", "127.0.0.1")
    server.close()
    await server.wait_closed()
    assert await _loopback(f"a-name-elsewhere:{port}") == ()


async def test_a_revoked_host_is_told_so_with_the_way_back(fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    status = {"host_name": "vm", "link": "refused (revoked): the host was revoked", "running": True}

    async def run(self: LocalFleet, *arguments: str, stdin: str = "") -> tuple[int, str]:
        return 0, json.dumps(status)

    monkeypatch.setattr(LocalFleet, "_run", run)
    client: Any = object()
    with pytest.raises(ClientError, match="vm was revoked") as raised:
        await fleet.bring_up_agent(client, Screen.of_process(json=True))
    assert "pilotage-agent join --again" in raised.value.fix


def test_last_words_are_those_since_the_last_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    for text in ("an old trouble", "a new one"):
        program = Program("agent", ["/bin/sh", "-c", f"echo {text}; exec sleep 600"], tmp_path / "programs")
        program.start()
        try:
            end = time.monotonic() + 60
            while text not in program.log.read_text():
                assert time.monotonic() < end
                time.sleep(0.01)
            assert program.last_words() == text
        finally:
            started[-1].kill()
            started[-1].wait()
