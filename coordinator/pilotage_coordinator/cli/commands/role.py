"""`pilotage role`."""

from typing import Annotated

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import RoleDetail

from pilotage_coordinator.cli.completion import roles
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.render.access import permission_lines
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, show and make roles: named sets of permissions.",
)

Name = Annotated[str, typer.Argument(metavar="ROLE", autocompletion=roles, help="The role's name.")]


@app.command("list")
def list_(context: typer.Context) -> None:
    """List roles, the built-in ones first."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_roles()
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("ROLE", "", "DESCRIPTION"),
            [(row["role"], "built in" if row["built_in"] else "", row["description"]) for row in rows],
            "",
        )

    perform(context, work)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show one role: what it permits, what its holders can do, and who they are."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _answer(screen, await client.show_role(name))

    perform(context, work)


@app.command("set")
def set_(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ROLE", help="The role's name.")],
    permission: Annotated[
        list[str],
        typer.Option(
            "--permission",
            "-p",
            metavar="PATTERN",
            help="run.start, run.*, *.read, *; :own for own things; repeat it.",
        ),
    ],
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
) -> None:
    """Make a role, or give it other permissions: they hold for all its holders at once."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _answer(screen, await client.set_role(name, permission, description))

    perform(context, work)


@app.command()
def rm(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a role that nobody holds."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if not confirmed(screen, f"Remove the role {name}?", yes=yes):
            return
        removed = await client.remove_role(name)
        if screen.json:
            screen.object(removed)
        else:
            screen.line(f"removed {removed['role']}")

    perform(context, work)


def _answer(screen: Screen, role: RoleDetail) -> None:
    if screen.json:
        screen.object(role)
        return
    screen.line(f"{role['role']}{'  built in' if role['built_in'] else ''}", "bold")
    if role["description"]:
        screen.folded(role["description"])
    screen.folded(f"Gives      {', '.join(role['permissions'])}")
    for line in permission_lines([each for each in role["operations"] if "." in each]):
        screen.folded(line)
    screen.folded(f"Held by    {', '.join(role['holders']) or 'nobody'}")
