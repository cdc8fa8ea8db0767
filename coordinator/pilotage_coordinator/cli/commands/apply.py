"""`pilotage apply`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pilotage_client import PilotageClient

from pilotage_coordinator.cli.exits import ExitCode, NotUnderstood
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import (
    ClassOption,
    ForChange,
    NoWaitOption,
    ReasonOption,
    ReferenceOption,
    start_digest,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `pilotage plan -o FILE` wrote.")],
    no_wait: NoWaitOption = False,
    reason: ReasonOption = "",
    reference: ReferenceOption = "",
    change_class: ClassOption = None,
) -> None:
    """Run exactly the plan that was written to a file; if it no longer holds, nothing is started."""

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        change = ForChange(reason, reference, change_class)
        return await start_digest(client, screen, read_digest(file), no_wait=no_wait, change=change)

    perform(context, work)


def read_digest(file: Path) -> str:
    """Return the digest in a plan file; raise NotUnderstood if it is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotUnderstood(f"{file}: {error.strerror}") from error
    except ValueError:
        document = None
    plan = document.get("plan") if isinstance(document, dict) and document.get("pilotage_plan") == 1 else None
    if not isinstance(plan, dict) or not isinstance(plan.get("digest"), str):
        raise NotUnderstood(
            f"{file} is no plan file, which is what `pilotage plan -o FILE` writes",
            f"to run a blueprint's file: pilotage run start -f {file}",
        )
    return str(plan["digest"])
