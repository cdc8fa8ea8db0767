"""Every command and every route stands in the documentation, and nothing stands there that does not exist."""

import re
from pathlib import Path
from typing import Any

from pilotage_coordinator.api.routes import ROUTES
from pilotage_coordinator.cli.app import PLACES
from pilotage_coordinator.cli.deferred import load

DOCS = Path(__file__).parents[3] / "docs"


def _commands() -> set[str]:
    found: set[str] = set()
    for name, place in PLACES.items():
        command: Any = load(name, place)
        inner = command.list_commands(None) if hasattr(command, "list_commands") else []
        found |= {f"{name} {each}" for each in inner} or {name}
    return found


def test_every_command_is_documented_and_no_other() -> None:
    text = (DOCS / "cli.md").read_text()
    commands = _commands()
    assert [each for each in sorted(commands) if f"pilotage {each}" not in text] == []
    groups = {each.split()[0] for each in commands if " " in each}
    written = re.findall(r"\bpilotage ([a-z]+)(?: ([a-z]+))?", text)
    assert {first for first, _ in written} <= {each.split()[0] for each in commands}
    assert {f"{first} {second}" for first, second in written if first in groups} <= commands


def test_every_route_is_documented_with_its_operation_and_no_other() -> None:
    rows = re.findall(r"^\| `([A-Z]+) (\S+)` \| (\S+) \|", (DOCS / "http-api.md").read_text(), re.MULTILINE)
    served = {(route.method, route.path, route.verb.operation) for route in ROUTES} | {("GET", "/v1/health", "—")}
    assert set(rows) == served
