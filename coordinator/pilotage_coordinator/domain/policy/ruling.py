"""A policy's word on a whole plan, and on one attempt of it: the questions that each asks, and what comes of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import (
    FailureKind,
    Json,
    Place,
    Plan,
    PlannedStep,
    PlanPolicy,
    Resolved,
    Ruling,
    StepKind,
)
from pilotage_coordinator.domain.planning.errors import MOST_PROBLEMS, PlanProblem
from pilotage_coordinator.domain.planning.every_step import all_steps
from pilotage_coordinator.domain.planning.planned_values import NOTHING, PlannedValues
from pilotage_coordinator.domain.planning.view import hosts_of
from pilotage_coordinator.domain.policy.content import rule_content
from pilotage_coordinator.domain.policy.fitting import Prepared
from pilotage_coordinator.domain.policy.judging import Ruleset, decide
from pilotage_coordinator.domain.policy.question import Asker, Change, Question, Stage, Subject, Verdict
from pilotage_coordinator.domain.policy.rule import Decision

EXPLAIN: Final = "`pilotage policy explain` shows what every rule says of it"


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for a plan, what for, and when (UTC microseconds)."""

    asker: Asker
    change: Change
    at: int
    stage: Stage = Stage.PLAN


@dataclass(frozen=True, slots=True)
class Judged:
    """What a policy says about a plan. `refused` holds the first denials, at most a hundred."""

    policy: PlanPolicy
    refused: tuple[tuple[Question, Verdict], ...] = ()

    @property
    def problems(self) -> tuple[PlanProblem, ...]:
        """Return why there can be no plan; nothing where it may be made."""
        return tuple(refusal(question, verdict) for question, verdict in self.refused)


def refusal(question: Question, verdict: Verdict) -> PlanProblem:
    """Return a denial as a problem of a plan."""
    host = question.host.name if question.host is not None else ""
    message = f"the policy denies {question.subject.operation}: {verdict.reasons[0]}"
    return PlanProblem(FailureKind.POLICY, message, EXPLAIN, question.path, host)


def subject_of(plan: Plan, step: PlannedStep, asker: Asker) -> Subject:
    """Return what a leaf of a plan is to a policy."""
    return Subject(
        asker,
        step.type.name if step.type is not None else "",
        step.effect,
        step.destructive,
        step.irreversible,
        plan.blueprint.id,
        plan.category,
    )


def question_of(
    plan: Plan, step: PlannedStep, host: Host | None, parameters: Mapping[str, Json], asking: Asking
) -> Question:
    """Return the question about one run of a leaf; parameters that are left out have the defaults of its type."""
    where = None if step.place is Place.COORDINATOR else host
    given = _with_defaults(step, where, parameters)
    subject = subject_of(plan, step, asking.asker)
    return Question(subject, asking.at, where, given, asking.change, step.path, asking.stage)


def _with_defaults(step: PlannedStep, host: Host | None, parameters: Mapping[str, Json]) -> Mapping[str, Json]:
    info = host.step_types.get(step.type.name) if host is not None and step.type is not None else None
    properties: Any = info.params_schema.get("properties") if info is not None else None
    if not isinstance(properties, Mapping):
        return parameters
    defaults = {
        name: each["default"]
        for name, each in properties.items()
        if name not in parameters and isinstance(each, Mapping) and each.get("default") is not None
    }
    return {**defaults, **parameters} if defaults else parameters


def judge_plan(
    rules: Ruleset, plan: Plan, asking: Asking, inventory: Mapping[str, Host], evaluator: Evaluator
) -> Judged:
    """Return what the policy says about every leaf of a plan on every host: undo and rollback too.

    O(step runs): of each, only the rules that can be about it are asked, and only where they depend on its values.
    """
    found = _Rulings()
    hosts_by_path = hosts_of(plan)
    values = PlannedValues(plan.resolved)
    for step in all_steps(plan):
        if step.kind is not StepKind.LEAF:
            continue
        settled: dict[tuple[Prepared, ...], Verdict] = {}
        for name in hosts_by_path.get(step.path, ()) or ("",):
            if values.left_out(step.path, name):
                continue
            host = inventory.get(name)
            asked = question_of(plan, step, host, {}, asking)
            about = rules.about(asked.subject, asked.host)
            if not any(each.by_values for each in about):
                if about not in settled:
                    settled[about] = decide(about, asked, evaluator)
                found.add(asked, name, settled[about])
                continue
            for item in _items(plan.resolved.get(step.path, {}), name):
                parameters = {**step.parameters, **values.of(step.path, name, item)}
                question = question_of(plan, step, host, parameters, asking)
                found.add(question, name, decide(about, question, evaluator))
    return Judged(found.policy(rules, hosts_by_path), tuple(found.refused))


def _items(resolved: Mapping[str, Resolved], host: str) -> Iterator[str]:
    """Yield the keys of a step's items on a host, or one empty key."""
    for where in (host, ""):
        items = resolved.get(where, NOTHING).items
        if items is not None:
            yield from items
            return
    yield ""


@dataclass(slots=True)
class _Rulings:
    refused: list[tuple[Question, Verdict]] = field(default_factory=list)
    found: dict[tuple[Decision, tuple[str, ...]], dict[str, dict[str, None]]] = field(default_factory=dict)

    def add(self, question: Question, host: str, verdict: Verdict) -> None:
        if verdict.decision is Decision.DENY:
            if len(self.refused) < MOST_PROBLEMS:
                self.refused.append((question, verdict))
            return
        ruling = self.found.setdefault((verdict.decision, verdict.rules), {})
        ruling.setdefault(question.path, {})[host] = None

    def policy(self, rules: Ruleset, hosts_by_path: Mapping[str, tuple[str, ...]]) -> PlanPolicy:
        rulings = []
        for (decision, names), steps in sorted(self.found.items()):
            places = {
                path: () if len(hosts) == len(hosts_by_path.get(path, ()) or ("",)) else tuple(hosts)
                for path, hosts in steps.items()
            }
            rulings.append(Ruling(decision.value, names, places))
        named = sorted({name for _, names in self.found for name in names})
        return PlanPolicy(tuple(rulings), {name: rule_content(rules.by_name[name]) for name in named})


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
