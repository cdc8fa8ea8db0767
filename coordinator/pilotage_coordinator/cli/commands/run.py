"""`pilotage run`."""

from enum import StrEnum
from typing import Annotated

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import ExecutionSummary

from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.moments import local, seconds_between, span
from pilotage_coordinator.cli.render.run import run_lines
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import (
    FileOption,
    LimitOption,
    NameArgument,
    NoWaitOption,
    ParameterOption,
    ParametersOption,
    ReasonOption,
    Wanted,
    WorkflowOption,
    YesOption,
    start_plan,
)
from pilotage_coordinator.cli.watching import watch as watch_execution

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Start, watch and steer executions.")

Execution = Annotated[str, typer.Argument(help="The execution's id.")]


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
) -> None:
    """Plan, show the plan, ask, run it, and watch it to its end.

    Exit code 0 when it completed, 1 when it did not, 3 when it waits for a person.
    """
    wanted = Wanted(name, file, workflow, parameter or [], parameters, limit)

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        plan = await client.make_plan(**wanted.arguments(), previews=not yes)
        return await start_plan(client, screen, plan, yes=yes, no_wait=no_wait, reason=reason)

    perform(context, work)


@app.command("list")
def list_(
    context: typer.Context,
    blueprint: Annotated[str | None, typer.Option("--blueprint", help="Only of this blueprint.")] = None,
    state: Annotated[list[str] | None, typer.Option("--state", help="Only in this state; may be repeated.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
) -> None:
    """List executions, newest first."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_runs(blueprint=blueprint, states=state or [], limit=limit)
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("EXECUTION", "BLUEPRINT", "STATE", "STEPS", "BEGAN", "TOOK", "BY"),
            [_row(row) for row in rows],
            "Nothing has run yet. Run something: pilotage run start NAME",
        )

    perform(context, work)


@app.command()
def show(context: typer.Context, execution: Execution) -> None:
    """Show one execution: a timeline of every step on every host, errors, and what it waits for."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        run = await client.show_run(execution)
        if screen.json:
            screen.object(run)
            return
        for line in run_lines(run):
            screen.line(line.text, line.style)

    perform(context, work)


@app.command()
def watch(
    context: typer.Context,
    execution: Execution,
    after: Annotated[int, typer.Option("--after", min=0, help="Begin after this event.")] = 0,
) -> None:
    """Watch an execution to its end; exit code 0 when it completed. In JSON: one event a line."""

    async def work(client: PilotageClient, screen: Screen) -> ExitCode:
        return await watch_execution(client, screen, execution, after=after, until_rest=False)

    perform(context, work)


@app.command()
def cancel(context: typer.Context, execution: Execution, reason: ReasonOption = "", yes: YesOption = False) -> None:
    """Stop what runs and start nothing new; `finally` steps still run."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if confirmed(screen, f"Cancel {execution}? Steps that run are stopped.", yes=yes):
            _show(screen, await client.cancel_run(execution, reason))

    perform(context, work)


@app.command()
def pause(context: typer.Context, execution: Execution, reason: ReasonOption = "") -> None:
    """Start nothing new; what runs goes on to its end."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _show(screen, await client.pause_run(execution, reason))

    perform(context, work)


@app.command()
def resume(context: typer.Context, execution: Execution, reason: ReasonOption = "") -> None:
    """Go on after a pause."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _show(screen, await client.resume_run(execution, reason))

    perform(context, work)


@app.command()
def retry(
    context: typer.Context,
    execution: Execution,
    failed_hosts: Annotated[
        bool, typer.Option("--failed-hosts", help="What failed, was cancelled or not run, on its hosts. The default.")
    ] = False,
    from_step: Annotated[
        str | None, typer.Option("--from", help="This step and all that depends on it, also where it succeeded.")
    ] = None,
    no_wait: NoWaitOption = False,
) -> None:
    """Run again what failed; what succeeded stays."""
    if failed_hosts and from_step is not None:
        raise typer.BadParameter("--failed-hosts and --from exclude each other")

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        before = await client.show_run(execution)
        run = await client.retry_run(execution, from_step)
        if no_wait or screen.json:
            _show(screen, run)
            return None
        return await watch_execution(client, screen, execution, after=before["sequence"], until_rest=True)

    perform(context, work)


@app.command()
def resolve(
    context: typer.Context,
    execution: Execution,
    step: Annotated[str, typer.Argument(help="The step's path, as `run show` has it.")],
    outcome: Annotated[Outcome, typer.Option("--as", help="What became of it.")],
    host: Annotated[str, typer.Option("--host", help="The host; none for a step on the coordinator.")] = "",
    item: Annotated[str, typer.Option("--item", help="The item's key, for a step that loops.")] = "",
    comment: Annotated[str, typer.Option("--comment", help="What you saw; kept in the history.")] = "",
) -> None:
    """Say what became of a step run that nobody knows the end of.

    Look on the host first: `succeeded` lets its dependents run, `retry` runs it once more.
    """

    async def work(client: PilotageClient, screen: Screen) -> None:
        _show(screen, await client.resolve_run(execution, step, outcome.value, host=host, item=item, comment=comment))

    perform(context, work)


@app.command()
def release(
    context: typer.Context,
    execution: Execution,
    gate: Annotated[str, typer.Argument(help="The gate's name, as `run show` has it.")],
    deny: Annotated[bool, typer.Option("--deny", help="Answer no.")] = False,
    comment: Annotated[str, typer.Option("--comment", help="Kept in the history.")] = "",
) -> None:
    """Answer a gate that an execution waits at."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _show(screen, await client.release_gate(execution, gate, "denied" if deny else "approved", comment))

    perform(context, work)


def _show(screen: Screen, run: ExecutionSummary) -> None:
    if screen.json:
        screen.object(run)
    else:
        because = f" ({run['reason']})" if run["reason"] else ""
        screen.line(f"{run['id']} is {run['state'].replace('_', ' ')}{because}")


def _row(run: ExecutionSummary) -> tuple[str, ...]:
    counts = run["counts"]
    lasted = seconds_between(run["started_at"], run["ended_at"])
    return (
        run["id"],
        f"{run['blueprint']}@{run['version']}",
        run["state"],
        f"{counts.get('succeeded', 0)}/{sum(counts.values())}" if counts else "",
        local(run["started_at"] or run["created_at"]),
        span(lasted) if lasted is not None else "",
        run["requested_by"],
    )
