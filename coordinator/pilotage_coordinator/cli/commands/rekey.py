"""`pilotage secret rekey`: without any coordinator, so it works with the files themselves."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.rekeying import CannotChangeKey, change_store_key

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("rekey")
def rekey(
    context: typer.Context,
    state_dir: Annotated[Path, typer.Option("--state-dir", metavar="FOLDER", help="The coordinator's state folder.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Make a new key for the store and encrypt every secret with it. The coordinator must be stopped.

    Killed at any moment, it leaves everything readable, and may be given again. What the old key opened in copies and
    backups it still opens: where it was stolen, set the secrets themselves anew as well.
    """
    as_json = context.obj.json if isinstance(context.obj, GlobalOptions) else False
    screen = Screen.of_process(json=as_json)
    if not confirmed(screen, f"Encrypt everything in {state_dir} with a new key?", yes=yes):
        return
    try:
        done = asyncio.run(change_store_key(state_dir, os.environ, reason))
    except CannotChangeKey as error:
        if as_json:
            screen.error_object({"error": str(error), "kind": "infrastructure", "fix": "", "problems": []})
        else:
            screen.error(str(error))
        raise typer.Exit(int(ExitCode.FAILED)) from error
    if as_json:
        found = {"before": done.before, "after": done.after, "secrets": done.done.secrets, "plans": done.done.plans}
        typer.echo(json.dumps(found))
        return
    screen.line(f"{done.done.secrets} secrets and the requests of {done.done.plans} plans are encrypted anew")
    screen.line(f"the key {done.before} is replaced by {done.after} and opens nothing here any more")
    screen.hint("start the coordinator, and make a backup: pilotage backup create")
