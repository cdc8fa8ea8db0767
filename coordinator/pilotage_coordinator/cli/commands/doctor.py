"""`pilotage doctor`."""

import typer
from pilotage_client import CoordinatorUnreachable, PilotageClient
from pilotage_client.answers import Finding

from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.machine import findings
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(context: typer.Context) -> None:
    """Check this machine and the coordinator; say how to mend what is wrong. Exit code 1 for a failure."""

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        items = list(findings())
        unreachable = None
        try:
            items += (await client.examine())["items"]
        except CoordinatorUnreachable as error:
            unreachable = error
            items.append(Finding(check="coordinator", verdict="failure", detail=error.detail, fix=error.fix))
        failed = any(each["verdict"] == "failure" for each in items)
        if screen.json:
            screen.object({"healthy": not failed, "items": items})
        else:
            screen.table(
                ("CHECK", "", "FOUND"), [(each["check"], each["verdict"], each["detail"]) for each in items], ""
            )
            for each in items:
                if each["fix"] and each["verdict"] != "ok":
                    screen.hint(f"{each['check']}: {each['fix']}")
        if unreachable is not None:
            return ExitCode.UNREACHABLE
        return ExitCode.FAILED if failed else None

    perform(context, work)
