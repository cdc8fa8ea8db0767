"""`pilotage compliance`."""

from typing import Annotated

import typer
from pilotage_client import PilotageClient

from pilotage_coordinator.cli.completion import blueprints
from pilotage_coordinator.cli.exits import ExitCode, NotUnderstood
from pilotage_coordinator.cli.moments import local, option_moment
from pilotage_coordinator.cli.render.compliance import OUTCOMES, STYLES, finding_lines, report_lines
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Check blueprints against the rules of compliance, and report on what ran.",
)

NO_RULES = "There are no rules of compliance: the policy's file has no `compliance:`."


@app.command()
def check(
    context: typer.Context,
    blueprint: Annotated[
        str | None,
        typer.Argument(metavar="BLUEPRINT", help="`id`, `id@1` or `id@1.2.0`; or --all.", autocompletion=blueprints),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every stored blueprint, in its newest version.")] = False,
    limit_to: Annotated[
        str,
        typer.Option("--limit", "-l", metavar="SELECTOR", help="The hosts to look at; else those where it last ran."),
    ] = "",
) -> None:
    """Say whether a blueprint keeps the rules of compliance now, with what was looked at. No host is asked.

    Exit code 1 where a rule would block it, also because something is not known.
    """

    async def work(client: PilotageClient, screen: Screen) -> ExitCode:
        if (blueprint is None) is not all_:
            raise NotUnderstood("which blueprint is not said", "name one, or give --all")
        answer = await client.check_compliance(blueprint, limit_to=limit_to)
        blocked = any(each["outcome"] in ("blocked", "unknown") for each in answer["blueprints"])
        code = ExitCode.FAILED if blocked else ExitCode.OK
        if screen.json:
            screen.object(answer)
            return code
        if not answer["rules"]:
            screen.line(NO_RULES)
            return code
        for each in answer["blueprints"]:
            title = f"{each['blueprint']}@{each['version']}" if each["version"] else each["blueprint"]
            screen.line(f"{title}  {each['outcome']}: {OUTCOMES[each['outcome']]}", f"bold {STYLES[each['outcome']]}")
            if each["fault"]:
                screen.folded(f"  {each['fault']}", "red")
            if each["hosts"]:
                screen.line(f"  looked at {each['hosts']}", "dim")
            for line in finding_lines(each["findings"], evidence=blueprint is not None):
                screen.folded(line.text, line.style)
            screen.line("")
        screen.line(f"by version {answer['policy']} of the policy, at {local(answer['checked_at'])}", "dim")
        return code

    perform(context, work)


@app.command()
def report(
    context: typer.Context,
    blueprint: Annotated[
        str | None,
        typer.Option("--blueprint", metavar="ID", help="Only of this one.", autocompletion=blueprints),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From then on: 30d, 2027-03-01 or RFC 3339.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before then.")] = None,
) -> None:
    """Report what the rules of compliance found in a period, blueprint by blueprint, with the evidence.

    What was found is what was known when each execution was started; nothing is judged anew.
    """
    since, until = option_moment("--from", from_), option_moment("--to", to)

    async def work(client: PilotageClient, screen: Screen) -> None:
        answer = await client.report_compliance(blueprint, since=since, until=until)
        if screen.json:
            screen.object(answer)
            return
        begin, end = local(answer["since"]) or "the beginning", local(answer["until"]) or "now"
        screen.line(f"Compliance from {begin} until {end}", "bold")
        screen.line(f"made at {local(answer['made_at'])}", "dim")
        if not answer["blueprints"]:
            screen.line("Nothing was planned, started or refused in this time.")
        for each in answer["blueprints"]:
            screen.line("")
            for line in report_lines(each):
                screen.folded(line.text, line.style)
        if answer["left_out"]:
            screen.line("")
            screen.line(f"{answer['left_out']} more checks are counted here; ask for a shorter time to see them")

    perform(context, work)
