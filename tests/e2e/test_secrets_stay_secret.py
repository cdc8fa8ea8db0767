"""Canaries: secrets that nobody can guess, which steps tell on purpose in every way they can, are found nowhere."""

import asyncio
import base64
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from pilotage_client import PilotageClient
from pilotage_coordinator.api.routes import ROUTES
from pilotage_coordinator.service.verb import Stream

from tests.e2e.conftest import MakeFleet
from tests.fleet.fleet import ENDED, Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BLUEPRINT = """
pilotage: 1
workflows:
  leaky:
    version: "1.0.0"
    owner: ops
    parameters: {token: {type: string, sensitive: true, required: true}, go: {type: string, required: true}}
    targets: {hosts: [one]}
    steps:
      - id: print
        type: command.run
        parameters:
          secret_files: {CANARY: "secret://canary", TOKEN: "${{ parameters.token }}"}
          argv:
            - python3
            - -c
            - |
              import base64, json, os, sys, time, urllib.parse
              def tell(text):
                  raw = text.encode()
                  print("plain", text, "in", "x" + text + "y")
                  for before in (b"", b"a", b"ab"):
                      for encode in (base64.b64encode, base64.urlsafe_b64encode):
                          print("base64", encode(before + raw).decode())
                  print("url", urllib.parse.quote(text), urllib.parse.quote(text, safe=""))
                  print("form", urllib.parse.quote_plus(text))
                  print("json", json.dumps(text), json.dumps(text, ensure_ascii=False), json.dumps(json.dumps(text)))
                  print("hex", raw.hex(), raw.hex().upper())
                  print(text, file=sys.stderr)
                  sys.stdout.write("split " + text[:9]); sys.stdout.flush(); time.sleep(0.2)
                  print(text[9:], flush=True)
              values = [open(os.environ[name]).read() for name in ("CANARY", "TOKEN")]
              for value in values:
                  tell(value)
              print("waiting", flush=True)
              while not os.path.exists(sys.argv[1]):
                  time.sleep(0.05)
              for value in values:
                  tell(value)
            - "${{ parameters.go }}"
      - id: after
        dependencies: [print]
        type: command.run
        parameters:
          secret_files: {CANARY: "secret://canary"}
          argv:
            - python3
            - -c
            - |
              import hashlib, os
              print("it has", hashlib.sha256(open(os.environ["CANARY"], "rb").read()).hexdigest())
      - id: fail
        dependencies: [after]
        type: command.run
        parameters:
          secret_files: {CANARY: "secret://canary"}
          argv: [python3, -c, "import os, sys; sys.exit(open(os.environ['CANARY']).read())"]
"""


