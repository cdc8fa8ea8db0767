"""A canary: a secret that a step prints on purpose is found nowhere but with the step that asked for it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.conftest import MakeFleet
from tests.fleet.fleet import ENDED, Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CANARY = 'canary/7+"Qz9\\x é-of-the-mine~41'
SENSITIVE = "sensitive-parameter-Kq82%/+x"

BLUEPRINT = """
pilotage: 1
workflows:
  leaky:
    version: "1.0.0"
    parameters: {token: {type: string, sensitive: true, required: true}}
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
              for name in ("CANARY", "TOKEN"):
                  text = open(os.environ[name]).read()
                  print("plain", text)
                  print("base64", base64.b64encode(text.encode()).decode())
                  print("url", urllib.parse.quote(text), urllib.parse.quote(text, safe=""))
                  print("json", json.dumps(text), json.dumps(text, ensure_ascii=False))
                  print("hex", text.encode().hex())
                  print(text, file=sys.stderr)
                  sys.stdout.write("split " + text[:9]); sys.stdout.flush(); time.sleep(0.3)
                  print(text[9:])
      - id: fail
        dependencies: [print]
        type: command.run
        parameters:
          secret_files: {CANARY: "secret://canary"}
          argv: [python3, -c, "import os, sys; sys.exit(open(os.environ['CANARY']).read())"]
"""


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """Yield the encodings in which a secret could be found; of a text split over writes, its parts stand together."""
    raw = secret.encode()
    yield "plain", raw
    yield "base64", base64.b64encode(raw)
    yield "url", quote(secret, safe="").encode()
    yield "json", json.dumps(secret)[1:-1].encode()
    yield "json in json", json.dumps(json.dumps(secret))[3:-3].encode()
    yield "hex", raw.hex().encode()


def leaks(where: str, content: bytes) -> list[str]:
    """Return what was found in a file or an answer."""
    looked_for = ((secret, name, form) for secret in (CANARY, SENSITIVE) for name, form in forms(secret))
    return [f"{where}: {name} of {secret[:6]}…" for secret, name, form in looked_for if form in content]


def test_the_search_finds_every_form() -> None:
    for name, form in forms(CANARY):
        assert any(name in leak for leak in leaks("file", b"x" + form + b"y"))


def test_the_canary_is_nowhere(make_fleet: MakeFleet) -> None:
    fleet = make_fleet("one")
    fleet.run("secret", "set", "canary", "--any", input=CANARY)
    execution = fleet.call(lambda client: client.start_run(source=BLUEPRINT, parameters={"token": SENSITIVE}))[
        "execution"
    ]
    fleet.until("it ended", lambda: fleet.call(lambda client: client.show_run(execution))["state"] in ENDED)
    shown = fleet.call(lambda client: client.show_run(execution))
    assert [run["state"] for run in shown["runs"]] == ["succeeded", "failed"], shown["runs"]
    fleet.until("the log came", lambda: "hex" in fleet.run("logs", execution).stdout)
    log = fleet.run("logs", execution).stdout
    assert "split" in log and "plain" in log, log  # noqa: PT018 - one thing: the step did print
    said = _said(fleet, execution)
    found = [leak for where, text in said.items() for leak in leaks(where, text.encode())]
    # While the agent runs, and after it has ended: what memory held is not written at the end either.
    found += [leak for path in _files(fleet.folder) for leak in leaks(str(path), path.read_bytes())]
    fleet.agents["one"].stop()
    fleet.coordinator.stop()
    found += [leak for path in _files(fleet.folder) for leak in leaks(str(path), path.read_bytes())]
    assert found == []


def _said(fleet: Fleet, execution: str) -> dict[str, str]:
    commands = (
        ("run", "show", execution), ("run", "list"), ("logs", execution), ("replay", execution), ("secret", "list"),
        ("run", "watch", execution), ("host", "show", "one"), ("doctor",),
    )  # fmt: skip
    return {
        " ".join([*mode, *command]): fleet.run(*mode, *command, check=False).stdout
        for command in commands
        for mode in ((), ("--json",))
    }


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
