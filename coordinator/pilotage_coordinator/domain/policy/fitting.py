"""Whether one rule matches one question: what is the same for all parameters and times, and then the rest.

Where that cannot be known, it is said so, and `judging` takes the careful side.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.inventory import STABLE_HOST_FIELDS, Host, host_scope
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.selector import Selector, parse_selector
from pilotage_coordinator.domain.policy.clock import is_open, within
from pilotage_coordinator.domain.policy.patterns import like
from pilotage_coordinator.domain.policy.question import Question, Subject
from pilotage_coordinator.domain.policy.rule import Constraint, Decision, Rule

NAMES: Final = ("asker", "blueprint", "step", "parameters", "host", "change")
"""What a rule's condition may name."""
_OF_EXECUTIONS: Final = "secret://execution/"
"""What stands for a sensitive value once its execution has begun."""


class Fit(Enum):
    """Whether a rule matches."""

    YES = "yes"
    NO = "no"
    LATER = "later"
    """That will be known when the step is due."""
    UNSURE = "unsure"
    """That cannot be known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a rule matches, and in words why not, or why that is not known."""

    fit: Fit
    why: str = ""


YES: Final = Answer(Fit.YES)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A rule, read once."""

    rule: Rule
    selector: Selector | None

    @classmethod
    def of(cls, rule: Rule) -> "Prepared":
        """Return the rule with its selector read; raises SelectorRefused."""
        return cls(rule, parse_selector(rule.hosts) if rule.hosts else None)

    @property
    def by_values(self) -> bool:
        """Return whether it depends on a step's parameters, or on a condition."""
        return bool(self.rule.parameters or self.rule.when)

    def about(self, subject: Subject) -> str:
        """Return why the rule is not about this subject; empty where it is."""
        rule, asker = self.rule, subject.asker
        if rule.principals and asker.principal not in rule.principals:
            return f"it is not about {asker.principal}"
        if rule.kinds and asker.kind not in rule.kinds:
            return f"it is not about a {asker.kind}"
        if rule.roles and not asker.roles.intersection(rule.roles):
            return f"{asker.principal} has none of the roles {', '.join(rule.roles)}"
        if rule.operations and not like(subject.operation, rule.operations):
            return f"it is not about {subject.operation}"
        if rule.effects and subject.effect not in rule.effects:
            return f"it is not about steps with the effect {subject.effect}"
        for name, wanted, found in (
            ("destructive", rule.destructive, subject.destructive),
            ("irreversible", rule.irreversible, subject.irreversible),
        ):
            if wanted is not None and wanted is not found:
                return f"the step is {'' if found else 'not '}{name}"
        if rule.blueprints and not like(subject.blueprint, rule.blueprints):
            return f"it is not about the blueprint {subject.blueprint}"
        if rule.categories and subject.category not in rule.categories:
            return f"it is not about the category {subject.category or '(none)'}"
        return ""

    def reaches(self, host: Host | None) -> str:
        """Return why the rule is not about this host; empty where it is. None is the coordinator."""
        if self.selector is None:
            return ""
        if host is None:
            return "it is about hosts, and this is done on the coordinator"
        return "" if self.selector.matches(host) else f"{host.name} is not among {self.selector.text}"


def fits(prepared: Prepared, question: Question, evaluator: Evaluator) -> Answer:
    """Return whether a rule that is about the question's subject and host matches, all else considered."""
    rule = prepared.rule
    refusal = _outside(rule, question)
    if refusal:
        return Answer(Fit.NO, refusal)
    doubt: Answer | None = None
    strict = rule.decision is not Decision.ALLOW
    for constraint in rule.parameters:
        answer = _constrained(constraint, question.parameters, strict)
        if answer.fit is Fit.NO:
            return answer
        if answer.fit is not Fit.YES and (doubt is None or answer.fit is Fit.UNSURE):
            doubt = answer
    if rule.when:
        answer = _condition(rule.when, question, evaluator)
        if answer.fit is Fit.NO:
            return answer
        if answer.fit is not Fit.YES and (doubt is None or answer.fit is Fit.UNSURE):
            doubt = answer
    return doubt or YES


def _outside(rule: Rule, question: Question) -> str:
    """Return why the rule does not hold at this time, or for this class of change; empty where it does."""
    at = question.at
    if rule.effective_from is not None and at < rule.effective_from:
        return "it is not in effect yet"
    if rule.expires_at is not None and at >= rule.expires_at:
        return "it has expired"
    if rule.times and not within(rule.times, at):
        return "it holds at other times"
    if rule.windows and not is_open(rule.windows, at):
        return f"{_named(rule.windows)} is not open"
    if rule.outside_windows and is_open(rule.outside_windows, at):
        return f"{_named(rule.outside_windows)} is open"
    if rule.classes and question.change.change_class not in rule.classes:
        return f"it is about changes of the class {' or '.join(rule.classes)}"
    return ""


