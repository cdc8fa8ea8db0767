"""How two policies differ, rule by rule: for people, before and after one takes the place of the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pilotage_coordinator.domain.compliance.rule import ComplianceRule
from pilotage_coordinator.domain.planning.difference import lines_between
from pilotage_coordinator.domain.planning.json_form import plain, written
from pilotage_coordinator.domain.policy.rule import Policy, Rule


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """A rule that was added, removed or changed; `details` says in what."""

    rule: str
    change: str
    details: tuple[str, ...] = ()


def compared(old: Policy, new: Policy) -> Iterator[RuleDifference]:
    """Yield what differs, in the order of the new policy; of each kind of rule, what was removed comes last."""
    yield from _compared(old.rules, new.rules, "")
    yield from _compared(old.compliance, new.compliance, "compliance ")


def _compared(
    old: Sequence[Rule | ComplianceRule], new: Sequence[Rule | ComplianceRule], kind: str
) -> Iterator[RuleDifference]:
    before = {rule.name: rule for rule in old}
    for rule in new:
        earlier = before.pop(rule.name, None)
        if earlier is None:
            yield RuleDifference(kind + rule.name, "added")
        elif earlier != rule:
            yield RuleDifference(kind + rule.name, "changed", tuple(lines_between(_content(earlier), _content(rule))))
    for name in before:
        yield RuleDifference(kind + name, "removed")


def _content(rule: Rule | ComplianceRule) -> dict[str, object]:
    content: dict[str, object] = plain(written(rule))
    return content
