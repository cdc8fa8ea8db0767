"""`pilotage plan`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pilotage_client import ClientError, PilotageClient
from pilotage_client.answers import Plan

from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import (
    FileOption,
    LimitOption,
    NameArgument,
    ParameterOption,
    ParametersOption,
    Wanted,
    WorkflowOption,
    show_plan,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def plan(
    context: typer.Context,
    name: NameArgument = None,
    file: FileOption = None,
    workflow: WorkflowOption = None,
    parameter: ParameterOption = None,
    parameters: ParametersOption = None,
    limit: LimitOption = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Keep the plan for `pilotage apply`.")
    ] = None,
    previews: Annotated[bool, typer.Option(help="Ask the hosts what would change on them.")] = True,
) -> None:
    """Show what a blueprint would do, host by host and wave by wave; change nothing."""
    wanted = Wanted(name, file, workflow, parameter or [], parameters, limit)

    async def work(client: PilotageClient, screen: Screen) -> None:
        made = await client.make_plan(**wanted.arguments(), previews=previews)
        if output is not None:
            write_plan(output, made)
        if screen.json:
            screen.object(made)
            return
        show_plan(screen, made)
        if output is not None:
            screen.hint(f"run exactly this: pilotage apply {output}")

    perform(context, work)


def write_plan(file: Path, plan: Plan) -> None:
    """Write a plan file; an existing file is replaced."""
    try:
        file.write_text(json.dumps({"pilotage_plan": 1, "plan": plan}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ClientError(f"{file}: {error.strerror}", "the plan was made; write it elsewhere") from error
