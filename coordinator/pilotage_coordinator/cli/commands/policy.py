"""`pilotage policy`."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import ComplianceRule, Explained, PolicyRule, PolicySet

from pilotage_coordinator.cli.completion import hosts
from pilotage_coordinator.cli.exits import ExitCode, NotUnderstood
from pilotage_coordinator.cli.inputs import read_blueprint, read_labels
from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.starting import ClassOption

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="What may be done on hosts: see it, set it, test it, and ask why.",
)

CommentOption = Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why; kept with the version.")]
_STYLES = {"allow": "green", "require_approval": "yellow", "dry_run_only": "yellow", "deny": "red"}


class Kind(StrEnum):
    """What sort of principal asks."""

    PERSON = "person"
    SERVICE = "service"
    ASSISTANT = "assistant"


class Effect(StrEnum):
    """What running a step does."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    PROBE = "probe"
    ONCE = "once"


@app.command()
def show(
    context: typer.Context,
    version: Annotated[
        int, typer.Option("--version", metavar="NUMBER", min=0, help="An earlier version; 0: the one that counts.")
    ] = 0,
    source: Annotated[bool, typer.Option("--source", help="Print the YAML as its author wrote it.")] = False,
) -> None:
    """Show the policy: every rule, and when it matches."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        policy = await client.show_policy(version)
        if screen.json:
            screen.object(policy)
            return
        if source:
            screen.line(policy["source"].rstrip("\n"))
            return
        counts = "" if policy["counts"] else "  (it does not count any more)"
        screen.line(f"version {policy['version']}{counts}", "bold")
        screen.line(f"set by {policy['set_by']} at {local(policy['set_at'])}", "dim")
        if policy["comment"]:
            screen.folded(policy["comment"], "dim")
        if policy["fault"]:
            screen.folded(f"it cannot be read, so nothing is allowed: {policy['fault']}", "red")
        if policy["external"]:
            screen.line(f"asked too, and obeyed where it is stricter: {policy['external']}")
        for rule in policy["rules"]:
            _show_rule(screen, rule)
        for kept in policy["compliance"]:
            _show_kept(screen, kept)
        screen.line("")
        screen.line("What no rule allows is denied.", "bold")

    perform(context, work)


@app.command("set")
def set_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The policy's file; - reads standard input.")],
    comment: CommentOption = "",
    check: Annotated[bool, typer.Option("--check", help="Say what would change, and set nothing.")] = False,
    expected: Annotated[
        int | None,
        typer.Option("--expected", metavar="NUMBER", min=0, help="Refuse it unless this version counts now."),
    ] = None,
) -> None:
    """Let a policy count from now on, and say whom that affects. A file with an error is refused whole."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        answer = await client.set_policy(
            read_blueprint(file, sys.stdin), str(file), comment=comment, check=check, expected_version=expected
        )
        _show_set(screen, answer)

    perform(context, work)


@app.command()
def history(
    context: typer.Context,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="COUNT", min=1, help="At most so many.")] = 50,
) -> None:
    """List the versions of the policy, newest first: who set them, when and why."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.policy_history(limit=limit)
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("VERSION", "SET", "BY", "RESTORES", "COMMENT"),
            [
                (
                    str(row["version"]),
                    local(row["set_at"]),
                    row["set_by"],
                    "" if row["restores"] is None else str(row["restores"]),
                    row["comment"],
                )
                for row in rows
            ],
            "There was never a policy: everything is allowed. Set one: pilotage policy set FILE",
        )

    perform(context, work)


@app.command()
def rollback(
    context: typer.Context,
    version: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The version to bring back.")],
    comment: CommentOption = "",
) -> None:
    """Bring an earlier version back, as a new one."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        _show_set(screen, await client.roll_back_policy(version, comment=comment))

    perform(context, work)


@app.command("test")
def try_(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The policy's file; - reads standard input. None: the one that counts."),
    ] = None,
) -> None:
    """Try the table of cases in a policy; exit code 1 when one of them fails."""

    async def work(client: PilotageClient, screen: Screen) -> ExitCode:
        if file is None:
            answer = await client.test_policy()
        else:
            answer = await client.test_policy(read_blueprint(file, sys.stdin), str(file))
        code = ExitCode.FAILED if answer["failed"] else ExitCode.OK
        if screen.json:
            screen.object(answer)
            return code
        for case in answer["cases"]:
            screen.line(f"{'ok    ' if case['passed'] else 'FAILED'} {case['name']}", "" if case["passed"] else "red")
            if case["fault"]:
                screen.folded(f"         {case['fault']}")
        screen.line(f"{answer['passed']} passed, {answer['failed']} failed", "bold")
        return code

    perform(context, work)


