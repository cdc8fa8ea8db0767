"""What a blueprint requires of its targets before it may run (`requires`), checked at plan and again at start."""

from collections.abc import Iterator, Sequence
from typing import Final

from pilotage_coordinator.domain.blueprint.model import Requires
from pilotage_coordinator.domain.blueprint.position import Position
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.planning.bench import Frame, reason
from pilotage_coordinator.domain.planning.errors import PlanProblem
from pilotage_coordinator.domain.planning.request import World
from pilotage_coordinator.domain.planning.resolution import Resolution, View
from pilotage_coordinator.domain.values import SECOND, write_duration

LOOKED_AT: Final = "mend that; the agent looks again every 15 minutes, at once after `systemctl reload pilotage-agent`"
"""What to do about a step type that is not available."""
NAMED: Final = 5
"""How many hosts are named when the same thing is wrong with many."""


def unfulfilled(
    requires: Requires, hosts: Sequence[str], frame: Frame, world: World, resolution: Resolution, on: str = ""
) -> Iterator[PlanProblem]:
    """Yield what does not hold of the hosts; `on` is the host for which a blueprint inside a group is called."""
    at, path, count, inventory = requires.at, frame.path, len(hosts), world.inventory
    if requires.min_hosts is not None and count < requires.min_hosts:
        message = f"requires: {count} hosts are fewer than {requires.min_hosts}"
        yield PlanProblem(FailureKind.TARGET, message, "see `targets`", path, at=at)
    if requires.max_hosts is not None and count > requires.max_hosts:
        message = f"requires: {count} hosts are more than {requires.max_hosts}"
        yield PlanProblem(FailureKind.TARGET, message, "narrow them with -l", path, at=at)
    if requires.all_online:
        for name in _few(name for name in hosts if not inventory[name].online):
            yield PlanProblem(FailureKind.TARGET, "requires: the host is offline", "start its agent", path, name, at)
    for capability in requires.capabilities:
        for name in _few(name for name in hosts if capability not in inventory[name].capabilities):
            why = inventory[name].why_not(capability)
            message = f"requires: it cannot run {capability}" + (f": {why}" if why else "")
            fix = LOOKED_AT if why else f"install the plugin that brings it there (`pilotage host show {name}`)"
            yield PlanProblem(FailureKind.TARGET, message, fix, path, name, at)
    if requires.backup_within is not None:
        yield from _without_recent_backup(requires.backup_within, hosts, frame, requires.at, world)
    for condition in requires.that:
        try:
            view = View(frame, on, live=True)
            resolution.require_shared(resolution.condition_references(condition), view)
            if not resolution.condition(condition, view):
                yield PlanProblem(FailureKind.TARGET, f"requires: `{condition}` does not hold", path=path, at=at)
        except DomainError as error:
            yield PlanProblem(FailureKind.TARGET, f"requires: {reason(error)}", path=path, at=at)


def _without_recent_backup(
    within: int, hosts: Sequence[str], frame: Frame, at: Position, world: World
) -> Iterator[PlanProblem]:
    """Yield the hosts whose newest good backup is missing or too old; an age just as long as allowed is still good."""
    newest = world.last_backups
    fix = "back it up first, such as with quick_backup; a failed or partial backup does not count"
    for name in _few(name for name in hosts if name not in newest or world.now - newest[name] > within):
        message = f"requires: it has no good backup, and one within {write_duration(within)} is asked for"
        if name in newest:
            age = write_duration((world.now - newest[name]) // SECOND * SECOND)
            message = f"requires: its last good backup is {age} old, more than {write_duration(within)}"
        yield PlanProblem(FailureKind.TARGET, message, fix, frame.path, name, at)


def _few(names: Iterator[str]) -> Iterator[str]:
    for _, name in zip(range(NAMED), names, strict=False):
        yield name
