"""What keeps a plan that may be made from being started: read from the decisions that the plan itself holds."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from pilotage_coordinator.domain.plan import FailureKind, Plan, PlanPolicy, Ruling
from pilotage_coordinator.domain.planning.errors import PlanProblem
from pilotage_coordinator.domain.policy.question import Change
from pilotage_coordinator.domain.policy.rule import Decision

_GIVE: Final = {
    "reference": "give it with --reference, such as CHG-1234",
    "reason": "give it with --reason",
    "class": "give it with --class: standard, normal or emergency",
}

ANEW: Final = "start it anew, as your own: `pilotage run start` asks for all that the policy wants"


def unmet(plan: Plan, change: Change) -> Iterator[PlanProblem]:
    """Yield why the plan may not be started as it is asked for; nothing where it may."""
    for ruling in plan.policy.rulings:
        rules = ", ".join(ruling.rules)
        if ruling.decision == Decision.DRY_RUN_ONLY:
            message = f"the policy lets {_steps(ruling)} be planned only, by {rules}"
            yield PlanProblem(FailureKind.POLICY, message, f"ask whoever keeps the rule {rules}")
    for name, content in sorted(plan.policy.rules.items()):
        required: Any = content.get("requires", ())
        for what in required:
            if change.lacks(what):
                message = f"the rule {name} asks for the {what} of the change"
                yield PlanProblem(FailureKind.POLICY, message, _GIVE[what])


def unmet_again(plan: Plan, judged: PlanPolicy, change: Change) -> Iterator[PlanProblem]:
    """Yield why whoever takes up an execution of this plan again may not; `judged` decides about the plan for them.

    An approval counts as asked for where the plan asks for it by the same rule: a retry asks it again.
    """
    for problem in unmet(replace(plan, policy=judged), change):
        yield replace(problem, fix=ANEW)
    asked = {name for each in plan.policy.rulings if each.decision == Decision.REQUIRE_APPROVAL for name in each.rules}
    for ruling in judged.rulings:
        if ruling.decision != Decision.REQUIRE_APPROVAL:
            continue
        new = [
            name for name in ruling.rules if name not in asked or plan.policy.rules.get(name) != judged.rules.get(name)
        ]
        if new:
            message = f"for you the policy asks an approval that this execution does not ask for, by {', '.join(new)}"
            yield PlanProblem(FailureKind.POLICY, message, ANEW)


def over_limit(plan: Plan, running: Iterable[tuple[str, Plan]]) -> Iterator[PlanProblem]:
    """Yield the rules that let no further execution run beside those that are under way (id and plan)."""
    limits = {name: bound for name, content in plan.policy.rules.items() if (bound := _bound(content)) > 0}
    if not limits:
        return
    found: dict[str, list[str]] = {name: [] for name in limits}
    for execution, other in running:
        for name in limits:
            if name in other.policy.rules:
                found[name].append(execution)
    for name, bound in sorted(limits.items()):
        if len(found[name]) >= bound:
            shown = ", ".join(found[name][:5])
            message = f"the rule {name} lets {bound} run at a time, and {len(found[name])} are under way: {shown}"
            yield PlanProblem(FailureKind.POLICY, message, "start it again when one of them has ended")


def _bound(content: Any) -> int:
    bound = content.get("max_concurrent", 0)
    return bound if isinstance(bound, int) else 0


def limited(plan: Plan) -> bool:
    """Return whether any rule bounds how many executions like this one run at a time."""
    return any(_bound(content) > 0 for content in plan.policy.rules.values())


def _steps(ruling: Ruling) -> str:
    if not ruling.steps:
        return "the whole plan"
    paths = list(ruling.steps)
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more
