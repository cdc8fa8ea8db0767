"""An execution in lines: what became of it, each step run with its error, and a timeline."""

from collections.abc import Iterator

from pilotage_client.answers import ExecutionDetail, StepRun

from pilotage_coordinator.cli.moments import local, seconds_between, span
from pilotage_coordinator.cli.render.plan import Line
from pilotage_coordinator.cli.screen import state_style

BAR = 40
"""Columns of the timeline."""


def run_lines(run: ExecutionDetail) -> Iterator[Line]:
    """Yield an execution: head, timeline, errors, what it waits for, outputs."""
    yield Line(
        f"{run['blueprint']}@{run['version']}  {run['state'].replace('_', ' ')}", state_style(run["state"]) or "bold"
    )
    yield Line(f"{run['id']}, plan {run['plan_digest']}", "dim")
    lasted = seconds_between(run["started_at"], run["ended_at"])
    took = f", took {span(lasted)}" if lasted is not None and run["ended_at"] else ""
    yield Line(f"asked for by {run['requested_by']} at {local(run['created_at'])}{took}", "dim")
    if run["reason"]:
        yield Line(f"because: {run['reason']}")
    yield Line(", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(run["counts"].items())))
    yield Line("")
    yield from timeline(run)
    yield from _errors(run)
    yield from next_steps(run)
    if run["outputs"]:
        yield Line("Outputs", "bold")
        for name, value in sorted(run["outputs"].items()):
            yield Line(f"  {name} = {value}")
    for warning in run["warnings"]:
        yield Line(f"warning: {warning}", "yellow")


def timeline(run: ExecutionDetail) -> Iterator[Line]:
    """Yield each step run with when it began, how long it took, and both drawn to scale."""
    began = run["started_at"]
    ends = [seconds_between(began, each["ended_at"]) or 0.0 for each in run["runs"]]
    total = max([*ends, seconds_between(began, run["ended_at"]) or 0.0, 0.001])
    host_width = max((len(each["host"] or "—") for each in run["runs"]), default=0)
    step_width = max((len(_step(each)) for each in run["runs"]), default=0)
    for each in run["runs"]:
        start = seconds_between(began, each["started_at"])
        lasted = seconds_between(each["started_at"], each["ended_at"])
        begins = "+" + span(max(0.0, start)) if start is not None else ""
        took = span(lasted) if lasted is not None else ""
        again = f"  {each['attempts']} attempts" if each["attempts"] > 1 else ""
        state = each["state"].replace("_", " ")
        text = (
            f"  {each['host'] or '—':<{host_width}}  {_step(each):<{step_width}}  {state:<12} {begins:>8} {took:>7}  "
            f"{_bar(start, lasted, total)}{again}"
        )
        yield Line(text.rstrip(), state_style(each["state"]))
    if run["runs_omitted"]:
        yield Line(f"  … and {run['runs_omitted']} more step runs (pilotage run show --json has them by state)")
    yield Line("")


def next_steps(run: ExecutionDetail) -> Iterator[Line]:
    """Yield what a person can do now."""
    for gate in run["gates"]:
        prompt = f" ({gate['prompt']})" if gate["prompt"] else ""
        yield Line(f"Gate {gate['name']} waits{prompt}: pilotage run release {run['id']} {gate['name']}", "yellow")
    for each in run["runs"]:
        if each["state"] == "unknown":
            where = f" --host {each['host']}" if each["host"] else ""
            item = f" --item {each['item']!r}" if each["item"] else ""
            yield Line(
                f"Nobody knows how {_step(each)} on {each['host'] or 'the coordinator'} ended. Look there, then say: "
                f"pilotage run resolve {run['id']} {each['step']}{where}{item} --as succeeded|failed|retry",
                "magenta",
            )
    if run["state"] == "paused":
        yield Line(f"Go on with: pilotage run resume {run['id']}", "yellow")
    if run["state"] in ("failed", "cancelled"):
        yield Line(f"Run again what failed: pilotage run retry {run['id']} --failed-hosts", "cyan")


def _errors(run: ExecutionDetail) -> Iterator[Line]:
    bad = [each for each in run["runs"] if each["error"]]
    for each in bad:
        kind = f" ({each['failure_kind']})" if each["failure_kind"] else ""
        yield Line(f"{_step(each)} on {each['host'] or 'the coordinator'}{kind}:", "bold red")
        for line in each["error"].splitlines():
            yield Line(f"    {line}")
        host = f" --host {each['host']}" if each["host"] else ""
        yield Line(f"    pilotage logs {run['id']} {each['step']}{host}", "dim")
    if bad:
        yield Line("")


def _step(run: StepRun) -> str:
    return f"{run['step']}[{run['item']}]" if run["item"] else run["step"]


def _bar(start: float | None, lasted: float | None, total: float) -> str:
    if start is None or lasted is None:
        return ""
    left = min(BAR - 1, int(max(0.0, start) / total * BAR))
    width = max(1, min(BAR - left, round(lasted / total * BAR)))
    return " " * left + "━" * width
