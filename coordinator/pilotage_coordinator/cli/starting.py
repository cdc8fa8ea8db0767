"""From what a person wants to run to a plan on the screen, and from there to an execution."""

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import Plan

from pilotage_coordinator.cli.completion import blueprints
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.exits import ExitCode, NotUnderstood, code_of_state
from pilotage_coordinator.cli.inputs import read_blueprint, read_json_object, read_parameters
from pilotage_coordinator.cli.render.plan import plan_lines
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.watching import wait, watch


class ChangeClass(StrEnum):
    """How a change is handled."""

    STANDARD = "standard"
    NORMAL = "normal"
    EMERGENCY = "emergency"


NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME", autocompletion=blueprints, help="A stored blueprint: ID, ID@1 or ID@1.2.0."),
]
FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="A blueprint file instead; - is standard input.")
]
WorkflowOption = Annotated[
    str | None, typer.Option("--workflow", metavar="ID", help="Which blueprint of a file that holds several.")
]
ParameterOption = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set a parameter; may be repeated.")
]
ParametersOption = Annotated[
    Path | None,
    typer.Option(
        "--parameters", metavar="FILE", help="A JSON file of parameters, for those that no command line should see."
    ),
]
LimitOption = Annotated[
    str,
    typer.Option(
        "--limit", "-l", metavar="SELECTOR", help="Which hosts: role=db, env!=prod, name~web*; commas mean and."
    ),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the execution and in the audit log.")
]
ReferenceOption = Annotated[
    str, typer.Option("--reference", metavar="TEXT", help="The change's number or address elsewhere; kept too.")
]
ClassOption = Annotated[
    ChangeClass | None,
    typer.Option("--class", metavar="standard|normal|emergency", help="The class of the change; rules may ask for it."),
]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask. An approval that a rule asks for is still needed.")
]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Print the execution's id and leave.")]


@dataclass(frozen=True, slots=True)
class ForChange:
    """What an execution is for, as the options say it."""

    reason: str = ""
    reference: str = ""
    change_class: ChangeClass | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the client's `start_run`."""
        change_class = self.change_class.value if self.change_class else None
        return {"reason": self.reason, "reference": self.reference, "change_class": change_class}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to plan, as the options say it."""

    name: str | None
    file: Path | None
    workflow: str | None
    parameters: list[str]
    parameters_file: Path | None
    limit: str

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the client's `make_plan`; raise a usage error unless name or file is given.

        Raises NotUnderstood where a file stands in place of a name.
        """
        if (self.name is None) == (self.file is None):
            raise typer.BadParameter("name one stored blueprint, or a file with -f")
        found: dict[str, Any] = {
            "parameter_texts": read_parameters(self.parameters),
            "parameters": read_json_object(self.parameters_file) if self.parameters_file else {},
            "limit_to": self.limit,
        }
        if self.file is not None:
            found |= {"source": read_blueprint(self.file, sys.stdin), "file": str(self.file), "workflow": self.workflow}
        elif self.name is not None and (self.name.endswith((".yaml", ".yml")) or Path(self.name).is_file()):
            raise NotUnderstood(f"{self.name} is a file, no stored blueprint's name", f"give it with -f {self.name}")
        else:
            found["blueprint"] = self.name
        return found


def show_plan(screen: Screen, plan: Plan, *, values: bool = False) -> None:
    """Show a plan host by host and wave by wave, with `values` also what each step is given."""
    for line in plan_lines(plan, values=values):
        screen.folded(line.text, line.style)


async def start_plan(
    client: PilotageClient, screen: Screen, plan: Plan, *, yes: bool, no_wait: bool, change: ForChange
) -> ExitCode | None:
    """Show a plan, ask, start exactly it, and watch it."""
    if not screen.json:
        show_plan(screen, plan)
    hosts = len(plan["targets"])
    if not confirmed(screen, f"Run this on {hosts} host{'s' if hosts != 1 else ''}?", yes=yes):
        return None
    return await start_digest(client, screen, plan["digest"], no_wait=no_wait, change=change)


async def start_digest(
    client: PilotageClient, screen: Screen, digest: str, *, no_wait: bool, change: ForChange
) -> ExitCode | None:
    """Start a plan by its digest, and watch it."""
    started = await client.start_run(plan_digest=digest, **change.arguments())
    execution = started["execution"]
    if no_wait:
        if screen.json:
            screen.object(started)
        else:
            screen.line(execution)
            screen.hint(f"pilotage run watch {execution}")
        return None
    if screen.json:
        await wait(client, execution)
        run = await client.show_run(execution)
        screen.object(run)
        return code_of_state(run["state"])
    screen.say(f"execution {execution}", "bold")
    return await watch(client, screen, execution, until_rest=True)
