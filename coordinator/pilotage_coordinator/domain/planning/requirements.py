"""What a blueprint requires of its targets before it may run (`requires`), checked at plan and again at start."""

from collections.abc import Iterator, Sequence
from typing import Final

from pilotage_coordinator.domain.blueprint.model import Requires
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.planning.bench import Frame, reason
from pilotage_coordinator.domain.planning.errors import PlanProblem
from pilotage_coordinator.domain.planning.resolution import Resolution, View

LOOKED_AT: Final = "mend that; the agent looks again every 15 minutes, at once after `systemctl reload pilotage-agent`"
"""What to do about a step type that is not available."""
NAMED: Final = 5
"""How many hosts are named when the same thing is wrong with many."""


def unfulfilled(
    requires: Requires, hosts: Sequence[str], frame: Frame, inventory: Inventory, resolution: Resolution
) -> Iterator[PlanProblem]:
    """Yield what does not hold of the hosts."""
    at, path, count = requires.at, frame.path, len(hosts)
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
    for condition in requires.that:
        try:
            if not resolution.condition(condition, View(frame, live=True)):
                yield PlanProblem(FailureKind.TARGET, f"requires: `{condition}` does not hold", path=path, at=at)
        except DomainError as error:
            yield PlanProblem(FailureKind.TARGET, f"requires: {reason(error)}", path=path, at=at)


def _few(names: Iterator[str]) -> Iterator[str]:
    for _, name in zip(range(NAMED), names, strict=False):
        yield name
