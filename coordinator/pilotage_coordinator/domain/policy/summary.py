"""A rule in words: when it matches, and what it asks for."""

from collections.abc import Iterator, Sequence

from pilotage_coordinator.domain.policy.clock import DAYS, written
from pilotage_coordinator.domain.policy.rule import Constraint, Hours, Rule, Window
from pilotage_coordinator.domain.values import write_duration


def restrictions(rule: Rule) -> Iterator[str]:
    """Yield what must hold for a rule to match, each in a few words; nothing where it always does."""
    for name, values in (
        ("principal", rule.principals),
        ("kind", rule.kinds),
        ("role", rule.roles),
        ("operation", rule.operations),
        ("effect", rule.effects),
        ("blueprint", rule.blueprints),
        ("category", rule.categories),
        ("class of change", rule.classes),
    ):
        if values:
            yield f"{name}: {' or '.join(str(each) for each in values)}"
    if rule.destructive is not None:
        yield "destructive steps" if rule.destructive else "steps that are not destructive"
    if rule.irreversible is not None:
        yield "steps that cannot be undone" if rule.irreversible else "steps that can be undone"
    if rule.hosts:
        yield f"hosts: {rule.hosts}"
    yield from (_constraint(each) for each in rule.parameters)
    if rule.when:
        yield f"when {rule.when}"
    yield from _times(rule)
    yield from _asks(rule)


def _times(rule: Rule) -> Iterator[str]:
    if rule.times:
        yield " or ".join(_hours(each) for each in rule.times)
    if rule.windows:
        yield f"while {_named(rule.windows)} is open"
    if rule.outside_windows:
        yield f"while {_named(rule.outside_windows)} is not open"
    if rule.effective_from is not None:
        yield f"from {written(rule.effective_from)}"
    if rule.expires_at is not None:
        yield f"until {written(rule.expires_at)}"


def _asks(rule: Rule) -> Iterator[str]:
    if rule.max_concurrent:
        yield f"at most {rule.max_concurrent} executions at a time"
    if rule.requires:
        yield f"requires {' and '.join(rule.requires)}"
    if rule.approval is not None:
        of = f" of {', '.join(rule.approval.of)}" if rule.approval.of else ""
        yield f"{rule.approval.required} approval{'s' if rule.approval.required > 1 else ''}{of}"
        yield f"within {write_duration(rule.approval.timeout)}"
        if rule.approval.strict:
            yield "not of who answers for the assistant that asks"
        if not rule.approval.separation:
            yield "also of whoever asks"


def _constraint(constraint: Constraint) -> str:
    parts: list[str] = []
    if constraint.is_ is not None:
        parts.append(f"is {constraint.is_}")
    for word, values in (
        ("is one of", constraint.one_of),
        ("is none of", constraint.none_of),
        ("is like", constraint.like),
        ("is unlike", constraint.unlike),
    ):
        if values:
            parts.append(f"{word} {', '.join(str(each) for each in values)}")
    if constraint.least is not None:
        parts.append(f"is at least {constraint.least:g}")
    if constraint.most is not None:
        parts.append(f"is at most {constraint.most:g}")
    if constraint.given is not None:
        parts.append("is given" if constraint.given else "is not given")
    return f"parameter {constraint.parameter} {' and '.join(parts)}"


def _hours(hours: Hours) -> str:
    days = "every day" if len(hours.days) == len(DAYS) else ", ".join(DAYS[each] for each in hours.days)
    return f"{days} {_clock(hours.start)} to {_clock(hours.end)} {hours.zone}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _named(windows: Sequence[Window]) -> str:
    return " or ".join(each.name for each in windows)
