"""Which execution a command is about."""

from typing import Annotated

import typer
from pilotage_client import ClientError, PilotageClient

from pilotage_coordinator.cli.completion import executions

LAST = "last"
ExecutionArgument = Annotated[
    str,
    typer.Argument(metavar="EXECUTION", autocompletion=executions, help="The execution's id, or last for the newest."),
]


async def found(client: PilotageClient, given: str) -> str:
    """Return the id that was given, or that of the newest execution for `last`."""
    if given != LAST:
        return given
    runs = await client.list_runs(limit=1)
    if not runs:
        raise ClientError(
            "nothing has run yet, so there is no last execution", "run something: pilotage run start NAME"
        )
    return runs[0]["id"]
