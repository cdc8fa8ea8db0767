"""A request for approval in lines that need no engineer: who asks, what would happen where, what cannot be undone, why
it is asked and until when, how to answer."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pilotage_client.answers import ApprovalAsker, ApprovalDetail, ApprovalSummary, Asked

from pilotage_coordinator.cli.moments import local, seconds_between, span
from pilotage_coordinator.cli.render.in_words import called, happening, left_as_it_is
from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.render.plan import plan_lines
from pilotage_coordinator.cli.render.plan_values import host_names
from pilotage_coordinator.cli.screen import state_style

_WAITS = {
    "execution": "nothing of it happens before",
    "step": "the step “{step}” does not begin before",
    "batch": "“{step}” goes on to no further host before",
    "run": "it does not go on past “{step}” before",
}
_MISSED = {
    "deny": "then it is a no: what waits does not happen",
    "revert": "then it is a no, and what was done already is undone",
    "stop": "then it is a no, and everything ends there",
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


def approval_lines(request: ApprovalDetail, now: datetime | None = None) -> Iterator[Line]:
    """Yield the whole request; what matters most to somebody who decides comes first, the plan in full after it."""
    name = request["name"] or request["blueprint"]
    yield Line(name, "bold")
    yield Line(f"{request['id']} is {request['state']}", state_style(request["state"]))
    yield Line("")
    yield Line(f"  who asks      {_askers(request['askers']) or ', '.join(request['requested_by'])}")
    yield from (Line(f"  what for      {each}") for each in _reasons(request))
    yield Line(f"  asked         {local(request['asked_at'])}")
    yield Line(
        f"  on            {host_names(request['hosts']) if request['hosts'] else 'no host: the coordinator alone'}"
    )
    yield Line("")
    yield Line("What will happen", "bold")
    yield from happening(request["plan"])
    yield from _harm(request)
    yield Line("")
    yield from _why(request)
    yield from _answers(request)
    if request["state"] == "open":
        yield from _until(request, now or datetime.now(UTC))
    yield Line("")
    yield Line("The same for engineers, in full", "bold")
    yield from plan_lines(request["plan"])
    if request["state"] == "open":
        yield Line("")
        yield from _how(request)


def _askers(askers: Sequence[ApprovalAsker]) -> str:
    texts = []
    for each in askers:
        whom = f" that acts for {each['acts_for']}" if each["acts_for"] else ""
        kind = {"person": "", "service": ", a program", "assistant": f", an assistant program{whom}"}[each["kind"]]
        texts.append(f"{each['name']}{kind}")
    return "; ".join(texts)


def _reasons(request: ApprovalDetail) -> Iterator[str]:
    change = request["change"]
    if change["reason"]:
        yield change["reason"]
    kind = f"{change['change_class']} change" if change["change_class"] else ""
    if kind or change["reference"]:
        yield " ".join(each for each in (kind, change["reference"]) if each)


def _harm(request: ApprovalDetail) -> Iterator[Line]:
    """Yield what cannot be undone, and what can destroy data although it can be."""
    plan = request["plan"]
    if request["irreversible"]:
        names = ", ".join(called(each, plan) for each in request["irreversible"])
        yield Line(f"  CANNOT BE UNDONE: {names}", "bold red")
    kept = [called(each, plan) for each in left_as_it_is(plan) if each not in request["irreversible"]]
    if kept:
        yield Line(f"  Stays as it is when the rest is undone: {', '.join(kept)}", "yellow")
    elif plan["changes_anything"] and not request["irreversible"]:
        yield Line("  Nothing of it is marked as impossible to undo.")
    only = [called(each, plan) for each in request["destructive"] if each not in request["irreversible"]]
    if only:
        yield Line(f"  Can destroy data: {', '.join(only)}", "red")


def _why(request: ApprovalDetail) -> Iterator[Line]:
    yield Line("Why you are asked", "bold")
    asked = request["asked"]
    said = f": {asked['description']}" if asked["description"] else ""
    yield Line(f"  {_source(asked['source'])}{said}")
    for rule in request["policy"]:
        name, _, paths = rule.partition(": ")
        steps = ", ".join(called(each, request["plan"]) for each in paths.split(", "))
        what = "It" if asked["source"].startswith(f"rule {name} ") else f"The rule {name} of the policy asks too; it"
        yield Line(f"  {what} is about: {steps}", "dim")
    waits = _WAITS[request["scope"]].format(step=called(request["step"], request["plan"]))
    yield Line(f"  {waits[:1].upper()}{waits[1:]} enough people agree: {_who(request)}.")
    if asked["escalate"] and request["state"] == "open":
        more = [_named(each) for each in asked["escalate"] if each not in request["asks"]]
        if more and request["asks"]:
            yield Line(f"  Asked too if nobody answers for a while: {', '.join(more)}")
    if asked["comment"]:
        yield Line("  An answer must say why.")


def _source(source: str) -> str:
    match source:
        case "":
            return "It is written so in what runs"
        case "the step" | "the blueprint" | "the rollout":
            return f"{source[:1].upper()}{source[1:]} asks for it, whoever starts it"
    return f"The {source} asks for it" if source.startswith("rule ") else source


def _until(request: ApprovalDetail, now: datetime) -> Iterator[Line]:
    left = seconds_between(now.isoformat(), request["expires_at"])
    soon = f" ({span(left)} from now)" if left is not None and left > 0 else " (that is over)"
    yield Line(f"  Until {local(request['expires_at'])}{soon}; {_after(request['asked'])}.")


def _who(row: ApprovalSummary) -> str:
    asked, asks = row["asked"], row["asks"]
    number = asked["required"]
    if not asks:
        return "anybody who may decide" if number == 1 else f"{number} of those who may decide"
    words = [_named(each) for each in asks]
    if number == 1:
        return " or ".join(words)
    return (
        f"{number} of: {', '.join(words)}" if len(words) > 1 else f"{number} people{words[0].removeprefix('somebody')}"
    )


def _named(each: str) -> str:
    return f"somebody with the role {each[5:]}" if each.startswith("role:") else each


def _after(asked: Asked) -> str:
    return _MISSED.get(asked["on_timeout"], _MISSED["deny"])


def _answers(request: ApprovalSummary) -> Iterator[Line]:
    for each in request["decisions"]:
        verb = "approved" if each["answer"] == "approve" else "rejected"
        whom = f" for {each['on_behalf_of']}" if each["on_behalf_of"] else ""
        own = ", who had asked for it and is the only person there," if each["self_approved"] else ""
        gone = "; it counts no more" if not each["counts"] else ""
        said = f": {each['comment']}" if each["comment"] else ""
        yield Line(f"  {each['person']}{whom}{own} {verb} it at {local(each['at'])}{said}{gone}")
    if request["state"] != "open" and request["reason"]:
        yield Line(f"  It is {request['state']}: {request['reason']}")


def _how(request: ApprovalDetail) -> Iterator[Line]:
    if request["why_not"]:
        yield Line(f"You cannot answer this: {request['why_not']}", "yellow")
        return
    comment = " --comment TEXT" if request["asked"]["comment"] else ""
    yield Line("Your answer is signed with your SSH key; it is good for this request and exactly this plan.")
    yield Line(f"Approve it: pilotage approval approve {request['id']}{comment}", "green")
    yield Line(f"Reject it:  pilotage approval reject {request['id']}{comment}   (one no ends it)", "red")
