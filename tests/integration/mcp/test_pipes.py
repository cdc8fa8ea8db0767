"""A client that starts `pilotage mcp serve` and speaks over its pipes: the SDK's own, to a real coordinator's API."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from pilotage_coordinator.security.api_tokens import new_api_token

from tests.fleet.process import program
from tests.integration.mcp.site import Site
from tests.unit.service.desk import EXECUTION

pytestmark = pytest.mark.integration


@asynccontextmanager
async def over_pipes(
    site: Site, folder: Path, *options: str, reach: list[str] | None = None, **more: Any
) -> AsyncIterator[Client]:
    """Yield a client of a bridge process with the assistant's token; by default the bridge goes over TLS."""
    file = folder / "bot.token"
    file.touch(mode=0o600)
    file.write_text(site.token)
    reach = reach or ["--url", site.url.removesuffix("/mcp"), "--ca", str(site.authority_file)]
    arguments = ["mcp", "serve", "--token-file", str(file), *reach, *options]
    server = StdioServerParameters(command=program("pilotage"), args=arguments, env=dict(os.environ))
    with (folder / "stderr").open("w") as stderr:
        async with Client(stdio_client(server, errlog=stderr), **more) as client:
            yield client


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_bridge_carries_everything_and_tells_how_far_a_wait_is(site: Site, tmp_path: Path, mode: str) -> None:
    await site.desk.add_execution()
    told: list[tuple[float, float | None, str | None]] = []

    async def told_of(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with over_pipes(site, tmp_path, "--read-only", mode=mode) as client:
        names = {each.name for each in (await client.list_tools()).tools}
        assert "wait_workflow" in names
        assert "plan_workflow" not in names
        asked = {"execution_id": EXECUTION, "seconds": 0.2}
        waited = await client.call_tool("wait_workflow", asked, progress_callback=told_of)
        assert waited.structured_content["timed_out"] is True
        wrong = await client.call_tool("wait_workflow", {"execution_id": "exe_ü"})
        assert wrong.is_error
    assert told, "no progress was told"


async def test_a_bridge_without_a_token_of_its_own_serves_nobody_also_on_the_owners_machine(site: Site) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PILOTAGE_")}
    command = [program("pilotage"), "mcp", "serve", "--socket", str(site.socket)]
    ended = await asyncio.to_thread(subprocess.run, command, env=bare, capture_output=True, input=b"", check=False)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"API token of its own" in ended.stderr
    assert b"pilotage mcp config" in ended.stderr


async def test_what_cannot_be_carried_is_answered_as_an_error(site: Site, tmp_path: Path) -> None:
    stranger = new_api_token(b"s" * 32)
    lines = [b"no json\n", b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n', b"[]\n", b'{"method":"x"}\n']
    answers = await spoken(["--socket", str(site.socket)], stranger, *lines)
    assert [(each["id"], each["error"]["code"]) for each in answers] == [(None, -32700), (None, -32700), (1, -32001)]
    assert "not known to this coordinator" in answers[-1]["error"]["message"]
    away = await spoken(["--socket", str(tmp_path / "nobody")], stranger, lines[1])
    assert away[0]["error"]["code"] == -32000
    assert "no coordinator answers" in away[0]["error"]["message"]


async def test_a_client_comes_back_to_a_coordinator_that_was_restarted(site: Site, tmp_path: Path) -> None:
    async with over_pipes(site, tmp_path, reach=["--socket", str(site.socket)], mode="legacy") as client:
        assert not (await client.call_tool("list_hosts", {})).is_error
        await site.server.stop()
        with pytest.raises(MCPError, match="no coordinator answers"):
            await client.call_tool("list_hosts", {})
        site.serve_again()
        await site.server.start()
        assert not (await client.call_tool("list_hosts", {})).is_error


async def spoken(reach: list[str], token: str, *lines: bytes) -> list[dict[str, Any]]:
    """Return what a bridge answers to lines, by id; those without one first."""
    process = await asyncio.create_subprocess_exec(
        program("pilotage"), "mcp", "serve", *reach,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PILOTAGE_TOKEN": token},
    )  # fmt: skip
    stdout, _ = await process.communicate(b"".join(lines))
    assert process.returncode == 0
    return sorted((json.loads(line) for line in stdout.splitlines()), key=lambda each: each["id"] or 0)
