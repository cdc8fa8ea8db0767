"""Plans as JSON and back, exactly; and the digest that names them.

`from_json(to_json(plan)) == plan`, also through `json.dumps` and `json.loads` (not through canonical JSON, which
writes 2.0 as 2: expressions tell the two apart).
"""

from collections.abc import Mapping
from typing import Any, Final

from pilotage_proto.plan_digest import FORMAT

from pilotage_coordinator.domain.plan import Plan, PlannedStep
from pilotage_coordinator.domain.planning.errors import PlanUnreadable
from pilotage_coordinator.domain.planning.json_form import read, written
from pilotage_coordinator.domain.planning.slices import Parts, parts_of

OUTSIDE_THE_DIGEST: Final[Mapping[type, frozenset[str]]] = {
    Plan: frozenset({"digest", "name", "category"}),
    PlannedStep: frozenset({"planned_outputs", "planned_items"}),
}
"""What a plan carries that people do not approve: answers and items as such change by themselves; what they decide
stands in `Plan.resolved`."""


def content(plan: Plan) -> dict[str, Any]:
    """Return what the digest covers (docs/plans.md), as JSON values."""
    return {"plan": FORMAT, **written(plan, OUTSIDE_THE_DIGEST)}


def digest(plan: Plan) -> str:
    """Return `sha256:…` over the content. Raises CanonicalError for numbers that JSON cannot keep exactly."""
    return divided(plan).digest


def divided(plan: Plan) -> Parts:
    """Return the plan's content in parts: what each host may be asked to do, and the rest."""
    return parts_of(plan, content(plan))


def to_json(plan: Plan) -> dict[str, Any]:
    """Return the whole plan as JSON values, for storage and for `plan -o FILE`."""
    return {"plan": FORMAT, **written(plan)}


def from_json(value: object) -> Plan:
    """Read a plan that `to_json` wrote.

    Raises PlanUnreadable when it is of another form, or when its digest is not that of its content.
    """
    if not isinstance(value, Mapping):
        raise PlanUnreadable("a plan is a JSON object")
    form = value.get("plan")
    if form != FORMAT:
        raise PlanUnreadable(f"this plan has form {form!r}, this version reads {FORMAT}: make the plan again")
    plan = read(Plan, {name: each for name, each in value.items() if name != "plan"}, "plan")
    actual = digest(plan)
    if plan.digest != actual:
        raise PlanUnreadable(f"the plan's digest is {plan.digest or 'missing'}, that of its content {actual}")
    return plan
