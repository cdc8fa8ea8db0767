"""The root of the command line: global options and the table of commands."""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NoReturn

import typer
import typer.main
from typer.exceptions import TyperException

from pilotage_coordinator.cli.arguments import global_first
from pilotage_coordinator.cli.deferred import DeferredGroup, Place
from pilotage_coordinator.cli.settings import GlobalOptions

PLACES = MappingProxyType(
    {
        "up": Place("up", "Start a coordinator and an agent for this machine."),
        "down": Place("down", "Stop what `up` started; steps that run go on."),
        "plan": Place("plan", "Show what a blueprint would do, host by host; change nothing."),
        "apply": Place("apply", "Run exactly the plan that was written to a file."),
        "run": Place("run", "Start, watch and steer executions."),
        "schedule": Place("schedule", "Run blueprints at certain times, and see what became of each."),
        "exec": Place("exec", "Run one command on many hosts, as an execution like any other."),
        "approval": Place("approval", "See what waits for people to agree; approve or reject it."),
        "logs": Place("logs", "Read or follow what the steps of an execution write."),
        "replay": Place("replay", "See how an execution stood after any of its events."),
        "blueprint": Place("blueprint", "List, show, check and add blueprints."),
        "host": Place("host", "Let hosts in, label them, look at them, shut them out."),
        "secret": Place("secret", "Store, list and remove secrets."),
        "audit": Place("audit", "Search, check and export the log of who did what."),
        "backup": Place("backup", "Back up the coordinator itself, and restore it."),
        "policy": Place("policy", "What may be done on hosts: see it, set it, test it, and ask why."),
        "compliance": Place("compliance", "Check blueprints against the rules of compliance, and report on what ran."),
        "notification": Place("notification", "See what steps have sent to people, and send it again."),
        "whoami": Place("whoami", "Show who you are to the coordinator, and what you may do."),
        "principal": Place("principal", "Say who there is: persons, services, assistants, and what they may do."),
        "role": Place("role", "List, show and make roles: named sets of permissions."),
        "mcp": Place("mcp", "Let AI assistants in: what they may do, and how their clients are set up."),
        "token": Place("token", "Make, list, rotate and revoke API tokens."),
        "doctor": Place("doctor", "Check the coordinator and say how to mend what is wrong."),
        "coordinator": Place("coordinator", "Serve, look at and stop the coordinator itself."),
        "version": Place("version", "Show the version."),
    }
)

EPILOG = (
    "The options --json, --socket, --url, --context, --token-file and --ca may stand anywhere. "
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 awaiting approval, "
    "4 unreachable, 5 denied, 130 interrupted."
)


class Root(DeferredGroup):
    """`pilotage`."""

    places = PLACES


app = typer.Typer(cls=Root, no_args_is_help=True, rich_markup_mode=None, epilog=EPILOG, pretty_exceptions_enable=False)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pilotage {version('pilotage')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON; streams as one object a line.")] = False,
    socket: Annotated[
        Path | None,
        typer.Option(
            "--socket", metavar="PATH", envvar="PILOTAGE_SOCKET", help="The coordinator's socket.", show_envvar=True
        ),
    ] = None,
    url: Annotated[
        str,
        typer.Option("--url", metavar="URL", envvar="PILOTAGE_URL", help="A coordinator elsewhere.", show_envvar=True),
    ] = "",
    context_name: Annotated[
        str,
        typer.Option(
            "--context", metavar="NAME", envvar="PILOTAGE_CONTEXT", help="One of contexts.toml.", show_envvar=True
        ),
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            envvar="PILOTAGE_TOKEN_FILE",
            help="Holds the API token; else PILOTAGE_TOKEN does.",
            show_envvar=True,
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca", metavar="FILE", envvar="PILOTAGE_CA", help="The authority of --url's certificate.", show_envvar=True
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Governed workflows on a fleet of hosts: plan, run, watch, roll back, prove.

    Begin with `pilotage up`.
    """
    if url and socket and (stronger := _given_here(context)):
        # What is written on the command line wins over the environment.
        url, socket = (url, None) if stronger == "url" else ("", socket)
    context.obj = GlobalOptions(as_json, socket, url, context_name, token_file, ca)


def _given_here(context: typer.Context) -> str:
    """Return which of URL and socket is written on the command line; empty for both or neither."""
    given = [
        name
        for name in ("url", "socket")
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    ]
    return given[0] if len(given) == 1 else ""


def main() -> None:
    """Run the command line with the process's arguments and exit."""
    run(sys.argv[1:])


def run(arguments: Sequence[str]) -> NoReturn:
    """Run the command line and exit; where JSON is asked for, a command line that makes no sense is told in JSON."""
    command = typer.main.get_command(app)
    given = global_first(arguments)
    if "--json" not in given[: given.index("--") if "--" in given else None]:
        command(given, prog_name="pilotage")
    try:
        sys.exit(command.main(given, prog_name="pilotage", standalone_mode=False) or 0)
    except TyperException as error:
        refusal: Any = error
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "pilotage"
        said = {"error": refusal.format_message(), "kind": "usage", "fix": f"see {where} --help", "problems": []}
        print(json.dumps(said), file=sys.stderr)
        sys.exit(refusal.exit_code)
    except typer.Abort:
        sys.exit(1)
