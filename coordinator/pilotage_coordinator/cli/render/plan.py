"""A plan in lines: what will happen in which order, on which hosts in which waves, and what would change on each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pilotage_client.answers import Asked, Plan, PlanStep, Preview

from pilotage_coordinator.cli.moments import span
from pilotage_coordinator.cli.render.compliance import finding_lines
from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.render.plan_values import (
    counted,
    host_names,
    item_lines,
    loop_text,
    value_lines,
    value_text,
)
from pilotage_coordinator.cli.render.title import title

MOST_CHANGES = 20
_SIGNS = {"create": "+", "update": "~", "delete": "-", "run": "▸", "none": "="}
_KINDS = {
    "group": "all of these, host by host",
    "call": "called blueprint",
    "health": "until all of these are good",
}
_STYLES = {"create": "green", "update": "yellow", "delete": "red", "run": "cyan", "none": "dim"}


def plan_lines(plan: Plan, *, values: bool = False) -> Iterator[Line]:
    """Yield the whole plan, with `values` also what each step is given; the last line says that nothing has been
    changed."""
    hosts = counted(len(plan["targets"]), "host")
    yield Line(f"Plan for {title(plan)} on {hosts}, {_step_runs(plan)}", "bold")
    if plan["targets"]:
        yield Line(f"hosts {host_names(plan['targets'])}")
    yield Line(f"digest {plan['digest']}", "dim")
    for name, value in sorted(plan["parameters"].items()):
        yield Line(f"  {name} = {value_text(value)}{_reached(value, plan['targets'])}", "dim")
    if plan["secrets"]:
        yield Line(f"  secrets: {host_names(plan['secrets'])}", "dim")
    for asked in plan.get("approvals", []):
        yield Line(f"before anything starts: {asked_text(asked)}", "yellow")
    yield Line("")
    steps = _Steps(undoes=_may_roll_back(plan), values=values)
    yield from steps.section("", plan["steps"])
    yield from steps.section("Finally, whatever happens", plan["finally_steps"])
    yield from steps.section("If it is rolled back, instead of each step's own undo", plan["rollback_steps"])
    yield from _changes(plan)
    yield from _policy(plan)
    yield from _compliance(plan)
    if plan["notes"]:
        yield Line("Note", "bold yellow")
        for note in plan["notes"]:
            place = ", ".join(each for each in (note["step"], note["host"]) if each)
            yield Line(f"  {place + ': ' if place else ''}{note['message']}", "yellow")
        yield Line("")
    yield Line("Nothing has been changed yet.", "bold")


def _policy(plan: Plan) -> Iterator[Line]:
    """Yield what the policy says where it is more than a yes, and then which rules said it."""
    if all(each["decision"] == "allow" for each in plan["policy"]):
        return
    yield Line("Policy", "bold yellow")
    for each in plan["policy"]:
        said = {
            "allow": "may run",
            "require_approval": "may run once somebody has approved",
            "dry_run_only": "may only be planned, not started",
        }[each["decision"]]
        steps = ", ".join(each["steps"][:6]) + (" …" if len(each["steps"]) > 6 else "")
        yield Line(f"  {steps}: {said}, by {', '.join(each['rules'])}", "" if each["decision"] == "allow" else "yellow")
    yield Line("")


def asked_text(asked: Asked) -> str:
    """Return an approval that a plan asks for, in words."""
    of = ", ".join(asked["of"]) or "those who may decide"
    return f"approval by {asked['required']} of {of} ({asked['source']}), within {span(asked['timeout'] / 1e6)}"


def _compliance(plan: Plan) -> Iterator[Line]:
    """Yield what the rules of compliance found: what holds in one line each, the rest with what was looked at."""
    if not plan["compliance"]:
        return
    warned = any(each["result"] != "passed" for each in plan["compliance"])
    yield Line("Compliance", "bold yellow" if warned else "bold")
    yield from finding_lines(plan["compliance"], evidence=False)
    yield Line("")


def _reached(value: object, targets: list[str]) -> str:
    """Return which of a parameter's hosts the plan goes to, where `-l` or the targets leave others out."""
    if not targets or not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return ""
    return f", of which this plan reaches {host_names(targets)}" if set(targets) < set(value) else ""


