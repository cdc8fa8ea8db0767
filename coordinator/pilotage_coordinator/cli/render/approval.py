"""A request for approval in lines that need no engineer: what would happen, where, why it is asked, how to answer."""

from collections.abc import Iterator, Sequence

from pilotage_client.answers import ApprovalDetail, ApprovalSummary, Asked

from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.render.plan import plan_lines
from pilotage_coordinator.cli.render.plan_values import host_names
from pilotage_coordinator.cli.screen import state_style

_WAITS = {
    "execution": "before anything of it starts",
    "step": "before the step {step}",
    "batch": "before {step} goes on to more hosts",
    "run": "at the step {step}",
}


def listed(rows: Sequence[ApprovalSummary]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns of a list and its rows."""
    return ("REQUEST", "STATE", "ASKED", "UNTIL", "BY", "WHO MUST AGREE", "WHAT"), [
        (
            row["id"],
            row["state"],
            local(row["asked_at"]),
            local(row["expires_at"]),
            ", ".join(row["requested_by"]),
            _who(row),
            row["prompt"],
        )
        for row in rows
    ]


def approval_lines(request: ApprovalDetail) -> Iterator[Line]:
    """Yield the whole request; what matters most to somebody who decides comes first."""
    yield Line(f"{request['prompt'] or request['name'] or request['blueprint']}", "bold")
    yield Line(f"{request['id']} is {request['state']}", state_style(request["state"]))
    yield Line(f"  asked for by  {', '.join(request['requested_by'])}, {local(request['asked_at'])}")
    yield Line(f"  what          {request['name'] or request['blueprint']}, version {request['version']}")
    yield Line(f"  on            {host_names(request['hosts']) if request['hosts'] else 'no host'}")
    yield Line(f"  it waits      {_WAITS[request['scope']].format(step=request['step'])}")
    yield Line(f"  must agree    {_who(request)}")
    yield Line(f"  asked because {request['asked']['source'] or 'it is written so'}")
    for rule in request["policy"]:
        yield Line(f"                the policy says so, by {rule}")
    if request["state"] == "open":
        yield Line(f"  until         {local(request['expires_at'])}; after that {_after(request['asked'])}")
    yield from _irreversible(request)
    yield from _answers(request)
    yield Line("")
    yield from plan_lines(request["plan"])
    if request["state"] == "open":
        yield from _how(request)


def _who(row: ApprovalSummary) -> str:
    asked, asks = row["asked"], row["asks"]
    number = asked["required"]
    if not asks:
        return "anybody who may decide" if number == 1 else f"{number} of those who may decide"
    words = [f"somebody with the role {each[5:]}" if each.startswith("role:") else each for each in asks]
    if len(words) == 1 and number == 1:
        return words[0]
    return f"{number} of: {', '.join(words)}"


def _after(asked: Asked) -> str:
    also = {"revert": ", and what was done is undone", "stop": ", and it ends there"}
    return f"it is denied{also.get(asked['on_timeout'], '')}"


def _irreversible(request: ApprovalDetail) -> Iterator[Line]:
    if request["irreversible"]:
        yield Line(f"  CANNOT BE UNDONE: {', '.join(request['irreversible'])}", "bold red")
    only = [each for each in request["destructive"] if each not in request["irreversible"]]
    if only:
        yield Line(f"  can destroy data: {', '.join(only)}", "red")


def _answers(request: ApprovalSummary) -> Iterator[Line]:
    for each in request["decisions"]:
        verb = "approved" if each["answer"] == "approve" else "rejected"
        whom = f" for {each['on_behalf_of']}" if each["on_behalf_of"] else ""
        own = ", who had asked for it and is the only person there" if each["self_approved"] else ""
        gone = "; it counts no more" if not each["counts"] else ""
        said = f": {each['comment']}" if each["comment"] else ""
        yield Line(f"  {each['person']}{whom}{own} {verb} it at {local(each['at'])}{said}{gone}")
    if request["state"] != "open" and request["reason"]:
        yield Line(f"  {request['reason']}")


def _how(request: ApprovalDetail) -> Iterator[Line]:
    if request["why_not"]:
        yield Line(f"You cannot answer this: {request['why_not']}", "yellow")
        return
    comment = " --comment TEXT" if request["asked"]["comment"] else ""
    yield Line(f"Approve it: pilotage approval approve {request['id']}{comment}", "green")
    yield Line(f"Reject it:  pilotage approval reject {request['id']}{comment}", "red")
