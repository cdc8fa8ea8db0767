"""`pilotage coordinator serve`: the one command that is the coordinator, rather than speaking to it."""

import asyncio
import gc
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from pydantic import ValidationError

from pilotage_coordinator.bootstrap import CannotServe
from pilotage_coordinator.bootstrap import serve as serve_coordinator
from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.config import CoordinatorConfig, config_file

COLLECTION: Final = (50_000, 20, 100)
"""Allocations, and rounds of the younger generation, after which the garbage collector looks at each generation."""

app = typer.Typer(rich_markup_mode=None)


@app.command()
def serve(
    context: typer.Context,
    state_dir: Annotated[Path | None, typer.Option(help="Database, keys and logs.")] = None,
    fleet_listen: Annotated[str | None, typer.Option(help="host:port for agents.")] = None,
    enrol_listen: Annotated[str | None, typer.Option(help="host:port where new hosts join.")] = None,
    advertise: Annotated[str | None, typer.Option(help="Name under which other machines reach this one.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run the coordinator in the foreground until Ctrl-C or SIGTERM; steps that run on hosts go on.

    Settings come from the options, then PILOTAGE_* in the environment, then /etc/pilotage/coordinator.toml (for a user:
    ~/.config/pilotage/coordinator.toml).
    """
    given: dict[str, Any] = {
        "state_dir": state_dir,
        "fleet_listen": fleet_listen,
        "enrol_listen": enrol_listen,
        "advertise": advertise,
        "log_level": log_level,
        "socket": context.obj.socket if isinstance(context.obj, GlobalOptions) else None,
    }
    try:
        config = CoordinatorConfig(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
        raise typer.BadParameter(f"settings (options, PILOTAGE_*, {config_file()}): " + "; ".join(lines)) from error
    try:
        _run(config)
    except CannotServe as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(ExitCode.FAILED) from error


def _run(config: CoordinatorConfig) -> None:
    """Serve on uvloop, which carries half as many streams again as asyncio's own loop; nothing is spawned through it.

    Code is put out of the garbage collector's sight, and it looks less often: a coordinator holds large trees of plans
    and states that live long, and looking through them took a tenth of its time.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTION)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_coordinator(config))
