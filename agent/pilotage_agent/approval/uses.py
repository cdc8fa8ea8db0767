"""All that approvals were used for on this host, as the journal keeps it.

What rests on approvals that do not count any more, because people were asked too long ago, is forgotten. From then on
no approval that was asked for earlier counts, whatever a clock says: nothing is done twice for having been forgotten.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from pilotage_proto.attempt import AttemptKey, AttemptKind

from pilotage_agent.approval.use import OPEN, Name, Use

_Step: TypeAlias = tuple[str, str, str, AttemptKind]


class Uses:
    """Uses by name, and by the step that they are about."""

    def __init__(self, uses: Iterable[Use] = (), floor: int = 0) -> None:
        self.floor = floor
        """Approvals asked for at this time (UTC µs) or earlier do not count."""
        self._uses: dict[_Step, dict[Name, Use]] = {}
        for use in uses:
            self.put(use)

    def __iter__(self) -> Iterator[Use]:
        for uses in self._uses.values():
            yield from uses.values()

    def find(self, name: Name) -> Use | None:
        """Return what is known under a name."""
        return self._uses.get(name.step, {}).get(name)

    def run_of(self, name: Name) -> Use | None:
        """Return the use of a step that an undo would take back: one that has not ended, else the newest that
        succeeded, else the newest."""
        runs = self._uses.get((name.execution, name.path, name.item, AttemptKind.RUN), {})
        return max(runs.values(), key=lambda each: (each.open, each.done, each.asked_at), default=None)

    def of_attempt(self, key: AttemptKey) -> Use | None:
        """Return the use in which an attempt has begun and not ended."""
        uses = self._uses.get((key.execution, key.path, key.item, key.kind), {})
        return next((each for each in uses.values() if each.ended.get(key.attempt) == OPEN), None)

    def put(self, use: Use) -> None:
        """Keep the newest of a use."""
        self._uses.setdefault(use.name.step, {})[use.name] = use

    def forget(self, until: int) -> tuple[Name, ...]:
        """Drop what rests on approvals asked for until then, and return its names; raises the floor by it."""
        old = [each for each in self if each.asked_at <= until]
        self.floor = max([self.floor, *(each.asked_at for each in old)])
        for each in old:
            uses = self._uses[each.name.step]
            del uses[each.name]
            if not uses:
                del self._uses[each.name.step]
        return tuple(each.name for each in old)