@app.command()
def explain(
    context: typer.Context,
    operation: Annotated[str, typer.Argument(metavar="STEP_TYPE", help="What would be done: container.upgrade.")],
    host: Annotated[
        str,
        typer.Option("--host", metavar="HOST", autocompletion=hosts, help="Where; without it, on the coordinator."),
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="A label of a host that is made up; may be repeated."),
    ] = None,
    principal: Annotated[str, typer.Option("--as", metavar="PRINCIPAL", help="Who; without it, you.")] = "",
    kind: Annotated[
        Kind | None, typer.Option("--kind", metavar="person|service|assistant", help="What sort of principal.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="ROLE", help="A role that is held; may be repeated.")
    ] = None,
    effect: Annotated[
        Effect, typer.Option("--effect", metavar="read|idempotent|probe|once", help="The step's effect.")
    ] = Effect.ONCE,
    destructive: Annotated[bool, typer.Option("--destructive", help="The step's type is destructive.")] = False,
    irreversible: Annotated[bool, typer.Option("--irreversible", help="The step cannot be undone.")] = False,
    blueprint: Annotated[str, typer.Option("--blueprint", metavar="ID", help="In a run of this blueprint.")] = "",
    category: Annotated[str, typer.Option("--category", metavar="NAME", help="The blueprint's category.")] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the step; JSON is read as such."),
    ] = None,
    change_class: ClassOption = None,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="When: 2027-03-01T08:00:00Z; without it, now.")] = "",
) -> None:
    """Say what the policy decides about a step, and what every rule has to do with it.

    Exit code 0 when it is allowed, 3 when an approval is needed, 5 when it is denied or may only be planned.
    """

    async def work(client: PilotageClient, screen: Screen) -> ExitCode:
        question: dict[str, Any] = {
            "host": host,
            "labels": {name: value or "" for name, value in read_labels(label or []).items()},
            "principal": principal,
            "kind": kind and kind.value,
            "roles": role,
            "effect": effect.value,
            "destructive": destructive,
            "irreversible": irreversible,
            "blueprint": blueprint,
            "category": category,
            "parameters": _values(parameter or []),
            "change_class": change_class and change_class.value,
            "at": at,
        }
        answer = await client.explain_policy(operation, **question)
        if screen.json:
            screen.object(answer)
        else:
            _show_explained(screen, answer)
        if answer["decision"] == "allow":
            return ExitCode.OK
        return ExitCode.AWAITING_APPROVAL if answer["decision"] == "require_approval" else ExitCode.DENIED

    perform(context, work)


def _values(given: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise NotUnderstood(f"parameter {each!r} is not NAME=VALUE", "write it as -p image=registry/web:2")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _show_rule(screen: Screen, rule: PolicyRule) -> None:
    screen.line("")
    screen.line(f"{rule['name']}  {rule['decision']} ({rule['level']})", _STYLES[rule["decision"]])
    if rule["description"]:
        screen.folded(f"  {rule['description']}", "dim")
    for each in rule["restrictions"]:
        screen.folded(f"  {each}")


def _show_kept(screen: Screen, rule: ComplianceRule) -> None:
    screen.line("")
    blocks = rule["enforce"] == "block"
    screen.line(f"{rule['name']}  {'blocks' if blocks else 'warns'} (compliance)", "red" if blocks else "yellow")
    if rule["description"]:
        screen.folded(f"  {rule['description']}", "dim")
    for each in rule["restrictions"]:
        screen.folded(f"  {each}")
    for each in rule["requires"]:
        screen.folded(f"  asks for: {each}")


def _show_set(screen: Screen, answer: PolicySet) -> None:
    if screen.json:
        screen.object(answer)
        return
    for each in answer["changes"]:
        sign = {"added": "+", "removed": "-"}.get(each["change"], "~")
        screen.line(f"{sign} {each['rule']}")
        for line in each["details"]:
            screen.folded(f"    {line}", "dim")
    if not answer["changes"]:
        screen.line("no rule is another one than before")
    for run in answer["affected"]:
        screen.line(
            f"affects {run['execution']} ({run['blueprint']}, {run['state']}, of {run['requested_by']})", "yellow"
        )
        screen.folded(f"    {run['text']}")
    if not answer["affected"]:
        screen.line("no execution that is under way is affected", "dim")
    if answer["cases"]:
        screen.line(f"its {answer['cases']} case{'s' if answer['cases'] != 1 else ''} passed", "dim")
    if answer["set"]:
        screen.line(f"version {answer['version']} counts from now on", "bold")
    else:
        screen.line("nothing was set", "bold")


def _show_explained(screen: Screen, answer: Explained) -> None:
    screen.line(answer["decision"], f"bold {_STYLES[answer['decision']]}")
    for reason in answer["reasons"]:
        screen.folded(f"  {reason}")
    screen.line("")
    rows = [
        (
            each["rule"],
            each["level"],
            each["decision"],
            "decided" if each["decided"] else each["matches"],
            each["why"],
        )
        for each in answer["considered"]
    ]
    screen.table(("RULE", "LEVEL", "DECISION", "MATCHES", "WHY"), rows, "The policy has no rules.")
