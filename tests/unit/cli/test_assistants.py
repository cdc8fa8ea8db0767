"""Assistants on the command line: who is let in, what their clients are told to start, and what the bridge carries."""

import asyncio
import json
import stat
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pilotage_coordinator.cli.assistants.bridge import Bridge
from pilotage_coordinator.cli.assistants.clients import CLIENTS, snippet
from pilotage_coordinator.cli.commands.mcp import ROLES, TOOLSETS, ClientName, ToolsetName
from pilotage_coordinator.domain.access.role import BUILT_IN
from pilotage_coordinator.mcp.toolset import Toolset

from tests.unit.cli.terminal import Terminal
from tests.unit.service.desk import Desk


async def people(desk: Desk) -> None:
    await desk.add_principals()


def test_names_here_are_those_of_the_server() -> None:
    assert list(TOOLSETS) == [each.value for each in Toolset] == [each.value for each in ToolsetName]
    assert list(CLIENTS) == list(ClientName)
    assert ROLES.keys() == set(Toolset)
    assert set(ROLES.values()) <= BUILT_IN.keys()


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)
def test_each_client_is_told_what_to_start_in_its_own_form(client: Any) -> None:
    command = ["/opt/pilot age/pilotage", "mcp", "serve", "--token-file", '/home/a "b"/x.token']
    text = snippet(client, command)
    if client.form == "command":
        assert (
            text
            == "claude mcp add pilotage -- '/opt/pilot age/pilotage' mcp serve --token-file '/home/a \"b\"/x.token'"
        )
        return
    read = tomllib.loads(text) if client.form == "toml" else json.loads(text)
    (server,) = next(iter(read.values())).values()
    assert [server["command"], *server["args"]] == command


@pytest.mark.parametrize(("options", "role"), [([], "assistant"), (["--read-only"], "reader")])
def test_one_that_is_let_in_has_a_principal_a_role_and_a_token_in_a_file(
    terminal: Terminal, tmp_path: Path, options: list[str], role: str
) -> None:
    file = tmp_path / "deep" / "helper.token"
    given = ["--name", "helper", "--environment", "staging", "--toolsets", "read,run", "--to-file", str(file)]
    said = terminal.run("--json", "mcp", "config", "cursor", *given, *options)
    assert said.code == 0, said.err
    assert said.audit == [("principal.add", "allowed", "helper"), ("token.create", "allowed", "helper")]
    token = file.read_text().strip()
    assert token.startswith("plt_")
    assert token not in said.out + said.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    command = said.json["command"]
    assert command[command.index("--token-file") + 1] == str(file)
    assert command[command.index("--toolsets") + 1] == "read,run"
    assert ("--read-only" in command) is (role == "reader")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["config", "cursor", "--name", "bob"], "bob is a person, not an assistant"),
        (["config", "cursor", "--name", "bot", "--read-only"], "holds assistant"),
        (["config", "cursor", "--name", "bot", "-e", "staging"], "its limits stay what they are"),
        (["config", "cursor", "--toolsets", "reed"], "no toolset 'reed'"),
        (["grant", "bob", "run"], "not an assistant"),
        (["revoke", "ann", "--yes"], "not an assistant"),
        (["revoke", "bot"], "--yes"),
    ],
)
def test_what_would_give_more_than_is_asked_or_to_somebody_else_is_refused(
    terminal: Terminal, tmp_path: Path, arguments: list[str], words: str
) -> None:
    options = ["--to-file", str(tmp_path / "x.token")] if arguments[0] == "config" else []
    said = terminal.run("mcp", *arguments, *options, prepare=people)
    assert said.code == 2
    assert words in " ".join(said.err.split())
    assert not (tmp_path / "x.token").exists()
    assert [each for each in said.audit if each[1] == "allowed"] == []


