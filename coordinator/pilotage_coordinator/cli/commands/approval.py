"""`pilotage approval`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import ApprovalDetail, ApprovalSummary
from pilotage_proto import delegation as lending
from pilotage_proto.decision import NAMESPACE, Answer, Statement

from pilotage_coordinator.cli.completion import executions
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.execution import found
from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_coordinator.cli.moments import ahead, local
from pilotage_coordinator.cli.render.approval import approval_lines, listed
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform
from pilotage_coordinator.cli.signing import signature

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="See what waits for people to agree, approve or reject it, and lend your say to somebody.",
)

ApprovalArgument = Annotated[
    str,
    typer.Argument(metavar="REQUEST", help="The request's id, as `approval list` has it; last: the newest open one."),
]
CommentOption = Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why; everybody can read it.")]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="The SSH key to sign with; else the one that is registered for you."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask once more. The signature is still yours.")]


@app.command("list")
def list_(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that have their outcome, too.")] = False,
    execution: Annotated[
        str | None,
        typer.Option(
            "--execution", metavar="EXECUTION", autocompletion=executions, help="Only of this one; last: the newest."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="COUNT", min=1, help="At most so many.")] = 50,
) -> None:
    """List what waits for approval, newest first."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = await found(client, execution) if execution is not None else None
        rows = await client.list_approvals(state="all" if every else "open", execution=chosen, limit=limit)
        if screen.json:
            screen.object(rows)
            return
        screen.table(*listed(rows), "Nothing waits for approval." if not every else "Nothing was ever asked.")

    perform(context, work)


@app.command()
def show(context: typer.Context, approval: ApprovalArgument) -> None:
    """Show what is asked, why, and the whole plan: hosts, steps, what would change, what cannot be undone."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        request = await client.show_approval(await _chosen(client, approval))
        if screen.json:
            screen.object(request)
            return
        for line in approval_lines(request):
            screen.folded(line.text, line.style)

    perform(context, work)


@app.command()
def approve(
    context: typer.Context,
    approval: ApprovalArgument,
    comment: CommentOption = "",
    key: KeyOption = None,
    yes: YesOption = False,
) -> None:
    """Approve, signed with your SSH key: for this request and exactly this plan."""
    _decide(context, approval, "approve", comment, key, yes=yes)


@app.command()
def reject(
    context: typer.Context,
    approval: ApprovalArgument,
    comment: CommentOption = "",
    key: KeyOption = None,
    yes: YesOption = False,
) -> None:
    """Reject, signed with your SSH key: one no is enough."""
    _decide(context, approval, "reject", comment, key, yes=yes)


@app.command()
def delegate(
    context: typer.Context,
    to: Annotated[str, typer.Argument(metavar="PERSON", help="Who may answer in your place.")],
    until: Annotated[str, typer.Option("--until", metavar="WHEN", help="When it ends: 12h, 14d, a date or a time.")],
    since: Annotated[str | None, typer.Option("--since", metavar="WHEN", help="When it begins, if not now.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; everybody can read it.")] = "",
    key: KeyOption = None,
) -> None:
    """Lend your say on approvals to another person, until a date, signed with your SSH key.

    They may then answer what you are asked, but never what you or they have asked for.
    """
    ends, begins = _moment(until), _moment(since) if since is not None else datetime.now(UTC)

    async def work(client: PilotageClient, screen: Screen) -> None:
        me = (await client.whoami())["principal"]
        registered = [] if key is not None else [each["line"] for each in (await client.show_principal(me))["keys"]]
        statement = lending.Lending(me, to, begins, ends).signed_bytes().decode()
        proof = await signature(statement, lending.NAMESPACE, registered, key)
        row = await client.delegate(to, ends, since=begins, proof=proof, reason=reason)
        if screen.json:
            screen.object(row)
        else:
            screen.line(f"{row['delegate']} may answer for {row['delegator']} until {local(row['ends_at'])}")
            screen.hint(f"take it back: pilotage approval undelegate {row['id']}")

    perform(context, work)


@app.command()
def delegations(context: typer.Context) -> None:
    """List who has lent their say to whom, and until when."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_delegations()
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("DELEGATION", "OF", "TO", "FROM", "UNTIL", "REASON"),
            [
                (
                    row["id"],
                    row["delegator"],
                    row["delegate"],
                    local(row["begins_at"]),
                    local(row["ends_at"]),
                    row["reason"],
                )
                for row in rows
            ],
            "Everybody has their own say. Lend yours: pilotage approval delegate PERSON --until DATE",
        )

    perform(context, work)


@app.command()
def undelegate(
    context: typer.Context,
    delegation: Annotated[str, typer.Argument(metavar="DELEGATION", help="Its id, as `approval delegations` has it.")],
) -> None:
    """Take your say back before the time is over."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        row = await client.undelegate(delegation)
        if screen.json:
            screen.object(row)
        else:
            screen.line(f"{row['delegate']} answers for {row['delegator']} no more")

    perform(context, work)


def _what_was_asked(request: ApprovalDetail, chosen: str) -> str:
    """Return the digest that is signed; raises NotUnderstood where something else is shown."""
    if (request["id"], request["plan"]["digest"]) != (chosen, request["plan_digest"]):
        raise NotUnderstood(
            f"the coordinator shows another request or plan than {chosen} is about: nothing is signed",
            "tell whoever runs the coordinator; it may not be in the right hands",
        )
    return request["plan_digest"]


def _decide(
    context: typer.Context, approval: str, answer: Answer, comment: str, key: Path | None, *, yes: bool
) -> None:
    async def work(client: PilotageClient, screen: Screen) -> None:
        chosen = await _chosen(client, approval)
        request = await client.show_approval(chosen)
        digest = _what_was_asked(request, chosen)
        if not screen.json and not yes:
            for line in approval_lines(request):
                screen.folded(line.text, line.style)
        if request["asked"]["comment"] and not comment.strip():
            raise NotUnderstood(f"{request['id']} asks for a comment with every answer", "say why: --comment TEXT")
        if not confirmed(screen, f"{answer.capitalize()} this?", yes=yes):
            return
        # Made here: whoever speaks in the coordinator's place must not choose what this key signs.
        statement = Statement(chosen, answer, digest).signed_bytes().decode()
        proof = await signature(statement, NAMESPACE, request["keys"], key)
        send = client.approve if answer == "approve" else client.reject
        _tell(screen, await send(chosen, proof, comment))

    perform(context, work)


def _tell(screen: Screen, row: ApprovalSummary) -> None:
    if screen.json:
        screen.object(row)
        return
    if row["state"] == "open":
        agreed = sum(each["counts"] and each["answer"] == "approve" for each in row["decisions"])
        screen.line(f"your answer counts; {agreed} of {row['asked']['required']} have agreed, others are still asked")
        return
    screen.line(f"{row['id']} is {row['state']}: {row['reason']}")
    screen.hint(f"pilotage run watch {row['execution']}")


async def _chosen(client: PilotageClient, given: str) -> str:
    if given != "last":
        return given
    rows = await client.list_approvals(limit=1)
    if not rows:
        raise NotUnderstood("nothing waits for approval, so there is no last one", "see: pilotage approval list --all")
    return rows[0]["id"]


def _moment(text: str) -> datetime:
    try:
        return ahead(text, datetime.now(UTC))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text!r} is no time: write 12h, 14d, 2026-12-24 or 2026-12-24T06:00") from error
