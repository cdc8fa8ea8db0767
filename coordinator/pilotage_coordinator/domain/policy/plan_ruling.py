"""A policy's word on a whole plan: what each of its leaves is decided by, on each host."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import FailureKind, Plan, PlanPolicy, Resolved, Ruling, StepKind
from pilotage_coordinator.domain.planning.errors import MOST_PROBLEMS, PlanProblem
from pilotage_coordinator.domain.planning.every_step import all_steps, hosts_of
from pilotage_coordinator.domain.planning.planned_values import NOTHING, PlannedValues
from pilotage_coordinator.domain.policy.content import rule_content
from pilotage_coordinator.domain.policy.fitting import Prepared
from pilotage_coordinator.domain.policy.judging import Ruleset, decide
from pilotage_coordinator.domain.policy.question import Question, Verdict
from pilotage_coordinator.domain.policy.rule import Decision
from pilotage_coordinator.domain.policy.ruling import Asking, question_of

EXPLAIN: Final = "`pilotage policy explain` shows what every rule says of it"
ADD_A_RULE: Final = (
    "whoever answers for the policy can add a rule that allows it: `pilotage policy show --source > policy.yaml`,"
    " an editor, `pilotage policy set policy.yaml`"
)


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
    return PlanProblem(FailureKind.POLICY, message, EXPLAIN if verdict.rules else ADD_A_RULE, question.path, host)


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
    policy = replace(found.policy(rules, hosts_by_path), sent=plan.policy.sent)
    return Judged(policy, tuple(found.refused))


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
        strictest_first = sorted(self.found.items(), key=lambda each: (-each[0][0].strictness, each[0][1]))
        for (decision, names), steps in strictest_first:
            places = {
                path: () if len(hosts) == len(hosts_by_path.get(path, ()) or ("",)) else tuple(hosts)
                for path, hosts in steps.items()
            }
            rulings.append(Ruling(decision.value, names, places))
        named = sorted({name for _, names in self.found for name in names})
        return PlanPolicy(tuple(rulings), {name: rule_content(rules.by_name[name]) for name in named})
