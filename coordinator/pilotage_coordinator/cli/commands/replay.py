"""`pilotage replay`."""

from contextlib import aclosing
from typing import Annotated

import typer
from pilotage_client import PilotageClient

from pilotage_coordinator.cli.execution import ExecutionArgument, found
from pilotage_coordinator.cli.render.board import Board
from pilotage_coordinator.cli.render.run import run_lines
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def replay(
    context: typer.Context,
    execution: ExecutionArgument,
    at: Annotated[
        int,
        typer.Option(
            "--at", metavar="SEQUENCE", min=0, help="Sequence number of the event to stop after; 0 = the newest."
        ),
    ] = 0,
) -> None:
    """See how an execution stood after any of its events, folded anew from its history.

    Without --at, every event is listed with its number first.
    """

    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = await found(client, execution)
        replayed = await client.replay_run(chosen, at)
        if screen.json:
            screen.object(replayed)
            return
        if not at:
            await _list_events(client, screen, chosen, replayed["execution"]["sequence"])
        event = replayed["event"]
        if event is not None:
            screen.line(f"After event {event['sequence']}, {event['type']}, at {event['at']}", "bold")
        for line in run_lines(replayed["execution"], screen.columns):
            screen.line(line.text, line.style)

    perform(context, work)


async def _list_events(client: PilotageClient, screen: Screen, execution: str, last: int) -> None:
    board = Board()
    async with aclosing(client.watch_run(execution)) as stream:
        async for watched in stream:
            event = watched["event"]
            if event is None:
                continue
            lines = board.take(watched)
            for line in lines:
                screen.line(f"{event['sequence']:>6}  {line.text}", line.style)
            if not lines:
                screen.line(f"{event['sequence']:>6}  {event['type'].replace('_', ' ')}", "dim")
            if event["sequence"] >= last:
                break
    screen.line()
