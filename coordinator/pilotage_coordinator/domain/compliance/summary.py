"""A rule of compliance in words: which runs it is about, and what it asks for."""

from collections.abc import Iterator

from pilotage_coordinator.domain.compliance.rule import ComplianceRule, Requirements
from pilotage_coordinator.domain.values import write_duration


def narrowed(rule: ComplianceRule) -> Iterator[str]:
    """Yield what must hold for a rule to apply, each in a few words; nothing where it always does."""
    for name, values in (
        ("blueprint", rule.blueprints),
        ("category", rule.categories),
        ("operation", rule.operations),
    ):
        if values:
            yield f"{name}: {' or '.join(values)}"
    if rule.hosts:
        yield f"hosts: {rule.hosts}"
    if rule.when:
        yield f"when {rule.when}"


def asked_for(require: Requirements) -> Iterator[str]:
    """Yield what must be true, each in a few words."""
    if require.stored:
        yield "the blueprint is stored"
    if require.owner:
        yield "the blueprint says who owns it"
    if require.documentation:
        yield "the blueprint says where it is documented"
    if require.description:
        yield "the blueprint says what it does"
    if require.rollback_plan:
        yield "the blueprint has a rollback plan"
    for which in require.approval:
        yield f"somebody is asked before each {which} step"
    if require.backup_within is not None:
        yield f"a good backup of each host within {write_duration(require.backup_within)}"
    if require.drill_within is not None:
        yield f"a passed drill of each host within {write_duration(require.drill_within)}"
    yield from require.that
