"""Which step types the fleet offers, when hosts do not say the same of one: pure.

A blueprint is read against one answer for each name; a plan uses, for each host, what that host has. One host, maybe
hostile, must not change how the step types of others are read: the answer is that of most hosts, and of the one that
joined first where as many say otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.step_type import StepTypeInfo

Likeness = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The answer, and who says otherwise."""

    step_types: Mapping[str, StepTypeInfo] = field(default_factory=dict)
    dissenters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Step type to the hosts that have another one of this name; versions that only differ by number are no dissent."""


def agree(hosts: Iterable[Host]) -> Catalogue:
    """Return what the hosts offer; O(hosts + differing announcements x step types)."""
    groups: dict[int, list[Host]] = {}
    for host in sorted(hosts, key=lambda each: (each.added_at, each.name)):
        # Equal announcements share one mapping.
        groups.setdefault(id(host.step_types), []).append(host)
    votes: dict[str, dict[Likeness, list[tuple[StepTypeInfo, list[Host]]]]] = {}
    for members in groups.values():
        for name, info in members[0].step_types.items():
            votes.setdefault(name, {}).setdefault(_likeness(info), []).append((info, members))
    chosen: dict[str, StepTypeInfo] = {}
    dissenters: dict[str, tuple[str, ...]] = {}
    for name, kinds in votes.items():
        # `max` keeps the first of equals, and the groups came in the order of joining.
        winner = max(kinds, key=lambda kind: sum(len(members) for _, members in kinds[kind]))
        chosen[name] = kinds[winner][0][0]
        others = [host.name for kind in kinds if kind != winner for _, members in kinds[kind] for host in members]
        if others:
            dissenters[name] = tuple(sorted(others))
    return Catalogue(chosen, dissenters)


def _likeness(info: StepTypeInfo) -> Likeness:
    """Return by what two step types of one name are the same to a blueprint."""
    return (info.distribution, info.effect, info.destructive, info.author_effects, info.digest, info.has_undo)
