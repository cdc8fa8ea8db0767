"""`pilotage down`."""

import asyncio

import typer
from pilotage_client import CoordinatorUnreachable, PilotageClient

from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.local_fleet import LocalFleet
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.settings import GlobalOptions

app = typer.Typer(rich_markup_mode=None, add_completion=False)

STOP_TIMEOUT = 30.0


@app.command()
def down(context: typer.Context) -> None:
    """Stop the coordinator and the agent that `up` started.

    Steps that run on hosts go on, and are taken up again after the next `up`. What something else started, such as a
    system service, is left alone.
    """
    socket_file = context.obj.socket if isinstance(context.obj, GlobalOptions) else None
    fleet = LocalFleet.of_machine(socket_file, "")

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        found: dict[str, str] = {}
        # The agent first: it tells the coordinator what it can before it goes.
        if fleet.agent.running() is None:
            found["agent"] = "not started by up"
        else:
            gone = await asyncio.to_thread(fleet.agent.stop, STOP_TIMEOUT)
            found["agent"] = "stopped" if gone else "still runs"
        if fleet.coordinator.running() is None:
            found["coordinator"] = "not started by up"
        else:
            try:
                await client.stop()
                gone = await asyncio.to_thread(fleet.coordinator.wait_gone, STOP_TIMEOUT)
            except CoordinatorUnreachable:
                gone = await asyncio.to_thread(fleet.coordinator.stop, STOP_TIMEOUT)
            found["coordinator"] = "stopped" if gone else "still runs"
        if screen.json:
            screen.object(found)
        else:
            for name, what in found.items():
                screen.line(f"{name}: {what}")
        return ExitCode.FAILED if "still runs" in found.values() else None

    perform(context, work)