def _named(windows: Sequence[Any]) -> str:
    return " or ".join(each.name for each in windows)


def _constrained(constraint: Constraint, parameters: Mapping[str, Json], strict: bool) -> Answer:
    found, value = _find(parameters, constraint.parameter)
    name = constraint.parameter
    unknown = _unknown(value)
    if unknown is not None and (found or constraint.given is None):
        how = "known when the step is due" if unknown is Fit.LATER else "secret"
        return Answer(unknown, f"parameter {name} is {how}")
    if constraint.given is not None and constraint.given is not found:
        return Answer(Fit.NO, f"parameter {name} is {'given' if found else 'not given'}")
    if not _asks(constraint):
        return YES
    if not found:
        lacking = bool(constraint.none_of or constraint.unlike) and not _demands(constraint)
        return YES if lacking else Answer(Fit.NO, f"parameter {name} is not given")
    values = list(value) if isinstance(value, list | tuple) and constraint.is_ is None else [value]
    fitting = [_value_fits(constraint, each) for each in values]
    fit = any(fitting) if strict else all(fitting)
    return YES if fit else Answer(Fit.NO, f"parameter {name} is another one")


def _asks(constraint: Constraint) -> bool:
    return _demands(constraint) or bool(constraint.none_of or constraint.unlike)


def _demands(constraint: Constraint) -> bool:
    bounds = (constraint.is_, constraint.least, constraint.most)
    return bool(constraint.one_of or constraint.like) or any(each is not None for each in bounds)


def _value_fits(constraint: Constraint, value: Json) -> bool:
    if constraint.is_ is not None and not _same(value, constraint.is_):
        return False
    if constraint.one_of and not any(_same(value, each) for each in constraint.one_of):
        return False
    if any(_same(value, each) for each in constraint.none_of):
        return False
    if constraint.like and not (isinstance(value, str) and like(value, constraint.like)):
        return False
    if isinstance(value, str) and like(value, constraint.unlike):
        return False
    if constraint.least is None and constraint.most is None:
        return True
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is None:
        return False
    return not (
        (constraint.least is not None and number < constraint.least)
        or (constraint.most is not None and number > constraint.most)
    )


def _same(value: Json, wanted: Json) -> bool:
    return type(value) is type(wanted) and value == wanted


def _find(parameters: Mapping[str, Json], path: str) -> tuple[bool, Json]:
    """Return whether there is a value at a path, and the value; that of an unknown part stands for what is inside."""
    value: Json = parameters
    for part in path.split("."):
        if _unknown(value) is not None:
            return True, value
        if not isinstance(value, Mapping) or part not in value:
            return False, None
        value = value[part]
    return True, value


def _unknown(value: Json) -> Fit | None:
    """Return how a value is unknown, or holds something that is; None when all of it is known."""
    match value:
        case str():
            return Fit.UNSURE if value.startswith(_OF_EXECUTIONS) else None
        case Mapping():
            if value.keys() == {"run_time"}:
                return Fit.LATER
            if value.keys() == {"sensitive"}:
                return Fit.UNSURE
            return _worst(_unknown(each) for each in value.values())
        case list() | tuple():
            return _worst(_unknown(each) for each in value)
    return None


def _worst(found: Iterable[Fit | None]) -> Fit | None:
    unknown = [each for each in found if each is not None]
    return (Fit.UNSURE if Fit.UNSURE in unknown else Fit.LATER) if unknown else None


def _condition(when: str, question: Question, evaluator: Evaluator) -> Answer:
    try:
        names = evaluator.references(None, (when,)).roots
        if "host" in names and question.host is None:
            return Answer(Fit.NO, "it is about hosts, and this is done on the coordinator")
        if "parameters" in names and (unknown := _unknown(question.parameters)) is not None:
            return Answer(unknown, "its condition asks for parameters that are not known")
        holds = evaluator.evaluate_condition(when, scope_of(question))
    except DomainError as error:
        return Answer(Fit.UNSURE, f"its condition has no value: {error}")
    return YES if holds else Answer(Fit.NO, "its condition does not hold")


def scope_of(question: Question) -> dict[str, object]:
    """Return what a condition sees. Of a host, only what changes when somebody changes it."""
    subject, change = question.subject, question.change
    asker = subject.asker
    host = host_scope(question.host) if question.host is not None else {}
    return {
        "asker": {"principal": asker.principal, "kind": asker.kind, "roles": sorted(asker.roles)},
        "blueprint": {"id": subject.blueprint, "category": subject.category},
        "step": {
            "path": question.path,
            "type": subject.operation,
            "effect": subject.effect.value,
            "destructive": subject.destructive,
            "irreversible": subject.irreversible,
        },
        "parameters": question.parameters,
        "host": {name: value for name, value in host.items() if name in STABLE_HOST_FIELDS},
        # No more of it: a plan is made before anybody gives a reference or a reason.
        "change": {"class": change.change_class.value if change.change_class else ""},
    }
