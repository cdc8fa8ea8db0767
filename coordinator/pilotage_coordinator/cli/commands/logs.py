"""`pilotage logs`."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import LogLine

from pilotage_coordinator.cli.completion import hosts
from pilotage_coordinator.cli.execution import ExecutionArgument, found
from pilotage_coordinator.cli.moments import parse
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

MOST_SORTED = 50_000

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def logs(
    context: typer.Context,
    execution: ExecutionArgument,
    step: Annotated[str, typer.Argument(metavar="STEP", help="A step, or a group: everything inside it.")] = "",
    host: Annotated[str, typer.Option("--host", metavar="HOST", autocompletion=hosts, help="Only this host.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as lines come, until the execution ends.")
    ] = False,
) -> None:
    """Read or follow what the steps of an execution write."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        def lost(problem: str) -> None:
            screen.say("the coordinator is gone; waiting for it to come back", "yellow")

        chosen = await found(client, execution)
        if follow:
            lines = client.follow_logs(chosen, step=step, host=host, lost=lost)
        else:
            lines = client.read_logs(chosen, step=step, host=host)
        async with aclosing(lines):
            if follow or screen.json:
                async for line in lines:
                    _write(screen, line)
            else:
                async for line in _by_time(lines):
                    _write(screen, line)

    perform(context, work)


def _write(screen: Screen, line: LogLine) -> None:
    if screen.json:
        screen.line_object(line)
    else:
        screen.line(log_line(line))


async def _by_time(lines: AsyncIterator[LogLine]) -> AsyncIterator[LogLine]:
    """Yield lines of all hosts as they were written; of very long logs, one attempt after the other."""
    first: list[LogLine] = []
    async for line in lines:
        first.append(line)
        if len(first) > MOST_SORTED:
            break
    if len(first) <= MOST_SORTED:
        first.sort(key=lambda line: line["at"])
    for line in first:
        yield line
    async for line in lines:
        yield line


def log_line(line: LogLine) -> str:
    """Write one line: time, host, step with item, and the text."""
    moment = parse(line["at"])
    time = moment.astimezone().strftime("%H:%M:%S") if moment else "--:--:--"
    item = f"[{line['item']}]" if line["item"] else ""
    undo = " (undo)" if line["kind"] == "undo" else ""
    mark = "!" if line["stream"] == "stderr" else "|"
    return f"{time} {line['host'] or 'coordinator'} {line['step']}{item}{undo} {mark} {line['text']}"
