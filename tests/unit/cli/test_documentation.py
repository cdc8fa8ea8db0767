"""Every command and every route stands in the documentation, and nothing stands there that does not exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from pilotage_coordinator.api.routes import ROUTES
from pilotage_coordinator.cli.app import PLACES
from pilotage_coordinator.cli.arguments import global_first
from pilotage_coordinator.cli.deferred import load
from pilotage_coordinator.cli.examples import EXAMPLES
from pilotage_coordinator.domain.blueprint.loader import load_blueprint

from tests.unit.cli.reference import PAGE, commands, page

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


def test_the_reference_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(PAGE.read_text(encoding="utf-8")), (
        "write it anew: python -m tests.unit.cli.reference"
    )


def test_every_command_has_an_example_and_each_option_that_takes_a_value_says_what() -> None:
    assert list(commands()) == list(EXAMPLES)
    for command in commands().values():
        assert "Example" in command.epilog
        assert [each.opts for each in command.params if not each.metavar and not getattr(each, "is_flag", False)] == []


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_is_a_command_line_that_is_understood(line: str) -> None:
    _parse(line)


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md", "docs/blueprints.md", "docs/operations.md"])
def test_every_command_line_of_the_documentation_is_understood(page: str) -> None:
    text = (DOCS.parent / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition(" ")[2] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    given = [line for line in lines if line.startswith("pilotage ")]
    assert given
    for line in given:
        _parse(line)


def _parse(line: str) -> None:
    """Parse one command line with the real parser; raise what it raises."""
    plain = re.sub(r"\$\(.*?\)", "SUBSTITUTED", line.partition(" | ")[0])
    words = global_first(shlex.split(plain, comments=True)[1:])
    words = words[1:] if words[:1] == ["--json"] else words
    name = next(each for each in commands() if each.split() == words[: len(each.split())])
    commands()[name].make_context(name, words[len(name.split()) :])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.verb.operation)
def test_every_field_of_a_route_is_documented(route: Any) -> None:
    line = next(
        each
        for each in (DOCS / "http-api.md").read_text(encoding="utf-8").splitlines()
        if each.startswith(f"| `{route.method} {route.path}` |")
    )
    in_path = set(re.findall(r"{(\w+)(?::path)?}", route.path))
    missing = [name for name in route.verb.request.model_fields if name not in in_path and name not in line]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "docs/blueprints.md"])
def test_every_blueprint_of_the_documentation_is_one(page: str) -> None:
    text = (DOCS.parent / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    whole = [block for block in blocks if re.search(r"^workflows:", block, re.MULTILINE)]
    assert whole
    for block in whole:
        assert load_blueprint(block, page).steps
