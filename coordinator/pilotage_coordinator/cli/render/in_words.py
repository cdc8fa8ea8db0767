"""A plan in words for somebody who decides about it and need not know how it is done: what will happen, and where."""

from collections.abc import Iterator

from pilotage_client.answers import Plan, PlanStep

from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.render.plan_values import counted, host_names

MOST_CHANGES = 6
"""Changes told of one step before the rest is counted; the whole plan has them all."""
_VERBS = {
    "create": "makes",
    "update": "changes",
    "delete": "REMOVES",
    "run": "runs",
}
_FAILURE = {
    "stop": "If a step fails, it stops there; what was done until then stays.",
    "continue": "If a step fails, the others go on.",
    "rollback": "If a step fails, what was done is undone, but for what cannot be undone.",
}


def happening(plan: Plan) -> Iterator[Line]:
    """Yield what will happen, step by step, and what happens when a step fails."""
    steps = plan["steps"]
    for number, step in enumerate(steps, 1):
        yield from _step(step, f"{number}.", "  ")
    for step in plan["finally_steps"]:
        yield from _step(step, "Finally, whatever happens:", "  ")
    if plan["changes_anything"]:
        yield Line(f"  {_FAILURE.get(plan['on_failure'], '')}")
    else:
        yield Line("  Nothing of this changes anything: it only looks.")


def left_as_it_is(plan: Plan) -> Iterator[str]:
    """Yield the paths of the steps that change something and that a rollback leaves as they are."""
    waiting = list(plan["steps"])
    while waiting:
        step = waiting.pop(0)
        if step["undo"] == "none" and step["effect"] not in ("", "read"):
            yield step["path"]
        waiting += _inside(step)


def called(path: str, plan: Plan) -> str:
    """Return what people call a step, given by its path; the path itself where the plan has no such step."""
    waiting = [*plan["steps"], *plan["finally_steps"], *plan["rollback_steps"]]
    while waiting:
        step = waiting.pop()
        if step["path"] == path:
            return step_title(step)
        waiting += _inside(step)
    return path


def step_title(step: PlanStep) -> str:
    """Return a step's name; one that has none is called by its id, written as words."""
    id_ = step["path"].rpartition("/")[2].removeprefix("!")
    if step["name"] and step["name"] != id_:
        return step["name"]
    words = id_.replace("-", " ").replace("_", " ")
    return words[:1].upper() + words[1:]


def _inside(step: PlanStep) -> list[PlanStep]:
    return [*step["refresh_steps"], *step["steps"], *step["finally_steps"], *step["analysis_steps"]]


def _step(step: PlanStep, label: str, indent: str) -> Iterator[Line]:
    where = _where(step)
    style = "bold red" if step["irreversible"] else ""
    end = "  CANNOT BE UNDONE" if step["irreversible"] else ""
    yield Line(f"{indent}{label} {step_title(step)}{f', {where}' if where else ''}{end}", style)
    inner = indent + " " * (len(label) + 1 if label[0].isdigit() else 2)
    if step["destructive"]:
        yield Line(f"{inner}it can destroy data", "red")
    if step["when"]:
        yield Line(f"{inner}only where this holds: {step['when']}", "dim")
    if step["kind"] == "leaf":
        yield from (Line(f"{inner}{text}", style) for text, style in _changes(step))
    for number, each in enumerate(_inside(step), 1):
        yield from _step(each, f"{label}{number}." if label[0].isdigit() else "-", inner)


def _where(step: PlanStep) -> str:
    """Return on which hosts a step happens, in the order of its waves; a step inside a group has none of its own."""
    if step["hosts_from"]:
        return f"on the hosts where {step['hosts_from']} succeeded"
    waves = [host_names(each["hosts"]) for each in step["waves"]]
    if len(waves) > 1:
        return f"first on {', then on '.join(waves)}"
    return f"on {waves[0]}" if waves else ""


def _changes(step: PlanStep) -> Iterator[tuple[str, str]]:
    """Yield what a step would change, each thing once with the hosts where it does, and a style."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    unsure = False
    for preview in step["previews"]:
        unsure |= not preview["complete"]
        for change in preview["changes"]:
            if change["action"] in _VERBS:
                found.setdefault((change["action"], change["subject"]), {})[preview["host"]] = None
    everywhere = {each["host"] for each in step["previews"]}
    for (action, subject), hosts in list(found.items())[:MOST_CHANGES]:
        place = "" if hosts.keys() == everywhere else f", on {host_names(list(hosts))}"
        yield f"{_VERBS[action]} {subject}{place}", "red" if action == "delete" else ""
    if len(found) > MOST_CHANGES:
        yield f"and {counted(len(found) - MOST_CHANGES, 'more change')}, told below", ""
    if step["effect"] == "read":
        if not found:
            yield "only looks, changes nothing", "dim"
    elif not found and step["previews"] and not unsure:
        yield "is as it should be already: nothing to change", "dim"
    elif unsure or not step["previews"]:
        yield _unknown(step, more=bool(found)), "dim"


def _unknown(step: PlanStep, *, more: bool) -> str:
    if step["type"].startswith("notify."):
        return "sends a message"
    if step["type"] in ("approval.ask", "gate.pause"):
        return "waits here for somebody's answer"
    return "what else it changes is known only when it runs" if more else "what it changes is known only when it runs"
