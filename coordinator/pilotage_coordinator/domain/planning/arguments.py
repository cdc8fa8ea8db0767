"""Arguments of a call that are not the same for all its runs, or known only at run time: found when it begins."""

from collections.abc import Mapping

from pilotage_coordinator.domain.blueprint.parameter import Parameter
from pilotage_coordinator.domain.blueprint.parameter_values import check_value
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.scope import Evaluator, Scope
from pilotage_coordinator.domain.plan import Json, PlannedStep
from pilotage_coordinator.domain.planning.planned_values import PlannedValues, has_mark


class ArgumentRefused(DomainError):
    """What an expression gave for an argument is not what the called blueprint accepts."""


def begin_arguments(
    step: PlannedStep, planned: PlannedValues, host: str, item: str, expressions: Evaluator, scope: Scope
) -> dict[str, Json]:
    """Return the arguments with which a call begins on a host, for an item, besides those that the plan gives to all.

    What the plan knows stays as it was approved; the rest is evaluated in `scope`, the caller's, and checked as any
    parameter is. Raises ArgumentRefused, and what evaluation raises.
    """
    known = planned.of(step.path, host, item)
    found: dict[str, Json] = {}
    for name, template in step.parameters.items():
        if name in known and not has_mark(known[name], "run_time"):
            found[name] = known[name]
        else:
            found[name] = _checked(name, step.accepts[name], expressions.render(template, scope))
    everything: Mapping[str, Json] = {**step.arguments, **found}
    for name, condition in step.conditions.items():
        if everything.get(name) is not None and not expressions.evaluate_condition(
            condition, {"parameters": everything}
        ):
            raise ArgumentRefused(f"the arguments do not fit: `{condition}` does not hold")
    return found


def _checked(name: str, parameter: Parameter, value: object) -> Json:
    if value is None and (parameter.has_default or not parameter.required):
        value = parameter.default if parameter.has_default else None
        return value  # type: ignore[return-value]
    problems = list(check_value(parameter, value))
    if problems:
        raise ArgumentRefused(f"argument `{name}`: {'; '.join(problems)}")
    return value  # type: ignore[return-value]
