"""Sensitive parameters of an execution: kept as secrets of that execution, so that no event, row or log holds them.

In a plan such a parameter is masked. In the execution it is a reference, `secret://execution/ID/NAME`: expressions
may pass it on whole, and only the agent that executes a step gets the value, sealed, like every other secret.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pilotage_coordinator.domain.plan import Json, Plan, PlannedStep
from pilotage_coordinator.runtime.secrets import RESERVED, SCHEME


def secret_name(execution: str, path: str, parameter: str) -> str:
    """Return the name under which a sensitive parameter's value is kept; `path` is that of the call, "" = the root."""
    return RESERVED + "/".join([execution, *([path] if path else ()), parameter])


def referring(plan: Plan, execution: str) -> Plan:
    """Return the plan with every masked parameter replaced by the reference to its secret."""
    return replace(
        plan,
        parameters=_refer(plan.parameters, execution, ""),
        steps=_in_steps(plan.steps, execution),
        finally_=_in_steps(plan.finally_, execution),
        rollback=plan.rollback and replace(plan.rollback, actions=_in_steps(plan.rollback.actions, execution)),
    )


def masked(parameters: Mapping[str, Json]) -> Iterator[str]:
    """Yield the names of masked parameters."""
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value.keys() == {"sensitive"}:
            yield name


def _in_steps(steps: tuple[PlannedStep, ...], execution: str) -> tuple[PlannedStep, ...]:
    return tuple(_in_step(step, execution) for step in steps)


def _in_step(step: PlannedStep, execution: str) -> PlannedStep:
    if not (step.inside or step.arguments):
        return step
    rollout = replace(
        step.rollout,
        refresh=_in_steps(step.rollout.refresh, execution),
        analysis=_in_steps(step.rollout.analysis, execution),
    )
    return replace(
        step,
        arguments=_refer(step.arguments, execution, step.path),
        steps=_in_steps(step.steps, execution),
        finally_=_in_steps(step.finally_, execution),
        undo_steps=_in_steps(step.undo_steps, execution),
        rollout=rollout,
    )


def _refer(parameters: Mapping[str, Json], execution: str, path: str) -> Mapping[str, Json]:
    names = set(masked(parameters))
    if not names:
        return parameters
    return {
        name: SCHEME + secret_name(execution, path, name) if name in names else value
        for name, value in parameters.items()
    }
