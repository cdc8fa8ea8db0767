"""`pilotage token`."""

import re
from pathlib import Path
from typing import Annotated, Final

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import ApiTokenMade

from pilotage_coordinator.cli.completion import principals, tokens
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.moments import ago, local
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.token_files import write_token

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Make, list, rotate and revoke API tokens.",
)

UNITS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
Id = Annotated[str, typer.Argument(metavar="TOKEN", autocompletion=tokens, help="Its id, as `token list` has it.")]
ToFile = Annotated[
    Path | None,
    typer.Option("--to-file", metavar="FILE", help="Write the token there, mode 0600, instead of showing it."),
]


@app.command()
def create(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", autocompletion=principals, help="Whose it is.")],
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is for, such as a machine.")] = "",
    expires: Annotated[
        str, typer.Option("--expires", metavar="SPAN", help="How long it is good: 12h, 30d, 8w; at most 400d.")
    ] = "90d",
    to_file: ToFile = None,
) -> None:
    """Make an API token. It is shown once; the coordinator keeps only its hash."""
    life = seconds(expires)

    async def work(client: PilotageClient, screen: Screen) -> None:
        _give(screen, await client.create_token(principal, name=name, life=life), to_file)

    perform(context, work)


@app.command("list")
def list_(
    context: typer.Context,
    principal: Annotated[
        str | None, typer.Argument(metavar="PRINCIPAL", autocompletion=principals, help="Only of this one.")
    ] = None,
) -> None:
    """List API tokens: whose they are, until when they are good, when they were last used."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_tokens(principal)
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("TOKEN", "PRINCIPAL", "STATE", "EXPIRES", "LAST USED", "NAME"),
            [
                (
                    row["token"],
                    row["principal"],
                    row["state"],
                    local(row["expires_at"]),
                    ago(row["last_used_at"]) or "never",
                    row["name"],
                )
                for row in rows
            ],
            "No API token. Make one: pilotage token create PRINCIPAL",
        )

    perform(context, work)


@app.command()
def rotate(context: typer.Context, token: Id, to_file: ToFile = None) -> None:
    """Make a token in the place of another, which stops working in the same moment; it lives as long as that one."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _give(screen, await client.rotate_token(token), to_file)

    perform(context, work)


@app.command()
def revoke(
    context: typer.Context,
    token: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End a token at once; what it is watching is cut within seconds."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if not confirmed(screen, f"Revoke {token}? It stops working at once.", yes=yes):
            return
        row = await client.revoke_token(token)
        if screen.json:
            screen.object(row)
        else:
            screen.line(f"{row['token']} of {row['principal']} is revoked")

    perform(context, work)


def seconds(text: str) -> int:
    """Read a span such as 12h or 90d; raises a usage error."""
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no span of time, such as 12h, 30d or 8w", param_hint="--expires")
    return int(found[1]) * UNITS[found[2]]


def _give(screen: Screen, made: ApiTokenMade, to_file: Path | None) -> None:
    """Show a token once, or put it into a file; then it is shown nowhere."""
    if to_file is not None:
        write_token(to_file, made["text"])
    if screen.json:
        screen.object({name: value for name, value in made.items() if to_file is None or name != "text"})
        return
    until = f"{made['token']} of {made['principal']} is good until {local(made['expires_at'])}"
    if to_file is not None:
        screen.line(f"{until}; it is in {to_file}")
        return
    screen.hint(f"{until}; it is shown only now:")
    screen.line(made["text"])