def test_one_that_is_known_already_gets_another_token(terminal: Terminal, tmp_path: Path) -> None:
    given = ["--name", "bot", "--to-file", str(tmp_path / "x.token")]
    said = terminal.run("mcp", "config", "other", *given, prepare=people)
    assert said.code == 0, said.err
    assert ("token.create", "allowed", "bot") in said.audit
    assert "mcpServers" in said.out


def test_what_was_given_is_taken_back(terminal: Terminal) -> None:
    assert terminal.run("mcp", "grant", "bot", "read", "-l", "role=db", prepare=people).audit == [
        ("principal.role", "allowed", "bot")
    ]
    assert "no longer holds the role assistant" in terminal.run("mcp", "revoke", "bot", "run", prepare=people).out
    ended = terminal.run("mcp", "revoke", "bot", "--yes", prepare=people)
    assert "1 tokens of bot are revoked" in ended.out
    assert [each[0] for each in ended.audit] == ["token.revoke"]


class Answers:
    """Stands for the way to a coordinator: it notes what is sent, and answers what it was given."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.sent: list[tuple[dict[str, Any], dict[str, str]]] = []
        self._answers = list(answers)

    @asynccontextmanager
    async def exchange(self, path: str, content: bytes, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        self.sent.append((json.loads(content), dict(headers)))
        yield self._answers.pop(0)


async def carried(transport: Any, *messages: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    """Return what a client hears for what it says, one after the other."""
    heard: list[bytes] = []
    bridge = Bridge(transport, "/mcp", heard.append)

    async def lines() -> AsyncIterator[bytes]:
        for message in messages:
            yield (message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n"
            await asyncio.sleep(0)

    await bridge.run(lines())
    return [json.loads(each) for each in heard]


async def test_the_version_that_was_agreed_on_is_told_with_every_request_after_it() -> None:
    agreed = {"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-06-18"}}
    way = Answers(httpx.Response(200, json=agreed), httpx.Response(202), httpx.Response(200, json=agreed))
    heard = await carried(
        way,
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    )
    assert len(heard) == 2
    assert [headers.get("mcp-protocol-version") for _, headers in way.sent] == [None, "2025-06-18", "2025-06-18"]


async def test_the_newer_protocol_is_told_in_headers_whatever_a_name_is_made_of() -> None:
    answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
    news = {"jsonrpc": "2.0", "method": "x"}
    stream = f": ping\n\nevent: message\ndata: {json.dumps(news)}\n\ndata: {json.dumps(answer)}\n\n"
    way = Answers(
        httpx.Response(200, text=stream, headers={"content-type": "text/event-stream"}),
        httpx.Response(200, json=answer),
    )
    meta = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
    heard = await carried(
        way,
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "grüße\r\nx: y", **meta}},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": meta},
    )
    assert [each.get("method", "answer") for each in heard] == ["x", "answer", "answer"]
    (_, call), (_, listing) = way.sent
    assert call["mcp-method"] == "tools/call"
    assert call["mcp-name"] == "=?base64?Z3LDvMOfZQ0KeDogeQ==?="
    assert (listing["mcp-protocol-version"], "mcp-name" in listing) == ("2026-07-28", False)


async def test_what_is_refused_before_the_protocol_is_answered_in_its_words() -> None:
    problem = {"detail": "the token was revoked", "fix": "make another", "kind": "policy", "problems": []}
    way = Answers(
        httpx.Response(401, json=problem), httpx.Response(502, text="<html>"), httpx.Response(403, json=problem)
    )
    heard = await carried(
        way,
        {"jsonrpc": "2.0", "id": "a", "method": "tools/list"},
        {"jsonrpc": "2.0", "id": "b", "method": "tools/list"},
        {"jsonrpc": "2.0", "method": "notifications/x"},
        b"{",
    )
    said = {each["id"]: each["error"]["message"] for each in heard}
    assert said["a"] == "the token was revoked; make another"
    assert "HTTP 502" in said["b"]
    assert set(said) == {"a", "b", None}
