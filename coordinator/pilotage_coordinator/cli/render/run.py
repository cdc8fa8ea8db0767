"""An execution in lines: what became of it, errors, what a person can do now, outputs."""

import json
from collections.abc import Iterator

from pilotage_client.answers import ExecutionDetail

from pilotage_coordinator.cli.moments import local, seconds_between, span
from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.render.plan_values import value_text
from pilotage_coordinator.cli.render.timeline import step_of, timeline
from pilotage_coordinator.cli.render.title import title
from pilotage_coordinator.cli.screen import WIDE, fold, state_style

MOST_ERRORS = 20
"""Errors shown before the rest is counted."""


def run_lines(run: ExecutionDetail, width: int = WIDE, *, every: bool = True) -> Iterator[Line]:
    """Yield an execution: head, timeline, errors, outputs, and last what it waits for.

    `width`: columns that a line of the timeline may have. Unless `every` step run must be seen, those of many are told
    in one line a host.
    """
    yield Line(f"{title(run)}  {run['state'].replace('_', ' ')}", state_style(run["state"]) or "bold")
    yield from _prose(f"{run['id']}, plan {run['plan_digest']}", width, "dim")
    lasted = seconds_between(run["started_at"], run["ended_at"])
    took = f", took {span(lasted)}" if lasted is not None and run["ended_at"] else ""
    yield Line(f"asked for by {run['requested_by']} at {local(run['created_at'])}{took}", "dim")
    yield from _change(run, width)
    for name, value in sorted(run["parameters"].items()):
        yield from _prose(f"  {name} = {value_text(value)}", width, "dim")
    if run["reason"] and not any(each["error"] and each["error"] in run["reason"] for each in run["runs"]):
        yield from _prose(f"because: {run['reason']}", width)
    yield Line(", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(run["counts"].items())))
    yield Line("")
    yield from timeline(run, width, every=every)
    yield from _errors(run, width)
    if run["outputs"]:
        yield Line("Outputs", "bold")
        for name, value in sorted(run["outputs"].items()):
            yield Line(f"  {name} = {json.dumps(value, ensure_ascii=False)}")
    for warning in run["warnings"] if run["state"] == "completed" else ():
        yield Line(f"warning: {warning}", "yellow")
    yield from next_steps(run)


def _change(run: ExecutionDetail, width: int) -> Iterator[Line]:
    """Yield what it was started for, and how that was closed, as far as anybody said so."""
    change = run.get("change")
    if not change:
        return
    parts = [
        f"{change['change_class']} change" if change["change_class"] else "",
        change["reference"],
        change["reason"],
    ]
    if any(parts):
        yield from _prose(f"for: {', '.join(each for each in parts if each)}", width, "dim")
    if change["outcome"]:
        note = f": {change['note']}" if change["note"] else ""
        outcome = change["outcome"].replace("_", " ")
        yield from _prose(f"closed as {outcome} by {change['closed_by']} at {local(change['closed_at'])}{note}", width)


def _prose(text: str, width: int, style: str = "") -> Iterator[Line]:
    """Yield what is read, folded to a terminal's width. What is copied, such as a command, is left in one piece."""
    return (Line(each, style) for each in (fold(text, width) if width < WIDE else [text]))


def next_steps(run: ExecutionDetail) -> Iterator[Line]:
    """Yield what a person can do now."""
    for gate in run["gates"]:
        if gate["approval"]:
            agreed = f", {', '.join(gate['agreed'])} agreed" if gate["agreed"] else ""
            what = f"{gate['prompt'] or gate['name']}: {gate['asks']} must approve{agreed}"
            until = local(gate["expires_at"])
            yield Line(f"{what}, until {until}: pilotage approval show {gate['approval']}", "yellow")
            continue
        prompt = f" ({gate['prompt']})" if gate["prompt"] else ""
        yield Line(f"Gate {gate['name']} waits{prompt}: pilotage run release {run['id']} {gate['name']}", "yellow")
    for each in run["runs"]:
        if each["state"] == "unknown":
            where = f" --host {each['host']}" if each["host"] else ""
            item = f" --item {each['item']!r}" if each["item"] else ""
            yield Line(
                f"Nobody knows how {step_of(each)} on {each['host'] or 'the coordinator'} ended. Look there, then say: "
                f"pilotage run resolve {run['id']} {each['step']}{where}{item} --as succeeded|failed|retry",
                "magenta",
            )
    if run["state"] == "paused":
        yield Line(f"Go on with: pilotage run resume {run['id']}", "yellow")
    if run["state"] in ("failed", "cancelled"):
        yield Line(f"Run again what failed: pilotage run retry {run['id']} --failed-hosts", "cyan")


def _errors(run: ExecutionDetail, width: int) -> Iterator[Line]:
    bad = [each for each in run["runs"] if each["error"]]
    for each in bad[:MOST_ERRORS]:
        kind = f" ({each['failure_kind']})" if each["failure_kind"] else ""
        yield Line(f"{step_of(each)} on {each['host'] or 'the coordinator'}{kind}:", "bold red")
        for line in each["error"].splitlines():
            yield from _prose(f"    {line}", width)
        host = f" --host {each['host']}" if each["host"] else ""
        yield Line(f"    pilotage logs {run['id']} {each['step']}{host}", "dim")
    if len(bad) > MOST_ERRORS:
        states = " ".join(f"--state {state}" for state in sorted({each["state"] for each in bad}))
        yield Line(f"… and {len(bad) - MOST_ERRORS} more with errors: pilotage run show {run['id']} {states} --all")
    if bad:
        yield Line("")
