"""The table of cases that tests a policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.question import Asker, Change, Question, Subject, Verdict
from pilotage_coordinator.domain.policy.rule import Case, ChangeClass


@dataclass(frozen=True, slots=True)
class Tried:
    """A case, and what came of it. `fault` is empty where it is as it must be."""

    case: Case
    verdict: Verdict
    fault: str = ""


def try_cases(rules: Ruleset, evaluator: Evaluator, now: int) -> tuple[Tried, ...]:
    """Ask the policy every question of its table."""
    return tuple(_tried(case, rules.judge(question_of_case(case.ask, now), evaluator)) for case in rules.policy.cases)


def _tried(case: Case, verdict: Verdict) -> Tried:
    if verdict.decision is not case.decision:
        said = f"it is {verdict.decision}, not {case.decision}: {'; '.join(verdict.reasons)}"
        return Tried(case, verdict, said)
    if case.rules is not None and set(case.rules) != set(verdict.rules):
        found, wanted = (", ".join(each) or "no rule" for each in (verdict.rules, case.rules))
        return Tried(case, verdict, f"it was decided by {found}, not by {wanted}")
    return Tried(case, verdict)


def question_of_case(ask: Mapping[str, Any], now: int, host: Host | None = None) -> Question:
    """Return the question that a case, or somebody who wants an explanation, asks.

    `host` is the one that is known under the name asked for; without it, one is made of what the question says.
    """
    subject = Subject(
        Asker(ask.get("principal", "somebody"), ask.get("kind", "person"), frozenset(ask.get("roles", ()))),
        ask["operation"],
        Effect(ask.get("effect", "once")),
        ask.get("destructive", False),
        ask.get("irreversible", False),
        ask.get("blueprint", ""),
        ask.get("category", ""),
    )
    if host is None and ask.get("host"):
        name, environment = ask["host"], ask.get("environment", "")
        labels = {**({"environment": environment} if environment else {}), **ask.get("labels", {})}
        host = Host(id=f"hst_{name}", name=name, labels=labels, vars=ask.get("vars") or {}, environment=environment)
    known = ask.get("class")
    change = Change(ask.get("reference", ""), ask.get("reason", ""), ChangeClass(known) if known else None)
    return Question(subject, ask.get("at", now), host, ask.get("parameters") or {}, change)
