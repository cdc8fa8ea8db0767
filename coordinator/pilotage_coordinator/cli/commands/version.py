"""`pilotage version`."""

import json
import platform
from importlib.metadata import version as version_of

import typer

from pilotage_coordinator.cli.settings import GlobalOptions

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def version(context: typer.Context) -> None:
    """Show the version of this program and of the Python under it."""
    own = version_of("pilotage")
    if isinstance(context.obj, GlobalOptions) and context.obj.json:
        typer.echo(json.dumps({"version": own, "python": platform.python_version(), "platform": platform.platform()}))
    else:
        typer.echo(f"pilotage {own}, Python {platform.python_version()}, {platform.platform()}")
