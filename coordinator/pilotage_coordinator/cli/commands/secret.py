"""`pilotage secret`."""

import base64
import getpass
import re
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, cast

import typer
from pilotage_client import ClientError, PilotageClient
from pilotage_client.answers import Secret, SecretGrant, SecretGranted

from pilotage_coordinator.cli.completion import secrets
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.deferred import DeferredGroup, Place
from pilotage_coordinator.cli.limits import BlueprintOption, CategoryOption, EnvironmentOption, HostsOption, limits
from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

REKEY = Place("rekey", "Make a new key for the store and encrypt every secret with it.", "secret")


class SecretGroup(DeferredGroup):
    """`pilotage secret`; changing the key works without a coordinator and imports what one is made of."""

    places = MappingProxyType({"rekey": REKEY})


app = typer.Typer(
    cls=SecretGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Store secrets, say who may use them, list and remove them.",
)

LARGEST = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
"""As the coordinator takes them; asked here, too, so that nobody types a value for a name that cannot be."""
Steps = Annotated[
    list[str] | None,
    typer.Option("--step", metavar="TYPE", help="Only steps of this type, or pattern such as 'backup.*'; repeatable."),
]
Anything = Annotated[bool, typer.Option("--any", help="Every step of whatever runs, also of texts nobody stored.")]
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
    step: Steps = None,
    blueprint: BlueprintOption = None,
    category: CategoryOption = None,
    environment: EnvironmentOption = None,
    limit: HostsOption = "",
    anything: Anything = False,
) -> None:
    """Store or replace a secret: asked for on a terminal, else read from standard input or a file.

    A value is never taken from the command line, where every process of the machine could read it. One line break at
    the end of standard input does not belong to it. A new secret is given to nobody until it is granted, here or by
    `secret grant`; one that is replaced keeps its grants.
    """
    grant = _grant(step, limits(blueprint, category, environment, limit), anything=anything)

    if _NAME.fullmatch(name) is None:
        raise typer.BadParameter(
            f"{name!r}: a secret's name has at most 200 letters, digits and . _ / -, and begins with a letter or digit"
        )

    async def work(client: PilotageClient, screen: Screen) -> None:
        stored = await client.set_secret(name, _value(name, from_file), [grant] if grant is not None else [])
        if not screen.json:
            screen.line(f"{'stored' if stored['new'] else 'replaced'} {stored['reference']}")
        _tell(screen, stored)

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
            ("REFERENCE", "VERSION", "SET BY", "SET", "MAY BE USED BY"),
            [
                (
                    row["reference"],
                    str(row["version"]),
                    row["updated_by"],
                    local(row["updated_at"]),
                    "; or ".join(row["granted_to"]) or "nobody",
                )
                for row in rows
            ],
            "No secret is stored. Store one: pilotage secret set NAME",
        )

    perform(context, work)


@app.command()
def grant(
    context: typer.Context,
    name: Name,
    step: Steps = None,
    blueprint: BlueprintOption = None,
    category: CategoryOption = None,
    environment: EnvironmentOption = None,
    limit: HostsOption = "",
    anything: Anything = False,
) -> None:
    """Let steps use a secret: those within all the limits that you give. Each grant adds to those before."""
    wanted = _grant(step, limits(blueprint, category, environment, limit), anything=anything)
    if wanted is None:
        raise typer.BadParameter("say who: --blueprint ID, --step TYPE, --limit SELECTOR, or --any for everybody")

    async def work(client: PilotageClient, screen: Screen) -> None:
        was = (await _secret(client, name))["grants"]
        granted = await client.grant_secret(name, [*was, wanted], was)
        _tell(screen, granted)

    perform(context, work)


@app.command()
def ungrant(
    context: typer.Context,
    name: Name,
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Which grant, as `secret grants` counts.")],
) -> None:
    """Take one grant of a secret back. What runs is not given the value any more, from its next step on."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        was = (await _secret(client, name))["grants"]
        if number > len(was):
            raise ClientError(f"secret://{name} has {len(was)} grants", f"count them: pilotage secret grants {name}")
        _tell(screen, await client.grant_secret(name, [*was[: number - 1], *was[number:]], was))

    perform(context, work)


@app.command()
def grants(context: typer.Context, name: Name) -> None:
    """Show who may use a secret."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _tell(screen, await _secret(client, name))

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


@app.command()
def export(
    context: typer.Context,
    recipient: Annotated[
        list[str],
        typer.Option("--recipient", "-r", metavar="AGE1…", help="Encrypt to this age key; `age-keygen` makes one."),
    ],
    to: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A new file.")],
) -> None:
    """Export every secret into a file that only the age keys open: for the day on which all else is gone.

    Only on the coordinator's own machine, as its owner, without a token.
    `age -d -i KEY FILE` shows JSON with each value in base64, by name.
    """

    async def work(client: PilotageClient, screen: Screen) -> None:
        if to.exists():
            raise ClientError(f"{to} is there already; nothing was exported", "give another file")
        exported = await client.export_secrets(recipient)
        try:
            with to.open("xb") as out:
                to.chmod(0o600)
                out.write(base64.b64decode(exported["encrypted_base64"]))
        except OSError as error:
            raise ClientError(f"{to}: {error.strerror}", "give another file") from error
        if screen.json:
            screen.object({"file": str(to), "count": exported["count"]})
        else:
            screen.line(f"{exported['count']} secrets are in {to}, encrypted")

    perform(context, work)


def _grant(step: list[str] | None, within: dict[str, Any], *, anything: bool) -> SecretGrant | None:
    """Return the grant that options describe; None without any."""
    set_ = {name: value for name, value in {"step_types": step or [], **within}.items() if value}
    if anything and set_:
        raise typer.BadParameter("--any is without limits; leave it out, or leave the limits out")
    return cast(SecretGrant, set_) if set_ or anything else None


async def _secret(client: PilotageClient, name: str) -> Secret:
    for row in await client.list_secrets():
        if row["name"] == name:
            return row
    raise ClientError(f"there is no secret {name}", f"store it: pilotage secret set {name}")


def _tell(screen: Screen, granted: SecretGranted) -> None:
    if screen.json:
        screen.object(granted)
        return
    if not granted["granted_to"]:
        screen.line("Nobody may use it yet. Say who, for example:")
        screen.line(f"  pilotage secret grant {granted['name']} --blueprint quick_backup")
    for number, words in enumerate(granted["granted_to"], 1):
        screen.line(f"  {number}. {words}")


def _or(words: list[str]) -> str:
    return "; or ".join(words) or "nobody"


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
