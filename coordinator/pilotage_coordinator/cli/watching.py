"""Watching an execution on a screen until it ends, or until it can only wait for a person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from pilotage_client import PilotageClient, RequestRefused
from pilotage_client.answers import Watched
from rich.text import Text

from pilotage_coordinator.cli.exits import ExitCode, code_of_state
from pilotage_coordinator.cli.painter import Painter, can_move
from pilotage_coordinator.cli.render.board import Board
from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.render.live import picture
from pilotage_coordinator.cli.render.run import run_lines
from pilotage_coordinator.cli.screen import Screen, clean

RESTING = frozenset({"waiting_approval", "paused", "needs_attention"})
"""States that only a person ends."""
PATIENCE = 300.0
"""Seconds to wait for a coordinator that went away."""
FRAMES = 8
"""Pictures a second."""


async def watch(
    client: PilotageClient,
    screen: Screen,
    execution: str,
    *,
    after: int = 0,
    until_rest: bool,
    notices: list[Line] | None = None,
) -> ExitCode:
    """Show an execution as it goes, then what became of it; return the exit code that says so.

    `until_rest`: leave it when it can only wait for a person (exit code 3). In JSON: each event on a line. Whoever has
    something to say beside a moving picture appends to `notices`: it goes above the picture with the next frame.
    """
    run = await client.show_run(execution)
    board = Board(started_at=run["started_at"], state=run["state"])
    moving = screen.interactive and can_move(screen.err)
    beside: list[Line] = [] if notices is None else notices

    def tell(text: str, style: str) -> None:
        if moving:
            beside.append(Line(text, style))
        else:
            screen.say(text, style)

    def lost(problem: str) -> None:
        tell("the coordinator is gone; steps that run go on, waiting for it to come back", "yellow")

    def back() -> None:
        tell("the coordinator is back", "green")

    watching = client.watch_run(execution, after=after, patience=PATIENCE, lost=lost, back=back)
    try:
        async with aclosing(watching) as stream:
            if moving:
                await _expect_hosts(client, board, run["plan_digest"])
                await _live(screen, board, stream, beside, until_rest=until_rest)
            else:
                await _lines(screen, board, stream, until_rest=until_rest)
    except asyncio.CancelledError:
        left_alone(screen, execution)
        raise
    return await finish(client, screen, execution)


async def _expect_hosts(client: PilotageClient, board: Board, plan_digest: str) -> None:
    with suppress(RequestRefused):
        board.expect((await client.show_plan(plan_digest))["targets"])


def left_alone(screen: Screen, execution: str) -> None:
    """Say what becomes of an execution when nobody watches it any more."""
    screen.hint(f"it goes on, unwatched; see it again: pilotage run watch {execution}")
    screen.hint(f"stop it: pilotage run cancel {execution}")


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
        for line in run_lines(run, screen.columns, every=False):
            screen.line(line.text, line.style)
    return code_of_state(run["state"])


async def _lines(screen: Screen, board: Board, stream: AsyncIterator[Watched], *, until_rest: bool) -> None:
    async for watched in stream:
        lines = board.take(watched)
        if screen.json and watched["event"] is not None:
            screen.line_object(watched["event"])
        elif not screen.json:
            for line in lines:
                screen.folded(line.text)
        if until_rest and board.state in RESTING:
            return


async def _live(
    screen: Screen, board: Board, stream: AsyncIterator[Watched], notices: list[Line], *, until_rest: bool
) -> None:
    """Keep a picture of every host below the lines of what ended."""
    above: list[Text] = []

    with Painter(screen.err) as painter:

        def frame() -> None:
            lines = [*above, *(Text(clean(line.text), line.style) for line in notices)]
            above.clear()
            notices.clear()
            painter.paint(lines, picture(board, *painter.size))

        async def repaint() -> None:
            while True:
                frame()
                await asyncio.sleep(1 / FRAMES)

        painting = asyncio.create_task(repaint())
        try:
            async for watched in stream:
                lines = board.take(watched)
                above += [Text(clean(line.text), line.style) for line in lines if not line.passing]
                if until_rest and board.state in RESTING:
                    return
        finally:
            painting.cancel()
            frame()
