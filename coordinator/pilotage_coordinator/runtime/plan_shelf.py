"""Plans as values, read once: the newest used are kept, as many as a bound on their size allows."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.plan import Json, Plan
from pilotage_coordinator.domain.planning.codec import from_json
from pilotage_coordinator.runtime.beside import LARGE_PLAN, weight
from pilotage_coordinator.store.protocol import PlanStore

MOST_WEIGHT = 250_000
"""Of all plans kept together (`beside.weight`): two of the largest that can be made, thousands of usual ones."""


@dataclass(slots=True)
class PlanShelf:
    """Reads plans from the store, and shares one value among all who run the same plan."""

    store: PlanStore
    most_weight: int = MOST_WEIGHT
    _kept: "OrderedDict[str, tuple[Plan, int]]" = field(default_factory=OrderedDict)
    """By digest, the one used last at the end; each with its weight."""
    _weight: int = 0

    async def get(self, digest: str) -> Plan:
        """Return a plan; raises store.NotFound, and PlanUnreadable for one of another form."""
        kept = self._take(digest)
        return kept if kept is not None else await self.read(digest, (await self.store.get(digest)).content)

    async def read(self, digest: str, content: Mapping[str, Json]) -> Plan:
        """Return the plan that stored content holds; raises PlanUnreadable."""
        kept = self._take(digest)
        if kept is not None:
            return kept
        small = _small(content)
        plan = from_json(content) if small else await asyncio.to_thread(from_json, content)
        self.keep(plan)
        return plan

    def keep(self, plan: Plan) -> None:
        """Keep a plan that somebody is likely to ask for soon."""
        self._drop(plan.digest)
        own = weight(plan, self.most_weight)
        if own > self.most_weight:
            return
        while self._weight + own > self.most_weight:
            self._drop(next(iter(self._kept)))
        self._kept[plan.digest] = (plan, own)
        self._weight += own

    def _take(self, digest: str) -> Plan | None:
        kept = self._kept.get(digest)
        if kept is None:
            return None
        self._kept.move_to_end(digest)
        return kept[0]

    def _drop(self, digest: str) -> None:
        kept = self._kept.pop(digest, None)
        if kept is not None:
            self._weight -= kept[1]


def _small(content: Mapping[str, Json]) -> bool:
    """Return whether content holds so few values that it is read on the event loop."""
    waiting: list[Json] = [content]
    seen = 0
    while waiting:
        each = waiting.pop()
        seen += 1
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        if seen + len(waiting) > 10 * LARGE_PLAN:
            return False
    return True