def unguessable(name: str) -> str:
    """Return a value that stands nowhere else, with letters that every encoding writes otherwise."""
    return f'{name}/{secrets.token_urlsafe(9)}+"{secrets.token_hex(4)}\\x é-~{secrets.token_urlsafe(6)}%41'


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """Yield the encodings in which a secret could be found; of a text split over writes, its parts stand together."""
    raw = secret.encode()
    yield "plain", raw
    for before in (b"", b"a", b"ab"):
        # What the bytes around it have no part in, at each alignment.
        first, last = -(-8 * len(before) // 6), 8 * (len(before) + len(raw)) // 6
        for alphabet, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            yield f"{alphabet} after {len(before)}", encode(before + raw)[first:last]
    yield "url", quote(secret, safe="").encode()
    yield "url with slashes", quote(secret).encode()
    yield "form", quote_plus(secret).encode()
    yield "json", json.dumps(secret)[1:-1].encode()
    yield "json as it is", json.dumps(secret, ensure_ascii=False)[1:-1].encode()
    yield "json in json", json.dumps(json.dumps(secret))[3:-3].encode()
    yield "hex", raw.hex().encode()
    yield "HEX", raw.hex().upper().encode()


class Search:
    """Looks for some values in whatever it is given."""

    def __init__(self, *values: str) -> None:
        self._forms = [(value[:6], name, form) for value in values for name, form in forms(value)]
        self.looked_at = 0

    def leaks(self, where: str, content: bytes) -> list[str]:
        """Return what was found in a file or an answer."""
        self.looked_at += 1
        return [f"{where}: {name} of {value}…" for value, name, form in self._forms if form in content]

    def files(self, folder: Path) -> list[str]:
        """Return what was found in the files of a folder: database, WAL, logs, journals, backups, exports."""
        return [
            leak
            for path in sorted(folder.rglob("*"))
            if path.is_file()
            for leak in self.leaks(str(path), path.read_bytes())
        ]


def test_the_search_finds_every_form() -> None:
    value = unguessable("canary")
    search = Search(value)
    for name, form in forms(value):
        assert any(name in leak for leak in search.leaks("file", b"x" + form + b"y")), name
    for before in (b"", b"q", b"qq", b"qqq"):
        assert search.leaks("file", base64.b64encode(before + value.encode() + b"zz"))
    assert search.leaks("file", b"nothing of it") == []


def test_the_canaries_are_nowhere(make_fleet: MakeFleet, tmp_path: Path) -> None:
    first, second, token = unguessable("canary"), unguessable("second"), unguessable("token")
    search, go = Search(first, second, token), tmp_path / "go"
    fleet = make_fleet("one")
    fleet.run("secret", "set", "canary", "--any", input=first)
    given = {"token": token, "go": str(go)}
    execution = fleet.call(lambda client: client.start_run(source=BLUEPRINT, parameters=given))["execution"]
    fleet.until("it waits", lambda: "waiting" in fleet.run("logs", execution).stdout)
    # The step that runs keeps the value that it was given; what is sent from now on gets the new one.
    fleet.run("secret", "set", "canary", input=second)
    go.touch()
    fleet.until("it ended", lambda: fleet.call(lambda client: client.show_run(execution))["state"] in ENDED)
    shown = fleet.call(lambda client: client.show_run(execution))
    ended = {run["step"]: run["state"] for run in shown["runs"]}
    assert ended == {"print": "succeeded", "after": "succeeded", "fail": "failed"}, shown["runs"]
    fleet.until("the log came", lambda: "it has" in fleet.run("logs", execution).stdout)
    log = fleet.run("logs", execution).stdout
    assert log.count("split") >= 4, log
    assert hashlib.sha256(second.encode()).hexdigest() in log
    assert "[redacted]" in json.dumps(shown), "the outputs and the error told nothing"
    found = [leak for where, text in _said(fleet, execution).items() for leak in search.leaks(where, text.encode())]
    exports = fleet.folder / "exports"
    exports.mkdir()
    fleet.run("backup", "create", "--plain", "--logs", "-o", str(exports / "backup.tar"))
    fleet.run("audit", "export", "-o", str(exports / "audit.jsonl"))
    # While the agent runs, and after it has ended: what memory held is not written at the end either.
    found += search.files(fleet.folder)
    fleet.agents["one"].stop()
    fleet.coordinator.stop()
    found += search.files(fleet.folder)
    assert found == []
    names = {path.name for path in fleet.folder.rglob("*") if path.is_file()}
    assert {"pilotage.db", "backup.tar", "audit.jsonl"} <= names
    assert search.looked_at > 50, search.looked_at


def _said(fleet: Fleet, execution: str) -> dict[str, str]:
    """Return what people, programs and assistants are told, by what was asked."""
    commands = (
        ("run", "show", execution), ("logs", execution), ("replay", execution), ("secret", "list"),
        ("run", "watch", execution), ("audit", "search"), ("--json", "run", "watch", execution),
    )  # fmt: skip
    found = {" ".join(command): fleet.run(*command, check=False).stdout for command in commands}
    return found | fleet.call(lambda client: _answers(client, execution)) | asyncio.run(_tools(fleet, execution))


async def _answers(client: PilotageClient, execution: str) -> dict[str, str]:
    """Ask every route that only reads."""
    digest = (await client.show_run(execution))["plan_digest"]
    known = {"execution": execution, "digest": digest, "host": "one", "blueprint": "quick_backup", "role": "owner"}
    found: dict[str, str] = {}
    for route in ROUTES:
        names = set(re.findall(r"{(\w+)(?::path)?}", route.path))
        if route.method != "GET" or not names <= set(known):
            continue
        path = re.sub(r"{(\w+)(?::path)?}", lambda match: known[match[1]], route.path)
        query = {"until": "2"} if route.verb.operation == "audit.export" else {}
        async with asyncio.timeout(30):
            response = await client._transport._http.request("GET", path, params=query)
        assert response.status_code < 500, (path, response.text)
        found[f"GET {path}"] = response.text
        if isinstance(route.verb, Stream):
            assert "data:" in response.text, path
    return found


async def _tools(fleet: Fleet, execution: str) -> dict[str, str]:
    """Call every tool of an assistant that only reads and needs nothing but what is known."""
    file = str(fleet.folder / "assistant.token")
    command, *arguments = fleet.json("mcp", "config", "other", "--read-only", "--to-file", file)["command"]
    parameters = StdioServerParameters(command=command, args=arguments, env={**os.environ, **fleet.environment})
    known: dict[str, Any] = {"execution_id": execution, "workflow_id": "quick_backup", "host": "one"}
    found: dict[str, str] = {}
    async with Client(stdio_client(parameters)) as client:
        for tool in (await client.list_tools()).tools:
            if not set(tool.input_schema.get("required", ())) <= set(known):
                continue
            arguments = {name: known[name] for name in tool.input_schema.get("properties", {}) if name in known}
            found[f"tool {tool.name}"] = (await client.call_tool(tool.name, arguments)).model_dump_json()
    assert {"tool explain_execution"} <= set(found), sorted(found)
    return found
