"""Which snapshots may go: the rules say how many stay, and what is not whole never displaces what is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotage_plugins.backup.snapshots import Snapshot, is_whole


@dataclass(frozen=True, slots=True)
class Retention:
    """What came out, by id. `outdated`: not whole, and a newer whole one of the same set is there. `held`: the paths
    of sets whose newest snapshot is not whole; nothing of these goes by rule."""

    outdated: tuple[str, ...]
    held: frozenset[tuple[str, ...]]


def weigh(data: Iterable[Snapshot], notes: Sequence[Snapshot]) -> Retention:
    """Look at each set of paths of each host; the snapshots come oldest first."""
    groups: dict[tuple[str, ...], list[Snapshot]] = {}
    for snapshot in data:
        groups.setdefault(snapshot.group, []).append(snapshot)
    outdated: list[str] = []
    held: set[tuple[str, ...]] = set()
    for group, snapshots in groups.items():
        whole = [is_whole(snapshot, notes) for snapshot in snapshots]
        last_whole = max((number for number, good in enumerate(whole) if good), default=-1)
        outdated += [one.id for one, good in zip(snapshots[:last_whole], whole, strict=False) if not good]
        if last_whole < len(snapshots) - 1:
            held.add(group)
    return Retention(tuple(outdated), frozenset(held))


def group_of(group: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the set that one of restic's groups is, as `Snapshot.group` writes it."""
    return (str(group["host"]), *map(str, group["paths"]))
