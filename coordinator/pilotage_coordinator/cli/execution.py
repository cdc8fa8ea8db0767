"""Which execution a command is about."""

import re
from typing import Annotated

import typer
from pilotage_client import ClientError, PilotageClient

from pilotage_coordinator.cli.completion import executions
from pilotage_coordinator.cli.exits import NotUnderstood

LAST = "last"
_ID = re.compile(r"exe_[0-9a-f]{32}")
ExecutionArgument = Annotated[
    str,
    typer.Argument(metavar="EXECUTION", autocompletion=executions, help="The execution's id, or last for the newest."),
]


async def found(client: PilotageClient, given: str) -> str:
    """Return the id that was given, or that of the newest execution for `last`.

    Raises NotUnderstood for what can be no id.
    """
    if given != LAST:
        if _ID.fullmatch(given) is None:
            raise NotUnderstood(
                f"{given!r} is no execution: an id is exe_ and 32 of 0-9 and a-f, `last` the newest",
                "see them all: pilotage run list",
            )
        return given
    runs = await client.list_runs(limit=1)
    if not runs:
        raise ClientError(
            "nothing has run yet, so there is no last execution", "run something: pilotage run start NAME"
        )
    return runs[0]["id"]
