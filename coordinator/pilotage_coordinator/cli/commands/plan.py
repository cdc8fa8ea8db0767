"""`pilotage plan`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pilotage_client import ClientError, PilotageClient
from pilotage_client.answers import Plan

from pilotage_coordinator.cli.completion import blueprints
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import (
    ClassOption,
    FileOption,
    LimitOption,
    ParameterOption,
    ParametersOption,
    Wanted,
    WorkflowOption,
    show_plan,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)

NameOrDigest = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        autocompletion=blueprints,
        help="A stored blueprint: ID, ID@1 or ID@1.2.0; or the digest of a plan that was made before.",
    ),
]


@app.command()
def plan(
    context: typer.Context,
    name: NameOrDigest = None,
    file: FileOption = None,
    workflow: WorkflowOption = None,
    parameter: ParameterOption = None,
    parameters: ParametersOption = None,
    limit: LimitOption = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Keep the plan for `pilotage apply`.")
    ] = None,
    change_class: ClassOption = None,
    previews: Annotated[bool, typer.Option(help="Ask the hosts what would change on them.")] = True,
    values: Annotated[bool, typer.Option("--values", help="Show what each step is given, on each host.")] = False,
) -> None:
    """Show what a blueprint would do, host by host and wave by wave; change nothing.

    Given the digest of a plan, such as `run show` prints, it shows that plan again, as it was made.
    """
    wanted = Wanted(name, file, workflow, parameter or [], parameters, limit)
    digest = _digest(wanted)

    async def work(client: PilotageClient, screen: Screen) -> None:
        if digest:
            made = await client.show_plan(digest)
        else:
            chosen = change_class.value if change_class else None
            made = await client.make_plan(**wanted.arguments(), previews=previews, change_class=chosen)
        if output is not None:
            write_plan(output, made)
        if screen.json:
            screen.object(made)
            return
        show_plan(screen, made, values=values)
        if output is not None:
            screen.hint(f"run exactly this: pilotage apply {output}")

    perform(context, work)


def _digest(wanted: Wanted) -> str:
    """Return the digest that was given in place of a name; raise a usage error beside what makes a plan anew."""
    if wanted.name is None or not wanted.name.startswith("sha256:"):
        return ""
    if wanted != Wanted(wanted.name, None, None, [], None, ""):
        raise typer.BadParameter("the digest of a plan stands alone: that plan has its parameters and hosts")
    return wanted.name


def write_plan(file: Path, plan: Plan) -> None:
    """Write a plan file; an existing file is replaced."""
    try:
        file.write_text(json.dumps({"pilotage_plan": 1, "plan": plan}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ClientError(f"{file}: {error.strerror}", "the plan was made; write it elsewhere") from error
