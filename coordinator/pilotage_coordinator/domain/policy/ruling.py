"""A policy's word on one run of a plan's leaf: the question that it asks, and whether it may begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import (
    Json,
    Place,
    Plan,
    PlannedStep,
)
from pilotage_coordinator.domain.policy.content import rule_content
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.question import Asker, Change, Question, Stage, Subject
from pilotage_coordinator.domain.policy.rule import Decision
from pilotage_coordinator.domain.step_type import StepTypeInfo, effect_for_rules


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for a plan, what for, and when (UTC microseconds)."""

    asker: Asker
    change: Change
    at: int
    stage: Stage = Stage.PLAN


def subject_of(plan: Plan, step: PlannedStep, asker: Asker, info: StepTypeInfo | None) -> Subject:
    """Return what a leaf of a plan is to a policy; `info`: its type on the host that it is about, if that has it."""
    return Subject(
        asker,
        step.type.name if step.type is not None else "",
        effect_for_rules(step.effect, [info] if info is not None else []),
        step.destructive,
        step.irreversible,
        "" if plan.policy.sent else plan.blueprint.id,
        "" if plan.policy.sent else plan.category,
    )


def question_of(
    plan: Plan, step: PlannedStep, host: Host | None, parameters: Mapping[str, Json], asking: Asking
) -> Question:
    """Return the question about one run of a leaf; parameters that are left out have the defaults of its type."""
    where = None if step.place is Place.COORDINATOR else host
    info = where.step_types.get(step.type.name) if where is not None and step.type is not None else None
    given = _with_defaults(info, parameters)
    subject = subject_of(plan, step, asking.asker, info)
    return Question(subject, asking.at, where, given, asking.change, step.path, asking.stage)


def _with_defaults(info: StepTypeInfo | None, parameters: Mapping[str, Json]) -> Mapping[str, Json]:
    properties: Any = info.params_schema.get("properties") if info is not None else None
    if not isinstance(properties, Mapping):
        return parameters
    defaults = {
        name: each["default"]
        for name, each in properties.items()
        if name not in parameters and isinstance(each, Mapping) and each.get("default") is not None
    }
    return {**defaults, **parameters} if defaults else parameters


def forbidden(rules: Ruleset, plan: Plan, question: Question, evaluator: Evaluator) -> str:
    """Return why an attempt that is due may not be made now; empty where it may.

    An approval that a rule asks for counts as given where the plan was started with that very rule.
    """
    verdict = rules.judge(question, evaluator)
    if verdict.decision is Decision.ALLOW:
        return ""
    host = question.host.name if question.host is not None else "the coordinator"
    if verdict.decision is Decision.REQUIRE_APPROVAL:
        new = [name for name in verdict.rules if plan.policy.rules.get(name) != rule_content(rules.by_name[name])]
        if not new:
            return ""
        asks = ", ".join(new)
        return f"{question.subject.operation} on {host} needs an approval that this run does not have, by {asks}"
    return f"{question.subject.operation} on {host} is not allowed now: {verdict.reasons[0]}"
