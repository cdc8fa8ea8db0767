"""`pilotage principal`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import PrincipalDetail

from pilotage_coordinator.cli.completion import principals, roles
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_coordinator.cli.limits import BlueprintOption, CategoryOption, EnvironmentOption, HostsOption, limits
from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.render.access import grant_lines, permission_lines
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Say who there is: persons, services and assistants, and what they may do.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=principals, help="The principal's name.")]
LARGEST_KEY = 16_384


class Kind(StrEnum):
    """What sort of principal it is."""

    PERSON = "person"
    SERVICE = "service"
    ASSISTANT = "assistant"


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, for ever: no name is given twice.")],
    kind: Annotated[
        Kind,
        typer.Option("--kind", metavar="person|service|assistant", help="An assistant: a language model's client."),
    ] = Kind.PERSON,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", autocompletion=roles, help="Give it this role.")
    ] = None,
    blueprint: BlueprintOption = None,
    category: CategoryOption = None,
    environment: EnvironmentOption = None,
    limit: HostsOption = "",
    sponsor: Annotated[
        str | None,
        typer.Option(
            "--sponsor", metavar="NAME", autocompletion=principals, help="The person for whom it acts; not for persons."
        ),
    ] = None,
    key: Annotated[
        list[Path] | None, typer.Option("--key", metavar="FILE", help="A person's SSH public key (.pub); repeatable.")
    ] = None,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="Who or what it is.")] = "",
) -> None:
    """Add a person, a service or an assistant. It can do what its role gives, once it has a token."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        made = await client.add_principal(
            name,
            kind.value,
            description=description,
            sponsor=sponsor,
            role=role,
            limits=limits(blueprint, category, environment, limit),
            keys=[read_key(each) for each in key or []],
        )
        if screen.json:
            screen.object(made)
            return
        _show(screen, made)
        screen.hint(f"let it in: pilotage token create {name}")

    perform(context, work)


@app.command("list")
def list_(context: typer.Context) -> None:
    """List principals, by name."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_principals()
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("NAME", "KIND", "STATE", "ROLES", "SPONSOR", "DESCRIPTION"),
            [
                (
                    row["principal"],
                    row["kind"],
                    ("owner here" if row["local"] else "ok") if row["enabled"] else "disabled",
                    ", ".join(row["roles"]),
                    row["sponsor"],
                    row["description"],
                )
                for row in rows
            ],
            "No principal that you may see.",
        )

    perform(context, work)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show one principal: its roles with their limits, what it may do, its keys."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _answer(screen, await client.show_principal(name))

    perform(context, work)


@app.command()
def disable(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the audit log.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let a principal do nothing more, from this moment on; `principal enable` ends that."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if confirmed(screen, f"Disable {name}? All its tokens stop working at once.", yes=yes):
            _answer(screen, await client.disable_principal(name, reason))

    perform(context, work)


@app.command()
def enable(context: typer.Context, name: Name) -> None:
    """Let a disabled principal act again, with the roles that it holds."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _answer(screen, await client.enable_principal(name))

    perform(context, work)


@app.command()
def role(
    context: typer.Context,
    name: Name,
    add: Annotated[
        str | None, typer.Option("--add", metavar="ROLE", autocompletion=roles, help="Give this role.")
    ] = None,
    remove: Annotated[
        str | None,
        typer.Option(
            "--remove", metavar="ROLE", autocompletion=roles, help="Take it away: within these limits, or wholly."
        ),
    ] = None,
    blueprint: BlueprintOption = None,
    category: CategoryOption = None,
    environment: EnvironmentOption = None,
    limit: HostsOption = "",
) -> None:
    """Give a principal a role, for everything or within limits, or take it away."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = add or remove
        if chosen is None or (add is not None and remove is not None):
            raise NotUnderstood("one role is needed", "name it with --add or with --remove")
        within = limits(blueprint, category, environment, limit)
        action = "add" if add is not None else "remove"
        _answer(screen, await client.set_principal_role(name, chosen, action, limits=within))

    perform(context, work)


@app.command()
def keys(
    context: typer.Context,
    name: Name,
    add: Annotated[
        list[Path] | None, typer.Option("--add", metavar="FILE", help="Add an SSH public key (.pub); repeatable.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="FINGERPRINT", help="Remove the key SHA256:…; repeatable.")
    ] = None,
) -> None:
    """Add or remove SSH keys with which a person signs decisions; adding needs the coordinator's own machine."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if not add and not remove:
            raise NotUnderstood("no key is named", "give --add FILE.pub or --remove SHA256:…")
        found = await client.set_principal_keys(name, add=[read_key(each) for each in add or []], remove=remove or [])
        _answer(screen, found)

    perform(context, work)


def read_key(file: Path) -> str:
    """Return the line of a public key's file; raise NotUnderstood for what cannot be one."""
    try:
        with file.open("rb") as stream:
            return stream.read(LARGEST_KEY).decode("ascii").strip()
    except OSError as error:
        raise NotUnderstood(f"{file}: {error.strerror}", "give the .pub file of an SSH key") from error
    except UnicodeDecodeError as error:
        raise NotUnderstood(f"{file} is no public key", "give the .pub file of an SSH key") from error


def _answer(screen: Screen, found: PrincipalDetail) -> None:
    if screen.json:
        screen.object(found)
    else:
        _show(screen, found)


def _show(screen: Screen, found: PrincipalDetail) -> None:
    state = f"disabled since {local(found['disabled_at'])}" if not found["enabled"] else ""
    screen.line("  ".join(each for each in (found["principal"], found["kind"], state) if each), "bold")
    screen.folded(f"added {local(found['created_at'])} by {found['created_by']}", "dim")
    if found["local"]:
        screen.folded("runs this coordinator: its socket is theirs", "dim")
    if found["description"]:
        screen.folded(found["description"])
    if found["sponsor"]:
        screen.folded(f"Sponsor    {found['sponsor']}")
    for line in [*grant_lines(found["grants"]), *permission_lines(found["permissions"])]:
        screen.folded(line)
    for key in found["keys"]:
        screen.line(f"Key        {key['fingerprint']}  {key['type']}  {key['comment']}".rstrip())
