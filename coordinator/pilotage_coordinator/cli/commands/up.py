"""`pilotage up`."""

from typing import Annotated

import typer
from pilotage_client import ClientError, PilotageClient
from pilotage_client.place import config_dir

from pilotage_coordinator.cli.local_fleet import LocalFleet
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.cli.signing import OWN_KEY, own_key

FIRST = "quick_backup -p paths=/etc -p repository=/var/backups/pilotage"
"""A backup to begin with."""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def up(
    context: typer.Context,
    advertise: Annotated[
        str,
        typer.Option(
            "--advertise", metavar="NAME", help="Name or address of this machine, to let other machines join."
        ),
    ] = "",
) -> None:
    """Start a coordinator and an agent for this machine, and say what to do next.

    Both run in the background, each with a log file; `pilotage down` stops them. What runs already is left as it is,
    so `up` may be repeated. Without --advertise only this machine can reach the coordinator. For a server that should
    come back after a reboot, run `pilotage coordinator serve` and `pilotage-agent install` as services instead.
    """
    socket_file = context.obj.socket if isinstance(context.obj, GlobalOptions) else None
    fleet = LocalFleet.of_machine(socket_file, advertise)

    async def work(client: PilotageClient, screen: Screen) -> None:
        if advertise:
            await fleet.check_advertised(advertise)
        started = await fleet.bring_up_coordinator(client, screen)
        if advertise and not started:
            screen.say("the coordinator runs already; `pilotage down` and then `up --advertise` changes its addresses")
        await _ensure_key(client, screen)
        name, agent_started = await fleet.bring_up_agent(client, screen)
        status = await client.status()
        if screen.json:
            screen.object(
                {"coordinator": status, "host": name, "started": {"coordinator": started, "agent": agent_started}}
            )
            return
        screen.line(f"The coordinator serves, and this machine is online as {name}.", "bold green")
        screen.line(f"  logs and state  {status['state_dir']}")
        who = await client.whoami()
        if not who["token"]:
            screen.line(f"  owner           {who['principal']}: whoever runs it, without any password")
        alone = status["enrol_address"].startswith(("127.", "[::1]", "localhost:"))
        screen.line("Next:")
        for command, use in (
            (f"pilotage exec -l name={name} -- uptime", "run a command, with plan and history"),
            ("pilotage blueprint list", "what can be run"),
            ("pilotage secret set backup/password -b '*backup*'", "a repository's password, for backups only"),
            (f"pilotage plan {FIRST}", "see what a backup would do; nothing is changed"),
            (f"pilotage run start {FIRST}", "and do it"),
            (
                "pilotage principal add NAME --role operator",
                "let a second person in",
            ),
            ("pilotage host token", "let a second machine join" + (" (needs up --advertise)" if alone else "")),
            ("pilotage doctor", "check everything"),
        ):
            screen.line(f"  {command}", "bold")
            screen.line(f"      {use}", "dim")

    perform(context, work)


async def _ensure_key(client: PilotageClient, screen: Screen) -> None:
    """Let the owner have a key to sign approvals with; without one the coordinator works all the same."""
    me = (await client.whoami())["principal"]
    if (await client.show_principal(me))["keys"]:
        return
    try:
        await client.set_principal_keys(me, add=[await own_key()])
    except ClientError as error:
        screen.hint(f"you have no key to sign approvals with yet: {error.detail}")
        return
    screen.say(f"made a key for {me} to sign approvals with: {config_dir() / OWN_KEY}")
