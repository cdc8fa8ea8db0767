"""What a plan says that a step's parameters come to on one host, for one item: looked up at a constant cost."""

from collections.abc import Mapping
from typing import Any

from pilotage_coordinator.domain.plan import Json, Resolved

NOTHING: Resolved = Resolved()


class PlannedValues:
    """Answers from `Plan.resolved`. Remembers where the items of a loop stand, once for each loop and host."""

    def __init__(self, resolved: Mapping[str, Mapping[str, Resolved]]) -> None:
        self._resolved = resolved
        self._positions: dict[tuple[str, str], dict[str, int]] = {}

    def left_out(self, path: str, host: str) -> bool:
        """Return whether the plan knows that the step does not run on the host."""
        return self._resolved.get(path, {}).get(host, NOTHING).when is False

    def of(self, path: str, host: str, item: str) -> dict[str, Json]:
        """Return the values of the parameters with expressions. What is not known, or not shown, stands as a mark."""
        by_host = self._resolved.get(path)
        if by_host is None:
            return {}
        found: dict[str, Json] = {}
        for where in dict.fromkeys(("", host)):
            resolved = by_host.get(where)
            if resolved is None:
                continue
            found.update(resolved.parameters)
            position = self._position(path, where, resolved, item)
            if position is not None:
                found.update(resolved.item_parameters[position])
        return found

    def _position(self, path: str, host: str, resolved: Resolved, item: str) -> int | None:
        if not resolved.item_parameters or resolved.items is None:
            return None
        positions = self._positions.get((path, host))
        if positions is None:
            positions = {key: number for number, key in enumerate(resolved.items)}
            self._positions[path, host] = positions
        return positions.get(item)


def has_mark(value: Any, *marks: str) -> bool:
    """Return whether a value that a plan gives holds `{"run_time": …}` or `{"sensitive": …}`, of those named."""
    match value:
        case Mapping():
            alone = len(value) == 1 and any(isinstance(value.get(mark), str) for mark in marks)
            return alone or any(has_mark(each, *marks) for each in value.values())
        case list() | tuple():
            return any(has_mark(each, *marks) for each in value)
    return False