def _may_roll_back(plan: Plan) -> bool:
    """Return whether anything in the plan can lead to steps being undone."""
    every = list(_all(plan["steps"] + plan["finally_steps"]))
    return plan["on_failure"] == "rollback" or any(
        each["on_failure"] == "rollback" or each.get("rollout_on_failure", "").startswith("revert") for each in every
    )


def _step_runs(plan: Plan) -> str:
    few, most = plan["step_runs"], plan["most_step_runs"]
    return counted(few, "step run") if few == most else f"{few} to {counted(most, 'step run')}"


@dataclass(frozen=True, slots=True)
class _Steps:
    """Writes steps one below the other. `undoes`: a rollback is possible; `values`: with what each is given."""

    undoes: bool
    values: bool

    def section(self, title: str, steps: list[PlanStep]) -> Iterator[Line]:
        if not steps:
            return
        if title:
            yield Line(title, "bold")
        for number, step in enumerate(steps, 1):
            yield from self._step(step, str(number), "  ", main=not title)
        yield Line("")

    def _step(self, step: PlanStep, number: str, indent: str, *, main: bool) -> Iterator[Line]:
        facts = [_what(step), *_facts(step), *_undoing(step, undoes=self.undoes and main)]
        style = "red" if step["irreversible"] or step["destructive"] else ""
        name = step["path"].rpartition("/")[2].removeprefix("!")
        yield Line(f"{indent}{number}. {name}  {', '.join(facts)}", style)
        inner = indent + " " * (len(number) + 2)
        for asked in step.get("approvals", []):
            yield Line(f"{inner}first: {asked_text(asked)}", "yellow")
        yield from (Line(f"{inner}{text}") for text in _places(step))
        yield from (Line(f"{inner}{text}", "dim") for text in (*item_lines(step), *self._values(step)))
        inside = (
            ("before each wave", step.get("refresh_steps", []), f"{number}.r"),
            ("", step["steps"], f"{number}."),
            ("finally", step["finally_steps"], f"{number}.f"),
            ("after each wave", step.get("analysis_steps", []), f"{number}.a"),
        )
        for label, steps, before in inside:
            if steps and label:
                yield Line(f"{inner}{label}")
            for count, each in enumerate(steps, 1):
                yield from self._step(each, f"{before}{count}", inner, main=main)

    def _values(self, step: PlanStep) -> Iterator[str]:
        if self.values:
            yield from value_lines(step)


def _places(step: PlanStep) -> Iterator[str]:
    """Yield the hosts of a step, wave by wave, and those where it is known not to run."""
    for wave in step["waves"]:
        label = f"wave {wave['number']}" if len(step["waves"]) > 1 else "on"
        then = [f"wait {span(wave['wait'] / 1e6)}"] if wave["wait"] else []
        then += [f"gate {wave['gate']}"] if wave["gate"] else []
        approval = wave.get("approval")
        then += [asked_text(approval)] if approval else []
        yield f"{label}: {host_names(wave['hosts'])}{'; then ' + ' and '.join(then) if then else ''}"
    if step["hosts_from"]:
        yield f"on: the hosts where {step['hosts_from']} succeeded"
    skipped = [each["host"] or "the coordinator" for each in step["hosts"] if each["skipped"]]
    if skipped:
        yield f"not on: {host_names(skipped)} (its condition does not hold there)"


def _what(step: PlanStep) -> str:
    if step["kind"] == "leaf":
        return f"{step['type']} ({step['effect']})"
    return _KINDS.get(step["kind"], step["kind"])


