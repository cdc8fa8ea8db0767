"""`pilotage backup restore`: without any coordinator, so it works with the files themselves."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.restoring import CannotRestore, restore

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("restore")
def restore_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup create` made.")],
    state_dir: Annotated[Path, typer.Option("--state-dir", metavar="FOLDER", help="Empty, or not there yet.")],
    identity: Annotated[
        Path | None, typer.Option("--identity", "-i", metavar="FILE", help="The age identity that opens the backup.")
    ] = None,
) -> None:
    """Put a backup into an empty state folder, after checking every byte of it and its audit log.

    The next start there hears the hosts first and repeats no step. Hosts that know an owner's key go back with it once
    an owner has signed that: pilotage backup accept.
    """
    as_json = context.obj.json if isinstance(context.obj, GlobalOptions) else False
    screen = Screen.of_process(json=as_json)
    try:
        done = restore(file, state_dir, identity)
    except CannotRestore as error:
        if as_json:
            screen.error_object({"error": str(error), "kind": "infrastructure", "fix": "", "problems": []})
        else:
            screen.error(str(error))
        raise typer.Exit(int(ExitCode.FAILED)) from error
    manifest = done.manifest
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "state_dir": str(state_dir),
                    "coordinator_id": manifest.coordinator_id,
                    "audit_sequence": manifest.audit_sequence,
                    "warnings": list(done.warnings),
                }
            )
        )
        return
    screen.line(f"{manifest.coordinator_id} is in {state_dir}, audit log up to {manifest.audit_sequence}")
    for warning in done.warnings:
        screen.say(f"warning: {warning}", "yellow")
    screen.hint("start the coordinator: it hears every host first; then: pilotage run list --state paused")
