"""`pilotage logs`."""

from typing import Annotated

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import LogLine

from pilotage_coordinator.cli.moments import parse
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(rich_markup_mode=None)


@app.command()
def logs(
    context: typer.Context,
    execution: Annotated[str, typer.Argument(help="The execution's id.")],
    step: Annotated[str, typer.Argument(help="A step, or a group: everything inside it.")] = "",
    host: Annotated[str, typer.Option("--host", help="Only this host.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as lines come, until the execution ends.")
    ] = False,
) -> None:
    """Read or follow what the steps of an execution write."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        def lost(problem: str) -> None:
            screen.say(f"the coordinator is gone ({problem}); waiting for it to come back", "yellow")

        if follow:
            lines = client.follow_logs(execution, step=step, host=host, lost=lost)
        else:
            lines = client.read_logs(execution, step=step, host=host)
        async for line in lines:
            if screen.json:
                screen.line_object(line)
            else:
                screen.line(log_line(line))

    perform(context, work)


def log_line(line: LogLine) -> str:
    """Write one line: time, host, step with item, and the text."""
    moment = parse(line["at"])
    time = moment.astimezone().strftime("%H:%M:%S") if moment else "--:--:--"
    item = f"[{line['item']}]" if line["item"] else ""
    undo = " (undo)" if line["kind"] == "undo" else ""
    mark = "!" if line["stream"] == "stderr" else "|"
    return f"{time} {line['host'] or 'coordinator'} {line['step']}{item}{undo} {mark} {line['text']}"
