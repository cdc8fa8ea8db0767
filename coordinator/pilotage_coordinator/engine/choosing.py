"""Hosts decided while running: those where another step succeeded."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from immutables import Map

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.plan import HostsFrom, Json, PlannedStep
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.nesting import fan_key


def hosts_from(draft: Draft, step: PlannedStep, item: str, hosts: Mapping[str, Mapping[str, Json]]) -> tuple[str, ...]:
    """Return the hosts of a step with `targets: {from: …}`: where all runs of that step succeeded, ordered and cut.

    `item` is that of the loop around both, empty where there is none.
    """
    source = step.hosts_from
    if source is None:
        return step.hosts
    succeeded: dict[str, bool] = {}
    around = item if draft.index.steps[source.path].carries_item else ""
    for key in draft.by_path.get(source.path, _NO_RUNS):
        if around and key.item != around:
            continue
        good = draft.runs[key].status is StepRunStatus.SUCCEEDED
        succeeded[key.host] = succeeded.get(key.host, True) and good
    names = [name for name, good in succeeded.items() if good and name and name not in source.exclude]
    ordered = _ordered(draft, source.path, around, names, source.order, hosts)
    return tuple(ordered if source.limit is None else ordered[: source.limit.of(len(ordered))])


def succeeded_on(draft: Draft, source: HostsFrom, key: RunKey) -> bool:
    """Return whether a step inside a group with `targets: {from: …}` may run on its group's host."""
    loop = draft.loops.get(RunKey(source.path, key.host))
    run = draft.runs.get(RunKey(source.path, key.host, key.item)) or draft.runs.get(RunKey(source.path, key.host))
    status = loop.status if loop is not None else run.status if run is not None else None
    return status is StepRunStatus.SUCCEEDED and key.host not in source.exclude


def _ordered(
    draft: Draft, path: str, item: str, names: Sequence[str], order: str, hosts: Mapping[str, Mapping[str, Json]]
) -> list[str]:
    if order == "random":
        return sorted(names, key=lambda name: sha256(f"{draft.seed}\0{path}\0{name}".encode()).digest())
    if order in ("", "name"):
        place = _plan_order(draft, path, item) if not order else {}
        return sorted(names, key=lambda name: (place.get(name, len(place)), name))
    return sorted(names, key=lambda name: (*comparable(_field(hosts, name, order)), name))


def _plan_order(draft: Draft, path: str, item: str) -> Mapping[str, int]:
    while path in draft.index.steps:
        info = draft.index.steps[path]
        if info.step.hosts:
            return {name: number for number, name in enumerate(info.step.hosts)}
        fan = draft.fans.get(fan_key(draft.index, RunKey(path, "", item)))
        if fan is not None:
            return {name: number for number, name in enumerate(fan.hosts)}
        path = info.frame
    return {}


def _field(hosts: Mapping[str, Mapping[str, Json]], name: str, order: str) -> Any:
    value: Any = hosts.get(name, {})
    for part in order.removeprefix("host.").split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def comparable(value: Any) -> tuple[int, float, str]:
    """Return a key that orders numbers before texts before all else, so that mixed and missing values have a place."""
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, value) if isinstance(value, str) else (2, 0.0, "")


_NO_RUNS: Map[RunKey, None] = Map()
