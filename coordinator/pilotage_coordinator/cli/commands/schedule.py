"""`pilotage schedule`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import ScheduleAnswer

from pilotage_coordinator.cli.completion import blueprints, schedules
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_coordinator.cli.inputs import read_json_object, read_parameters
from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.render.schedule import firing_rows, schedule_lines, upcoming_rows
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import ClassOption, ParameterOption, ParametersOption, ReferenceOption, YesOption

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Run blueprints at certain times, and see what became of each.",
)


class Overlap(StrEnum):
    """What happens when a time comes while an execution of the same schedule is not over."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    ALLOW_ALL = "allow_all"


Which = Annotated[
    str, typer.Argument(metavar="SCHEDULE", autocompletion=schedules, help="Its name, or its id, sch_...")
]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")]
CronOption = Annotated[
    str | None,
    typer.Option("--cron", metavar="EXPRESSION", help="Five fields, such as '30 2 * * 1-5', or @daily and its like."),
]
EveryOption = Annotated[str | None, typer.Option("--every", metavar="SPAN", help="A fixed interval: 15m, 6h, 2d.")]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="Once: 2030-01-31T02:30, or with an offset +01:00.")
]
ZoneOption = Annotated[
    str | None, typer.Option("--timezone", metavar="ZONE", help="Of its wall clock: Europe/Berlin; else UTC.")
]
StartOption = Annotated[
    str | None, typer.Option("--start", metavar="TIME", help="No time before; an empty text takes it away.")
]
EndOption = Annotated[
    str | None, typer.Option("--end", metavar="TIME", help="No time after; an empty text takes it away.")
]
HostsOption = Annotated[
    str | None, typer.Option("--limit", "-l", metavar="SELECTOR", help="Which hosts: role=db, env!=prod, name~web*.")
]
OverlapOption = Annotated[
    Overlap | None,
    typer.Option(
        "--overlap",
        metavar="skip|buffer_one|buffer_all|cancel_other|allow_all",
        help="When its last execution is not over yet; else skip.",
    ),
]
CatchupOption = Annotated[
    str | None, typer.Option("--catchup", metavar="SPAN", help="How late a time may still run; else 10m.")
]
JitterOption = Annotated[
    str | None, typer.Option("--jitter", metavar="SPAN", help="Spread schedules of one time over so long; else 0s.")
]
CountOption = Annotated[
    int | None, typer.Option("--count", metavar="N", min=0, help="End after so many executions; 0: no limit.")
]
PauseOnFailureOption = Annotated[
    bool | None,
    typer.Option("--pause-on-failure/--go-on-after-failure", help="Whether it pauses when an execution fails."),
]
ForWhat = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="What its executions are for; kept with each.")
]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the schedule.")],
    blueprint: Annotated[
        str,
        typer.Argument(metavar="BLUEPRINT", autocompletion=blueprints, help="A stored one: ID, ID@1 or ID@1.2.0."),
    ],
    cron: CronOption = None,
    every: EveryOption = None,
    at: AtOption = None,
    timezone: ZoneOption = None,
    start: StartOption = None,
    end: EndOption = None,
    parameter: ParameterOption = None,
    parameters: ParametersOption = None,
    limit: HostsOption = None,
    overlap: OverlapOption = None,
    catchup: CatchupOption = None,
    jitter: JitterOption = None,
    count: CountOption = None,
    pause_on_failure: PauseOnFailureOption = None,
    reason: ForWhat = None,
    reference: ReferenceOption = "",
    change_class: ClassOption = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Make it, but give it no times yet.")] = False,
) -> None:
    """Let a blueprint run at certain times. It runs with your rights, checked anew each time."""
    settings = _settings(
        cron=cron, every=every, at=at, timezone=timezone, start=start, end=end, limit_to=limit, overlap=overlap,
        catchup=catchup, jitter=jitter, count=count, pause_on_failure=pause_on_failure, reason=reason,
        reference=reference or None, change_class=change_class,
    )  # fmt: skip
    if sum(each is not None for each in (cron, every, at)) != 1:
        raise NotUnderstood("a schedule needs a time", "give exactly one of --cron, --every and --at")
    settings |= _parameters(parameter, parameters)

    async def work(client: PilotageClient, screen: Screen) -> None:
        _tell(screen, await client.create_schedule(name, blueprint, enabled=not disabled, **settings), "created")

    perform(context, work)


@app.command()
def update(
    context: typer.Context,
    schedule: Which,
    blueprint: Annotated[
        str | None, typer.Option("--blueprint", metavar="BLUEPRINT", autocompletion=blueprints, help="Another one.")
    ] = None,
    cron: CronOption = None,
    every: EveryOption = None,
    at: AtOption = None,
    timezone: ZoneOption = None,
    start: StartOption = None,
    end: EndOption = None,
    parameter: ParameterOption = None,
    parameters: ParametersOption = None,
    limit: HostsOption = None,
    overlap: OverlapOption = None,
    catchup: CatchupOption = None,
    jitter: JitterOption = None,
    count: CountOption = None,
    pause_on_failure: PauseOnFailureOption = None,
    reason: ForWhat = None,
    reference: ReferenceOption = "",
    change_class: ClassOption = None,
) -> None:
    """Change a schedule; what is not given stays. You become its owner: it runs with your rights from then on."""
    settings = _settings(
        cron=cron, every=every, at=at, timezone=timezone, start=start, end=end, limit_to=limit, overlap=overlap,
        catchup=catchup, jitter=jitter, count=count, pause_on_failure=pause_on_failure, reason=reason,
        reference=reference or None, change_class=change_class,
    )  # fmt: skip
    settings |= _parameters(parameter, parameters)

    async def work(client: PilotageClient, screen: Screen) -> None:
        _tell(screen, await client.update_schedule(schedule, blueprint=blueprint, **settings), "changed")

    perform(context, work)


