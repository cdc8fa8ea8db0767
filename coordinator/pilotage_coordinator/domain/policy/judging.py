"""The decision: pure, total, and explained by the rules that made it.

The first level with a rule that matches decides: emergency, then role, then global. Within it the strictest decision
wins. Where no rule matches, the answer is deny. What cannot be known about a rule is taken to the careful side: a rule
that allows does not count then, and every other one does. What will be known when the step is due is asked again then:
until that, a rule that allows or asks for approval counts, and one that forbids does not yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.policy.fitting import Answer, Fit, Prepared, fits
from pilotage_coordinator.domain.policy.question import Matched, Question, Stage, Subject, Verdict
from pilotage_coordinator.domain.policy.rule import Decision, Level, Policy, Rule

MOST_KEPT: Final = 200_000
"""Answers to "which rules are about this on that host" that are kept; more, and all are forgotten."""
_WAITING: Final = frozenset({Decision.ALLOW, Decision.REQUIRE_APPROVAL})


@dataclass(slots=True)
class Ruleset:
    """A policy made ready to be asked often: for each subject and host, only the rules that can be about them.

    One for one version of a policy. Not safe for several threads.
    """

    policy: Policy
    prepared: tuple[Prepared, ...] = field(init=False)
    by_name: dict[str, Rule] = field(init=False)
    _of_subjects: dict[Subject, tuple[Prepared, ...]] = field(default_factory=dict)
    _of_hosts: dict[tuple[Subject, str], tuple[Host, tuple[Prepared, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prepared = tuple(Prepared.of(rule) for rule in self.policy.rules)
        self.by_name = {rule.name: rule for rule in self.policy.rules}

    def about(self, subject: Subject, host: Host | None) -> tuple[Prepared, ...]:
        """Return the rules that are about a subject on a host (None: the coordinator). A look-up once it was asked."""
        if host is None:
            return tuple(each for each in self._about(subject) if each.selector is None)
        key = (subject, host.name)
        kept = self._of_hosts.get(key)
        if kept is not None and kept[0] is host:
            return kept[1]
        found = tuple(each for each in self._about(subject) if not each.reaches(host))
        if len(self._of_hosts) >= MOST_KEPT:
            self._of_hosts.clear()
        self._of_hosts[key] = (host, found)
        return found

    def _about(self, subject: Subject) -> tuple[Prepared, ...]:
        found = self._of_subjects.get(subject)
        if found is None:
            if len(self._of_subjects) >= MOST_KEPT:
                self._of_subjects.clear()
            found = self._of_subjects[subject] = tuple(each for each in self.prepared if not each.about(subject))
        return found

    def judge(self, question: Question, evaluator: Evaluator) -> Verdict:
        """Return the verdict on a question."""
        return decide(self.about(question.subject, question.host), question, evaluator)

    def explain(self, question: Question, evaluator: Evaluator) -> tuple[tuple[Rule, Answer], ...]:
        """Return for every rule whether it matches, and in words why not. For people: O(rules)."""
        found: list[tuple[Rule, Answer]] = []
        for each in self.prepared:
            refusal = each.about(question.subject) or each.reaches(question.host)
            answer = Answer(Fit.NO, refusal) if refusal else fits(each, question, evaluator)
            found.append((each.rule, answer))
        return tuple(found)


def decide(rules: Iterable[Prepared], question: Question, evaluator: Evaluator) -> Verdict:
    """Return the verdict of rules that are about the question's subject and host."""
    matched: list[Rule] = []
    doubts: list[str] = []
    for each in rules:
        answer = fits(each, question, evaluator)
        counts = _counts(answer.fit, each.rule.decision, question.stage)
        if counts:
            matched.append(each.rule)
        if answer.fit in (Fit.LATER, Fit.UNSURE):
            taken = "counts" if counts else "does not count"
            again = ", and is asked again when the step is due" if answer.fit is Fit.LATER else ""
            doubts.append(f"{each.rule.name} {taken}{again}: {answer.why}")
    return _verdict(matched, doubts, question)


def _counts(fit: Fit, decision: Decision, stage: Stage) -> bool:
    match fit:
        case Fit.YES:
            return True
        case Fit.NO:
            return False
        case Fit.LATER if stage is not Stage.DISPATCH:
            return decision in _WAITING
    return decision is not Decision.ALLOW


def _verdict(matched: list[Rule], doubts: list[str], question: Question) -> Verdict:
    every = tuple(Matched(rule.name, rule.level, rule.decision) for rule in matched)
    for level in Level:
        deciding = [rule for rule in matched if rule.level is level]
        if deciding:
            decision = max((rule.decision for rule in deciding), key=lambda each: each.strictness)
            names = tuple(rule.name for rule in deciding if rule.decision is decision)
            reason = f"{decision} by {', '.join(names)} ({level})"
            return Verdict(decision, names, every, (reason, *doubts))
    subject = question.subject
    where = question.host.name if question.host is not None else "the coordinator"
    reason = f"no rule allows {subject.operation} on {where} to {subject.asker.principal}"
    return Verdict(Decision.DENY, (), every, (reason, *doubts))
