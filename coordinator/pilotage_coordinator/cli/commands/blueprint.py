"""`pilotage blueprint`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import Json, Parameter, StepOutline

from pilotage_coordinator.cli.completion import blueprints
from pilotage_coordinator.cli.inputs import read_blueprint, read_parameters
from pilotage_coordinator.cli.moments import ago
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import LimitOption, ParameterOption

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, add_completion=False, help="List, show, check and add blueprints."
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The blueprint file; - reads standard input.")]


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the newest version of every stored blueprint."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_blueprints()
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("ID", "VERSION", "ADDED", "BY", "NAME"),
            [(row["id"], row["version"], ago(row["added_at"]), row["added_by"], row["name"]) for row in rows],
            "No blueprint is stored here. Add one: pilotage blueprint add FILE",
        )

    perform(context, work)


@app.command()
def show(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", autocompletion=blueprints, help="ID, ID@1 (newest of a major version) or ID@1.2.0."
        ),
    ],
    source: Annotated[bool, typer.Option("--source", help="Print the YAML as its author wrote it.")] = False,
) -> None:
    """Show one blueprint: its parameters and its steps."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        blueprint = await client.show_blueprint(name)
        if screen.json:
            screen.object(blueprint)
            return
        if source:
            screen.line(blueprint["source"].rstrip("\n"))
            return
        screen.line(f"{blueprint['id']}@{blueprint['version']}  {blueprint['name']}", "bold")
        if blueprint["description"]:
            screen.folded(blueprint["description"])
        screen.line(f"digest {blueprint['digest']}", "dim")
        screen.line(f"versions {', '.join(blueprint['versions'])}", "dim")
        _show_parameters(screen, blueprint["parameters"])
        screen.line("\nSteps", "bold")
        _show_steps(screen, blueprint["steps"], "  ")
        if blueprint["finally_steps"]:
            screen.line("Finally", "bold")
            _show_steps(screen, blueprint["finally_steps"], "  ")
        required = "".join(f" -p {each['name']}=…" for each in blueprint["parameters"] if each["required"])
        screen.hint(f"pilotage run start {blueprint['id']}{required}")

    perform(context, work)


@app.command()
def choices(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", autocompletion=blueprints, help="ID, ID@1 (newest of a major version) or ID@1.2.0."
        ),
    ],
    parameter: Annotated[str, typer.Argument(metavar="PARAMETER", help="One of its parameters.")],
    given: ParameterOption = None,
    limit: LimitOption = "",
) -> None:
    """Show what can be chosen for a parameter; where its blueprint says so, the hosts are asked."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        texts = read_parameters(given or [])
        found = await client.show_choices(name, parameter, parameter_texts=texts, limit_to=limit)
        if screen.json:
            screen.object(found)
            return
        rows = [(_value(each["value"]), ", ".join(each["hosts"])) for each in found["items"]]
        screen.table(
            ("VALUE", "HOSTS" if any(hosts for _, hosts in rows) else ""), rows, "There is nothing to choose from."
        )
        if found["left_out"]:
            screen.line(f"and {found['left_out']} more", "dim")
        for silent in found["incomplete"]:
            screen.line(f"{silent['host']}: {silent['reason']}", "dim")

    perform(context, work)


@app.command()
def validate(
    context: typer.Context,
    file: File,
    expand: Annotated[
        bool, typer.Option("--expand", help="Print the normalised form: shorthands written out, defaults filled in.")
    ] = False,
) -> None:
    """Check a blueprint file against the language and the step types that hosts offer."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        found = await client.validate_blueprint(read_blueprint(file, sys.stdin), str(file))
        if screen.json:
            screen.object(found["items"])
            return
        for each in found["items"]:
            if expand:
                screen.line(each["expanded"].rstrip("\n"))
            else:
                count = f"{each['steps']} step{'s' if each['steps'] != 1 else ''}"
                screen.line(f"{file}: {each['id']}@{each['version']} is valid ({count})")

    perform(context, work)


@app.command()
def add(context: typer.Context, file: File) -> None:
    """Store every blueprint of a file. A stored version never changes."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        added = await client.add_blueprint(read_blueprint(file, sys.stdin), str(file))
        if screen.json:
            screen.object(added["items"])
            return
        for each in added["items"]:
            screen.line(f"stored {each['id']}@{each['version']}  {each['digest']}")
        if added["items"]:
            screen.hint(f"look at what it would do: pilotage plan {added['items'][0]['id']}")

    perform(context, work)


def _show_parameters(screen: Screen, parameters: list[Parameter]) -> None:
    if not parameters:
        return
    screen.line("\nParameters", "bold")
    rows = []
    for each in parameters:
        default = "required" if each["required"] else f"default {json.dumps(each['default'], ensure_ascii=False)}"
        rows.append(
            (f"  {each['name']}", each["type"], "sensitive" if each["sensitive"] else default, each["description"])
        )
    screen.table(("  NAME", "TYPE", "", "DESCRIPTION"), rows, "")


def _value(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _show_steps(screen: Screen, steps: list[StepOutline], indent: str) -> None:
    ids = max((len(each["id"]) for each in steps), default=0)
    kinds = [each["type"] or (f"calls {each['calls']}" if each["calls"] else "group") for each in steps]
    width = max((len(kind) for kind in kinds), default=0)
    for each, kind in zip(steps, kinds, strict=True):
        after = f"after {', '.join(each['dependencies'])}" if each["dependencies"] else ""
        screen.line(f"{indent}{each['id']:<{ids}}  {kind:<{width}}  {after}".rstrip())
        _show_steps(screen, each["steps"], indent + "  ")
