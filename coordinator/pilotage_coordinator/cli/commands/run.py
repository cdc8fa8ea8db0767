"""`pilotage run`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import ExecutionSummary

from pilotage_coordinator.cli.completion import STATES, blueprints, hosts, states
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.execution import ExecutionArgument, found
from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.moments import ago, local, seconds_between, span
from pilotage_coordinator.cli.moments import since as moment_since
from pilotage_coordinator.cli.render.run import run_lines
from pilotage_coordinator.cli.render.title import title
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import (
    ClassOption,
    FileOption,
    ForChange,
    LimitOption,
    NameArgument,
    NoWaitOption,
    ParameterOption,
    ParametersOption,
    ReasonOption,
    ReferenceOption,
    Wanted,
    WorkflowOption,
    YesOption,
    start_plan,
)
from pilotage_coordinator.cli.watching import watch as watch_execution

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, add_completion=False, help="Start, watch and steer executions."
)

ALL_COLUMNS = 112
"""Columns that a list of executions needs to be shown whole."""


class Outcome(StrEnum):
    """What became of a step run that nobody knows the end of."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRY = "retry"


@app.command()
def start(
    context: typer.Context,
    name: NameArgument = None,
    file: FileOption = None,
    workflow: WorkflowOption = None,
    parameter: ParameterOption = None,
    parameters: ParametersOption = None,
    limit: LimitOption = "",
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
    reason: ReasonOption = "",
    reference: ReferenceOption = "",
    change_class: ClassOption = None,
) -> None:
    """Plan, show the plan, ask, run it, and watch it to its end.

    Exit code 0 when it completed, 1 when it did not, 3 when it waits for a person.
    """
    wanted = Wanted(name, file, workflow, parameter or [], parameters, limit)

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        change = ForChange(reason, reference, change_class)
        chosen = change.arguments()["change_class"]
        plan = await client.make_plan(**wanted.arguments(), previews=not yes, change_class=chosen)
        return await start_plan(client, screen, plan, yes=yes, no_wait=no_wait, change=change)

    perform(context, work)


@app.command("list")
def list_(
    context: typer.Context,
    blueprint: Annotated[
        str | None,
        typer.Option("--blueprint", metavar="ID", autocompletion=blueprints, help="Only of this blueprint."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", autocompletion=states, help="Only in this state; may be repeated."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Only those begun then or later: 2h, 7d, a date or a time."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="At most so many.")] = 20,
    cursor: Annotated[
        str, typer.Option("--cursor", metavar="CURSOR", help="Go on where another list ended, which says how.")
    ] = "",
) -> None:
    """List executions, newest first."""
    began = _since(since)
    for each in set(state or []).difference(STATES):
        raise typer.BadParameter(f"{each!r} is no state of an execution; there are {', '.join(STATES)}")

    async def work(client: PilotageClient, screen: Screen) -> None:
        page = await client.page_runs(cursor, blueprint=blueprint, states=state or [], since=began, limit=limit)
        rows = page["items"]
        if screen.json:
            screen.object(rows)
            if page["next"]:
                screen.error_object({"next": page["next"]})
            return
        chosen = bool(blueprint or state or since or cursor)
        screen.table(
            *listed(rows, narrow=screen.columns < ALL_COLUMNS),
            "No execution is like that." if chosen else "Nothing has run yet. Run something: pilotage run start NAME",
        )
        if page["next"]:
            screen.hint(f"there are older ones: the same with --cursor {page['next']}")

    perform(context, work)


@app.command()
def show(
    context: typer.Context,
    execution: ExecutionArgument,
    step: Annotated[
        str, typer.Option("--step", metavar="STEP", help="Only this step, by path or id; of a group, what is inside.")
    ] = "",
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="HOST", autocompletion=hosts, help="Only this host, or coordinator for what runs there."
        ),
    ] = "",
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only step runs in this state; may be repeated."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Each step run on a line of its own, also when there are many.")
    ] = False,
) -> None:
    """Show one execution: a timeline of every step on every host, errors, and what it waits for."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        run = await client.show_run(await found(client, execution), step=step, host=host, states=state or [])
        if screen.json:
            screen.object(run)
            return
        for line in run_lines(run, screen.columns, every=every or bool(step or host or state)):
            screen.line(line.text, line.style)

    perform(context, work)


@app.command()
def watch(
    context: typer.Context,
    execution: ExecutionArgument,
    after: Annotated[int, typer.Option("--after", metavar="SEQUENCE", min=0, help="Begin after this event.")] = 0,
) -> None:
    """Watch an execution to its end; exit code 0 when it completed. In JSON: one event a line."""

    async def work(client: PilotageClient, screen: Screen) -> ExitCode:
        return await watch_execution(client, screen, await found(client, execution), after=after, until_rest=False)

    perform(context, work)


@app.command()
def cancel(
    context: typer.Context, execution: ExecutionArgument, reason: ReasonOption = "", yes: YesOption = False
) -> None:
    """Stop what runs and start nothing new; `finally` steps still run."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = await found(client, execution)
        if confirmed(screen, f"Cancel {chosen}? Steps that run are stopped.", yes=yes):
            _show(screen, await client.cancel_run(chosen, reason))

    perform(context, work)


