"""`pilotage coordinator serve`: the one command that is the coordinator, rather than speaking to it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.program import run

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def serve(
    context: typer.Context,
    state_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Database, keys and logs.")] = None,
    fleet_listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where agents connect.")] = None,
    enrol_listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where new hosts join.")] = None,
    https_listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where API tokens are taken over TLS; `on`: 127.0.0.1:7445."),
    ] = None,
    advertise: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name under which other machines reach this one.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = None,
    after_restore: Annotated[
        bool,
        typer.Option("--after-restore", help="Once, after the state was restored from a backup: hear the hosts first."),
    ] = False,
    accept_audit_fault: Annotated[
        str,
        typer.Option(
            metavar="REASON", help="Once, when the audit log's end or key is at fault: record that, and go on with it."
        ),
    ] = "",
) -> None:
    """Run the coordinator in the foreground until Ctrl-C or SIGTERM; steps that run on hosts go on.

    Settings come from the options, then PILOTAGE_* in the environment, then /etc/pilotage/coordinator.toml (for a user:
    ~/.config/pilotage/coordinator.toml).
    """
    options: dict[str, Any] = {
        "state_dir": state_dir,
        "fleet_listen": fleet_listen,
        "enrol_listen": enrol_listen,
        "https_listen": https_listen,
        "advertise": advertise,
        "log_level": log_level,
        "socket": context.obj.socket if isinstance(context.obj, GlobalOptions) else None,
    }
    if code := run(options, after_restore=after_restore, accept_audit_fault=accept_audit_fault):
        raise typer.Exit(code)
