"""`pilotage notification`."""

from enum import StrEnum
from typing import Annotated, Final

import typer
from pilotage_client import PilotageClient

from pilotage_coordinator.cli.completion import executions
from pilotage_coordinator.cli.execution import found
from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="See what steps have sent to people, and send again what could not be delivered.",
)


LONGEST_TEXT: Final = 60
"""Characters of a text that the list shows."""


class State(StrEnum):
    """What became of a notification."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[
        State | None,
        typer.Option("--state", metavar="waiting|delivered|dead", help="Only in this state; dead: given up."),
    ] = None,
    execution: Annotated[
        str | None,
        typer.Option(
            "--execution", metavar="EXECUTION", autocompletion=executions, help="Only of this one; last: the newest."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="COUNT", min=1, help="At most so many.")] = 50,
) -> None:
    """List notifications, newest first, and what became of them."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = await found(client, execution) if execution is not None else None
        rows = await client.list_notifications(state=state and state.value, execution=chosen, limit=limit)
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("NOTIFICATION", "RECORDED", "CHANNEL", "STATE", "TRIES", "STEP", "TEXT", "ERROR"),
            [
                (
                    row["id"],
                    local(row["recorded_at"]),
                    row["channel"],
                    row["state"],
                    str(row["attempts"]),
                    row["step"],
                    _short(row["title"] or row["text"]),
                    row["error"],
                )
                for row in rows
            ],
            "No notification. A step of type notify.send sends one.",
        )

    perform(context, work)


@app.command()
def retry(
    context: typer.Context,
    notification: Annotated[str, typer.Argument(metavar="NOTIFICATION", help="Its id, as `notification list` has it.")],
) -> None:
    """Send a notification again that was given up; mend the channel first."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        row = await client.retry_notification(notification)
        if screen.json:
            screen.object(row)
        else:
            screen.line(f"{row['id']} waits for delivery to {row['channel']} again")

    perform(context, work)


def _short(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= LONGEST_TEXT else first[: LONGEST_TEXT - 1] + "…"
