"""`pilotage apply`."""

from pathlib import Path
from typing import Annotated

import typer
from pilotage_client import ClientError, PilotageClient

from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.inputs import read_json_object
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import NoWaitOption, ReasonOption, start_digest

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `pilotage plan -o FILE` wrote.")],
    no_wait: NoWaitOption = False,
    reason: ReasonOption = "",
) -> None:
    """Run exactly the plan that was written to a file; if it no longer holds, nothing is started."""

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        return await start_digest(client, screen, read_digest(file), no_wait=no_wait, reason=reason)

    perform(context, work)


def read_digest(file: Path) -> str:
    """Return the digest in a plan file; raise ClientError if it is none."""
    document = read_json_object(file)
    plan = document.get("plan")
    if document.get("pilotage_plan") != 1 or not isinstance(plan, dict) or not isinstance(plan.get("digest"), str):
        raise ClientError(f"{file} is no plan file", f"write one: pilotage plan NAME -o {file}")
    return str(plan["digest"])
