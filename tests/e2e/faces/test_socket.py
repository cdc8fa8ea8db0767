"""The API on a real unix socket: who can reach it, who may listen, how streams begin and end."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing
from io import StringIO
from pathlib import Path

import pytest
from pilotage_client import CoordinatorUnreachable, PilotageClient
from pilotage_coordinator.api.errors import SocketRefused
from pilotage_coordinator.api.server import ApiServer
from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.screen import Screen, console
from pilotage_coordinator.cli.watching import watch
from pilotage_coordinator.store.records import EventRecord

from tests.unit.service.desk import EXECUTION, NOW, Desk

BOUND = 10.0
"""Seconds after which a test that waits for something has failed."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "s"


@pytest.fixture
async def server(desk: Desk, path: Path) -> AsyncIterator[ApiServer]:
    made = ApiServer(desk.services, desk.authentication, path)
    await made.start()
    yield made
    await made.stop()


async def test_only_the_owner_can_reach_the_socket(server: ApiServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["s"]
    async with PilotageClient(socket=path) as client:
        assert await client.healthy()


async def test_a_second_coordinator_is_refused_and_the_first_goes_on(server: ApiServer, desk: Desk, path: Path) -> None:
    with pytest.raises(SocketRefused, match="another coordinator listens"):
        await ApiServer(desk.services, desk.authentication, path).start()
    async with PilotageClient(socket=path) as client:
        assert await client.healthy()


async def test_a_socket_left_by_a_killed_coordinator_is_replaced(desk: Desk, path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    server = ApiServer(desk.services, desk.authentication, path)
    await server.start()
    async with PilotageClient(socket=path) as client:
        assert await client.healthy()
    await server.stop()
    assert not path.exists()


@pytest.mark.parametrize(("mode", "file", "words"), [(0o755, False, "open to others"), (0o700, True, "is no socket")])
async def test_an_unsafe_place_is_refused_and_left_alone(
    desk: Desk, path: Path, mode: int, file: bool, words: str
) -> None:
    path.parent.mkdir()
    path.parent.chmod(mode)
    if file:
        path.write_text("precious")
    with pytest.raises(SocketRefused, match=words):
        await ApiServer(desk.services, desk.authentication, path).start()
    assert not file or path.read_text() == "precious"


async def test_a_path_too_long_for_the_kernel_is_refused_by_name(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(SocketRefused, match="longer than"):
        await ApiServer(desk.services, desk.authentication, tmp_path / ("x" * 120)).start()


async def test_a_client_that_leaves_ends_the_watch_in_the_coordinator(
    server: ApiServer, desk: Desk, path: Path
) -> None:
    await desk.add_execution()
    desk.runs.events, desk.runs.forever = [EventRecord(1, NOW, "step_opened", {})], True
    async with PilotageClient(socket=path) as client, aclosing(client.watch_run(EXECUTION)) as stream:
        first = await anext(stream)
        assert first["event"] is not None
    async with asyncio.timeout(BOUND):
        await desk.runs.left.wait()


async def test_a_stop_ends_streams_at_once_and_the_client_looks_for_the_next(desk: Desk, path: Path) -> None:
    await desk.add_execution()
    desk.runs.events, desk.runs.forever = [EventRecord(1, NOW, "step_opened", {})], True
    server = ApiServer(desk.services, desk.authentication, path)
    await server.start()
    lost: list[str] = []
    async with (
        PilotageClient(socket=path) as client,
        aclosing(client.watch_run(EXECUTION, patience=0.2, lost=lost.append)) as stream,
    ):
        await anext(stream)
        async with asyncio.timeout(2):
            await server.stop()
        with pytest.raises(CoordinatorUnreachable):
            async for _ in stream:
                pass
    assert len(lost) == 1


@pytest.mark.parametrize(("state", "code"), [("waiting_approval", 3), ("paused", 3), ("needs_attention", 1)])
async def test_watching_until_rest_leaves_an_execution_that_waits_for_a_person(
    server: ApiServer, desk: Desk, path: Path, state: str, code: int
) -> None:
    await desk.add_execution()
    desk.runs.events = [EventRecord(1, NOW, "execution_moved", {"to": state})]
    desk.runs.forever, desk.runs.status = True, state
    out, err = StringIO(), StringIO()
    screen = Screen(console(out), console(err), json=False, interactive=False)
    async with PilotageClient(socket=path) as client, asyncio.timeout(BOUND):
        assert await watch(client, screen, EXECUTION, until_rest=True) == ExitCode(code)
    assert state.replace("_", " ") in out.getvalue()