@app.command()
def enable(context: typer.Context, schedule: Which, reason: Why = "") -> None:
    """Give a schedule its times again that is disabled, cancelled, stopped or finished."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _tell(screen, await client.enable_schedule(schedule, reason), "enabled")

    perform(context, work)


@app.command()
def pause(
    context: typer.Context,
    schedule: Which,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; each skipped time tells it.")] = "",
) -> None:
    """Skip its times until it is resumed; what runs goes on."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _tell(screen, await client.pause_schedule(schedule, reason), "paused")

    perform(context, work)


@app.command()
def resume(context: typer.Context, schedule: Which, reason: Why = "") -> None:
    """Let a paused schedule run again, from its next time on."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _tell(screen, await client.resume_schedule(schedule, reason), "resumed")

    perform(context, work)


@app.command()
def cancel(context: typer.Context, schedule: Which, reason: Why = "", yes: YesOption = False) -> None:
    """End a schedule. Its history stays, and what runs goes on."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if confirmed(screen, f"End schedule {schedule}?", yes=yes):
            _tell(screen, await client.cancel_schedule(schedule, reason), "cancelled")

    perform(context, work)


@app.command()
def run(context: typer.Context, schedule: Which, reason: Why = "") -> None:
    """Start now what it starts, as an execution of yours."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        started = await client.run_schedule(schedule, reason)
        if screen.json:
            screen.object(started)
        else:
            screen.line(started["execution"])
            screen.hint(f"watch it: pilotage run watch {started['execution']}")

    perform(context, work)


@app.command("list")
def list_(
    context: typer.Context,
    cancelled: Annotated[bool, typer.Option("--all", help="Those that are cancelled, too.")] = False,
) -> None:
    """List schedules, newest first."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_schedules(cancelled=cancelled)
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("SCHEDULE", "STATE", "NEXT RUN", "OWNER", "BLUEPRINT", "WHEN"),
            [
                (
                    row["name"],
                    row["state"],
                    local(row["next_run"]) or "-",
                    row["owner"],
                    row["blueprint"],
                    row["words"],
                )
                for row in rows
            ],
            "No schedule. Make one: pilotage schedule create NAME BLUEPRINT --cron '30 2 * * *'",
        )

    perform(context, work)


@app.command()
def show(context: typer.Context, schedule: Which) -> None:
    """Show one schedule, and what became of its last times."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        row = await client.show_schedule(schedule)
        if screen.json:
            screen.object(row)
            return
        for line in schedule_lines(row):
            screen.line(line)
        firings = await client.list_firings(row["id"], limit=5)
        if firings:
            screen.line()
            screen.table(*firing_rows(firings), "")

    perform(context, work)


@app.command()
def firings(
    context: typer.Context,
    schedule: Which,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="COUNT", min=1, help="At most so many.")] = 20,
) -> None:
    """List what became of its times, newest first: ran, waiting, skipped or missed, and why."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_firings(schedule, limit=limit)
        if screen.json:
            screen.object(rows)
        else:
            screen.table(*firing_rows(rows), "None of its times has come yet.")

    perform(context, work)


@app.command()
def upcoming(
    context: typer.Context,
    schedule: Annotated[
        str | None, typer.Argument(metavar="SCHEDULE", autocompletion=schedules, help="Only of this one.")
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", metavar="COUNT", min=1, max=500, help="So many.")] = 10,
    hours: Annotated[
        int | None, typer.Option("--hours", metavar="HOURS", min=1, max=8784, help="Only within so many hours.")
    ] = None,
) -> None:
    """Show the next times of one schedule or of all, each in its zone, with what changes of the clock make of them."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        found = await client.show_upcoming(schedule, count=count, hours=hours)
        if screen.json:
            screen.object(found["items"])
        else:
            screen.table(*upcoming_rows(found["items"]), "No schedule runs in that time.")

    perform(context, work)


@app.command()
def explain(
    context: typer.Context,
    cron: Annotated[str, typer.Argument(metavar="EXPRESSION", help="Such as '0 2 * * 1-5'.")],
    timezone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="In which zone.")] = "UTC",
    count: Annotated[int, typer.Option("-n", "--count", metavar="COUNT", min=1, max=100, help="Next times.")] = 5,
) -> None:
    """Say in words when a cron expression fires."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        found = await client.explain_schedule(cron, timezone=timezone, count=count)
        if screen.json:
            screen.object(found)
            return
        screen.line(found["words"])
        screen.line(found["clock"])
        screen.line()
        screen.table(("NEXT TIME", "NOTE"), [(each["local"], each["note"]) for each in found["upcoming"]], "")

    perform(context, work)


def _settings(**given: Any) -> dict[str, Any]:
    """Return those settings that were given."""
    return {
        name: value.value if isinstance(value, StrEnum) else value for name, value in given.items() if value is not None
    }


def _parameters(texts: list[str] | None, file: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = {"parameters": read_json_object(file)} if file is not None else {}
    return {**found, "parameter_texts": read_parameters(texts)} if texts else found


def _tell(screen: Screen, row: ScheduleAnswer, done: str) -> None:
    if screen.json:
        screen.object(row)
        return
    screen.line(f"{row['name']} is {done}: {row['words']}")
    if row["next_run"]:
        screen.line(f"next run {row['next_run_local']} ({row['timezone']}), with the rights of {row['owner']}")
    else:
        screen.line(f"nothing will start: it is {row['state']}" + (f" ({row['note']})" if row["note"] else ""))
    if row["warning"]:
        screen.hint(row["warning"])
