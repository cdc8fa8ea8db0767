"""`pilotage coordinator`."""

from types import MappingProxyType
from typing import Annotated

import typer
from pilotage_client import PilotageClient

from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.deferred import DeferredGroup, Place
from pilotage_coordinator.cli.moments import ago
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

SERVE = Place("serve", "Run the coordinator in the foreground until Ctrl-C or SIGTERM.", "coordinator")


class Coordinator(DeferredGroup):
    """`pilotage coordinator`; serving imports the whole coordinator, so it waits until it is asked for."""

    places = MappingProxyType({"serve": SERVE})


app = typer.Typer(
    cls=Coordinator,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Serve, look at and stop the coordinator itself.",
)


@app.command()
def status(context: typer.Context) -> None:
    """Show how the coordinator is: epoch, addresses, hosts, executions."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        found = await client.status()
        if screen.json:
            screen.object(found)
            return
        rows = [
            ("coordinator", f"{found['coordinator_id']} (version {found['version']}, epoch {found['epoch']})"),
            ("started", ago(found["started_at"]) + (", stopping" if found["stopping"] else "")),
            ("state", found["state_dir"]),
            ("agents connect to", found["fleet_address"]),
            ("new hosts join at", found["enrol_address"]),
            ("people connect to", found["https_address"] or "the socket of this machine only"),
            ("hosts", f"{found['hosts_online']} of {found['hosts_total']} online"),
            ("executions", f"{found['executions_active']} active"),
        ]
        for name, value in rows:
            screen.line(f"{name:<18} {value}")

    perform(context, work)


@app.command()
def authority(context: typer.Context) -> None:
    """Print the certificate by which other machines know this coordinator: what --ca takes there. It is no secret."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        found = await client.show_authority()
        if screen.json:
            screen.object(found)
        else:
            screen.line(found["certificate"].rstrip())

    perform(context, work)


@app.command()
def stop(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the coordinator gracefully; steps that run on hosts go on and are taken up at the next start."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if not confirmed(screen, "Stop the coordinator?", yes=yes):
            return
        stopping = await client.stop()
        if screen.json:
            screen.object(stopping)
        else:
            screen.line(f"stopping; {stopping['executions_active']} executions go on at the next start")

    perform(context, work)