def _facts(step: PlanStep) -> Iterator[str]:
    if step["place"] == "coordinator":
        yield "on the coordinator"
    if step["dependencies"]:
        yield "after " + ", ".join(each.rpartition("/")[2] for each in step["dependencies"])
    if step["run_once"]:
        yield "once"
    yield from _rollout_facts(step)
    if step["loops"]:
        yield loop_text(step)
    if step["when"]:
        yield f"when {step['when']}"
    if step["on_failure"] != "stop":
        yield f"on failure {step['on_failure']}"
    if step["irreversible"]:
        yield "CANNOT BE UNDONE"


def _undoing(step: PlanStep, *, undoes: bool) -> Iterator[str]:
    """Yield what a rollback does with a step, where one is possible at all."""
    if step.get("rollout_on_failure", "").startswith("revert"):
        which = {"revert_host": "the failed host", "revert_batch": "its batch", "revert_all": "every host"}
        yield f"then reverts {which.get(step['rollout_on_failure'], step['rollout_on_failure'])}"
    if undoes and not step["irreversible"] and step["undo"] == "none" and step["effect"] not in ("", "read"):
        yield "a rollback leaves it as it is"


def _rollout_facts(step: PlanStep) -> Iterator[str]:
    if step["max_parallel"]:
        yield f"{step['max_parallel']} at a time"
    if step["max_failures"] is not None:
        yield f"stops after more than {counted(step['max_failures'], 'failed host')}"
    if step.get("order_by"):
        yield f"hosts in the order of {step['order_by']}"
    health = step.get("health")
    if health is not None:
        yield f"for {span(health['stable'] / 1e6)}, within {span(health['within'] / 1e6)}"


def _changes(plan: Plan) -> Iterator[Line]:
    """Yield what would change, host by host."""
    by_host: dict[str, list[tuple[PlanStep, Preview]]] = {}
    for step in _all(plan["steps"] + plan["finally_steps"]):
        for preview in step["previews"]:
            by_host.setdefault(preview["host"], []).append((step, preview))
    if not by_host:
        return
    yield Line("What would change", "bold")
    for host in sorted(by_host):
        if lines := [line for step, preview in by_host[host] for line in _preview(step, preview)]:
            yield Line(f"  {host}", "bold")
            yield from lines
    yield from _warnings(by_host)
    yield Line("")


def _warnings(by_host: Mapping[str, Sequence[tuple[PlanStep, Preview]]]) -> Iterator[Line]:
    """Yield what hosts remark, each remark once, with the steps and hosts that it is about."""
    steps: dict[str, dict[str, None]] = {}
    hosts: dict[str, dict[str, None]] = {}
    for host in sorted(by_host):
        for step, preview in by_host[host]:
            if preview["note"]:
                steps.setdefault(preview["note"], {})[step["path"]] = None
                hosts.setdefault(preview["note"], {})[host] = None
    for note, paths in steps.items():
        yield Line(f"  ! {', '.join(paths)} on {host_names(list(hosts[note]))}: {note}", "yellow")


def _preview(step: PlanStep, preview: Preview) -> Iterator[Line]:
    place = f"{step['path']}[{preview['item']}]" if preview["item"] else step["path"]
    for change in preview["changes"][:MOST_CHANGES]:
        text = f"    {_SIGNS.get(change['action'], '?')} {place}: {change['action']} {change['subject']}"
        if change["note"]:
            text += f"  ({change['note']})"
        yield Line(text, _STYLES.get(change["action"], ""))
        if change["before"] is not None or change["after"] is not None:
            yield Line(f"        {value_text(change['before'])} → {value_text(change['after'])}", "dim")
    more = len(preview["changes"]) - MOST_CHANGES
    if more > 0:
        yield Line(f"    … and {counted(more, 'more change')}")
    if not preview["complete"] and not preview["note"]:
        yield Line(f"    ? {place}: more is known only when it runs", "dim")


def _all(steps: list[PlanStep]) -> Iterator[PlanStep]:
    for step in steps:
        yield step
        around = step.get("refresh_steps", []) + step.get("analysis_steps", [])
        yield from _all(step["steps"] + step["finally_steps"] + around)
