"""Watching an execution on a screen until it ends, or until it can only wait for a person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from pilotage_client import PilotageClient
from pilotage_client.answers import Watched
from rich.live import Live

from pilotage_coordinator.cli.exits import ExitCode, code_of_state
from pilotage_coordinator.cli.render.board import Board
from pilotage_coordinator.cli.render.live import board_table
from pilotage_coordinator.cli.render.run import run_lines
from pilotage_coordinator.cli.screen import Screen

RESTING = frozenset({"waiting_approval", "paused", "needs_attention"})
"""States that only a person ends."""
PATIENCE = 300.0
"""Seconds to wait for a coordinator that went away."""
FRAMES = 8
"""Pictures a second."""


async def watch(
    client: PilotageClient, screen: Screen, execution: str, *, after: int = 0, until_rest: bool
) -> ExitCode:
    """Show an execution as it goes, then what became of it; return the exit code that says so.

    `until_rest`: leave it when it can only wait for a person (exit code 3). In JSON: each event on a line.
    """
    board = Board(started_at=(await client.show_run(execution))["started_at"])

    def lost(problem: str) -> None:
        screen.say("the coordinator is gone; steps that run go on, waiting for it to come back", "yellow")

    def back() -> None:
        screen.say("the coordinator is back", "green")

    watching = client.watch_run(execution, after=after, patience=PATIENCE, lost=lost, back=back)
    async with aclosing(watching) as stream:
        if screen.interactive:
            await _live(screen, board, stream, until_rest=until_rest)
        else:
            await _lines(screen, board, stream, until_rest=until_rest)
    return await finish(client, screen, execution)


async def wait(client: PilotageClient, execution: str) -> None:
    """Wait without a word until an execution ends or can only wait for a person."""
    board = Board()
    async with aclosing(client.watch_run(execution, patience=PATIENCE)) as stream:
        async for watched in stream:
            board.take(watched)
            if board.state in RESTING:
                return


async def finish(client: PilotageClient, screen: Screen, execution: str) -> ExitCode:
    """Show what became of an execution; return the exit code that says so."""
    run = await client.show_run(execution)
    if not screen.json:
        screen.line()
        for line in run_lines(run):
            screen.line(line.text, line.style)
    return code_of_state(run["state"])


async def _lines(screen: Screen, board: Board, stream: AsyncIterator[Watched], *, until_rest: bool) -> None:
    async for watched in stream:
        lines = board.take(watched)
        if screen.json and watched["event"] is not None:
            screen.line_object(watched["event"])
        elif not screen.json:
            for line in lines:
                screen.line(line.text)
        if until_rest and board.state in RESTING:
            return


async def _live(screen: Screen, board: Board, stream: AsyncIterator[Watched], *, until_rest: bool) -> None:
    with Live(console=screen.err, auto_refresh=False, transient=True) as live:

        async def refresh() -> None:
            while True:
                live.update(board_table(board), refresh=True)
                await asyncio.sleep(1 / FRAMES)

        refreshing = asyncio.create_task(refresh())
        try:
            async for watched in stream:
                for line in board.take(watched):
                    screen.say(line.text, line.style)
                if until_rest and board.state in RESTING:
                    return
        finally:
            refreshing.cancel()
