"""`pilotage exec`."""

import asyncio
from typing import Annotated

import typer
from pilotage_client import PilotageClient

from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.exits import ExitCode, code_of_state
from pilotage_coordinator.cli.render.run import next_steps
from pilotage_coordinator.cli.screen import Screen, state_style
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import (
    ClassOption,
    ForChange,
    NoWaitOption,
    ReasonOption,
    ReferenceOption,
    YesOption,
    start_digest,
)
from pilotage_coordinator.cli.watching import left_alone, wait

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def exec_(
    context: typer.Context,
    argv: Annotated[list[str], typer.Argument(metavar="PROGRAM", help="What to run; no shell reads it.")],
    limit: Annotated[
        str, typer.Option("--limit", "-l", metavar="SELECTOR", help="Which hosts: role=db, name=web1|web2, env!=prod.")
    ],
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
    reason: ReasonOption = "",
    reference: ReferenceOption = "",
    change_class: ClassOption = None,
) -> None:
    """Run one command on many hosts, as an execution like any other: planned, recorded, watched."""

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        change = ForChange(reason, reference, change_class)
        chosen = change.arguments()["change_class"]
        plan = await client.make_plan(command=argv, limit_to=limit, previews=False, change_class=chosen)
        for note in plan["notes"]:
            screen.say(f"note: {note['message']}", "yellow")
        names = ", ".join(plan["targets"][:10]) + (" …" if len(plan["targets"]) > 10 else "")
        question = f"Run {' '.join(argv)!r} on {len(plan['targets'])} hosts ({names})?"
        if not confirmed(screen, question, yes=yes):
            return None
        if no_wait or screen.json:
            return await start_digest(client, screen, plan["digest"], no_wait=no_wait, change=change)
        started = await client.start_run(plan_digest=plan["digest"], **change.arguments())
        return await _show_output(client, screen, started["execution"])

    perform(context, work)


async def _show_output(client: PilotageClient, screen: Screen, execution: str) -> ExitCode:
    """Show what each host writes as it comes, then how it ended on each."""
    screen.say(f"execution {execution}", "dim")

    async def follow() -> None:
        async for line in client.follow_logs(execution):
            screen.line(f"{line['host']} {'!' if line['stream'] == 'stderr' else '|'} {line['text']}")

    following = asyncio.create_task(follow())
    try:
        await wait(client, execution)
        run = await client.show_run(execution)
        if run["ended_at"]:
            await following
    except asyncio.CancelledError:
        left_alone(screen, execution)
        raise
    finally:
        following.cancel()
    for each in run["runs"]:
        error = f": {each['error']}" if each["error"] else ""
        screen.say(f"{each['host']} {each['state'].replace('_', ' ')}{error}", state_style(each["state"]))
    for step in next_steps(run):
        screen.say(step.text, step.style)
    return code_of_state(run["state"])
