"""`pilotage secret`."""

import getpass
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from pilotage_client import ClientError, PilotageClient

from pilotage_coordinator.cli.completion import secrets
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, add_completion=False, help="Store, list and remove secrets."
)

LARGEST = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
"""As the coordinator takes them; asked here, too, so that nobody types a value for a name that cannot be."""
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", autocompletion=secrets, help="Such as restic/db1; blueprints say secret://restic/db1."
    ),
]


@app.command("set")
def set_(
    context: typer.Context,
    name: Name,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", metavar="FILE", help="The secret is the file's bytes, all of them.")
    ] = None,
) -> None:
    """Store or replace a secret: asked for on a terminal, else read from standard input or a file.

    A value is never taken from the command line, where every process of the machine could read it. One line break at
    the end of standard input does not belong to it.
    """

    if _NAME.fullmatch(name) is None:
        raise typer.BadParameter(
            f"{name!r}: a secret's name has at most 200 letters, digits and . _ / -, and begins with a letter or digit"
        )

    async def work(client: PilotageClient, screen: Screen) -> None:
        stored = await client.set_secret(name, _value(name, from_file))
        if screen.json:
            screen.object(stored)
        else:
            screen.line(f"{'stored' if stored['new'] else 'replaced'} {stored['reference']}")

    perform(context, work)


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the names of secrets; values are never shown."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_secrets()
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("REFERENCE", "SET BY", "SET"),
            [(row["reference"], row["updated_by"], local(row["updated_at"])) for row in rows],
            "No secret is stored. Store one: pilotage secret set NAME",
        )

    perform(context, work)


@app.command()
def rm(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a secret; its bytes are overwritten."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if not confirmed(screen, f"Remove secret://{name}? Blueprints that use it will fail.", yes=yes):
            return
        removed = await client.remove_secret(name)
        if screen.json:
            screen.object(removed)
        else:
            screen.line(f"removed secret://{removed['name']}")

    perform(context, work)


def _value(name: str, from_file: Path | None) -> bytes:
    if from_file is not None:
        try:
            with from_file.open("rb") as stream:
                value = stream.read(LARGEST + 1)
        except OSError as error:
            raise ClientError(f"{from_file}: {error.strerror}") from error
    elif sys.stdin.isatty():
        value = getpass.getpass(f"Value of secret://{name}: ").encode()
        if value != getpass.getpass("Once more: ").encode():
            raise ClientError("the two values differ; nothing was stored", "try again")
    else:
        value = sys.stdin.buffer.read(LARGEST + 2).removesuffix(b"\n")
    if not value:
        raise ClientError(
            "an empty value was given; nothing was stored", "type it, pipe it in, or use --from-file FILE"
        )
    if len(value) > LARGEST:
        raise ClientError(f"a secret has at most {LARGEST} bytes; nothing was stored", "keep large content in files")
    return value
