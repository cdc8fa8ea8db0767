"""How two policies differ, rule by rule: for people, before and after one takes the place of the other."""

from collections.abc import Iterator
from dataclasses import dataclass

from pilotage_coordinator.domain.planning.codec import plain, written
from pilotage_coordinator.domain.planning.difference import lines_between
from pilotage_coordinator.domain.policy.rule import Policy, Rule


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """A rule that was added, removed or changed; `details` says in what."""

    rule: str
    change: str
    details: tuple[str, ...] = ()


def compared(old: Policy, new: Policy) -> Iterator[RuleDifference]:
    """Yield what differs, in the order of the new policy; what was removed comes last."""
    before = {rule.name: rule for rule in old.rules}
    for rule in new.rules:
        earlier = before.pop(rule.name, None)
        if earlier is None:
            yield RuleDifference(rule.name, "added")
        elif earlier != rule:
            yield RuleDifference(rule.name, "changed", tuple(lines_between(_content(earlier), _content(rule))))
    for name in before:
        yield RuleDifference(name, "removed")


def _content(rule: Rule) -> dict[str, object]:
    content: dict[str, object] = plain(written(rule))
    return content