@app.command()
def pause(context: typer.Context, execution: ExecutionArgument, reason: ReasonOption = "") -> None:
    """Start nothing new; what runs goes on to its end."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _show(screen, await client.pause_run(await found(client, execution), reason))

    perform(context, work)


@app.command()
def resume(context: typer.Context, execution: ExecutionArgument, reason: ReasonOption = "") -> None:
    """Go on after a pause."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _show(screen, await client.resume_run(await found(client, execution), reason))

    perform(context, work)


@app.command()
def retry(
    context: typer.Context,
    execution: ExecutionArgument,
    failed_hosts: Annotated[
        bool, typer.Option("--failed-hosts", help="What failed, was cancelled or not run, on its hosts. The default.")
    ] = False,
    from_step: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP", help="This step and all that depends on it, also where it succeeded."),
    ] = None,
    no_wait: NoWaitOption = False,
) -> None:
    """Run again what failed; what succeeded stays."""
    if failed_hosts and from_step is not None:
        raise typer.BadParameter("--failed-hosts and --from exclude each other")

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        chosen = await found(client, execution)
        before = await client.show_run(chosen)
        run = await client.retry_run(chosen, from_step)
        if no_wait or screen.json:
            _show(screen, run)
            return None
        return await watch_execution(client, screen, chosen, after=before["sequence"], until_rest=True)

    perform(context, work)


@app.command()
def resolve(
    context: typer.Context,
    execution: ExecutionArgument,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step's path, as `run show` has it.")],
    outcome: Annotated[Outcome, typer.Option("--as", metavar="succeeded|failed|retry", help="What became of it.")],
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="HOST", autocompletion=hosts, help="The host; none for a step on the coordinator."
        ),
    ] = "",
    item: Annotated[str, typer.Option("--item", metavar="KEY", help="The item's key, for a step that loops.")] = "",
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="What you saw; kept in the history.")] = "",
) -> None:
    """Say what became of a step run that nobody knows the end of.

    Look on the host first: `succeeded` lets its dependents run, `retry` runs it once more.
    """

    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = await found(client, execution)
        _show(screen, await client.resolve_run(chosen, step, outcome.value, host=host, item=item, comment=comment))

    perform(context, work)


class Closing(StrEnum):
    """What came of a change."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    BACKED_OUT = "backed_out"


@app.command()
def close(
    context: typer.Context,
    execution: ExecutionArgument,
    outcome: Annotated[
        Closing, typer.Option("--as", metavar="successful|failed|backed_out", help="What came of the change.")
    ],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What is to be known later.")] = "",
) -> None:
    """Close the change of an execution that has ended; once, and for good."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = await found(client, execution)
        change = await client.close_run(chosen, outcome.value, note=note)
        if screen.json:
            screen.object(change)
        else:
            screen.line(f"{chosen} is closed as {change['outcome'].replace('_', ' ')}")

    perform(context, work)


@app.command()
def release(
    context: typer.Context,
    execution: ExecutionArgument,
    gate: Annotated[str, typer.Argument(metavar="GATE", help="The gate's name, as `run show` has it.")],
    deny: Annotated[bool, typer.Option("--deny", help="Answer no.")] = False,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Kept in the history.")] = "",
) -> None:
    """Answer a gate that an execution waits at."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = await found(client, execution)
        _show(screen, await client.release_gate(chosen, gate, "denied" if deny else "approved", comment))

    perform(context, work)


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return moment_since(text, datetime.now(UTC))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text!r} is no time: write 90m, 2h, 7d, 2026-11-24 or 2026-11-24T06:00") from error


def _show(screen: Screen, run: ExecutionSummary) -> None:
    if screen.json:
        screen.object(run)
    else:
        because = f" ({run['reason']})" if run["reason"] else ""
        screen.line(f"{run['id']} is {run['state'].replace('_', ' ')}{because}")


def listed(rows: Sequence[ExecutionSummary], *, narrow: bool) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns of a list and its rows; a narrow terminal gets those that say which run it was."""
    if not narrow:
        return ("EXECUTION", "STATE", "STEPS", "BEGAN", "TOOK", "BY", "BLUEPRINT"), [_row(row) for row in rows]
    short: list[tuple[str, ...]] = [
        (row["id"], row["state"], ago(row["started_at"] or row["created_at"]), title(row)) for row in rows
    ]
    return ("EXECUTION", "STATE", "BEGAN", "BLUEPRINT"), short


def _row(run: ExecutionSummary) -> tuple[str, ...]:
    counts = run["counts"]
    lasted = seconds_between(run["started_at"], run["ended_at"])
    return (
        run["id"],
        run["state"],
        f"{counts.get('succeeded', 0)}/{sum(counts.values())}" if counts else "",
        local(run["started_at"] or run["created_at"]),
        span(lasted) if lasted is not None else "",
        run["requested_by"],
        title(run),
    )
