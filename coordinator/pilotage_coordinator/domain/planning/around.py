"""What a step has from its surroundings: the frame, the hosts of the group, and how sure it is to run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pilotage_coordinator.domain.blueprint.model import Blueprint, OnFailure, Step
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.bench import Frame


@dataclass(frozen=True, slots=True)
class Loop:
    """A `for_each` around a step."""

    max_items: int
    items: Mapping[str, tuple[Sequence[Json], tuple[str, ...]]]
    """Host to items and their keys, where they are known; "" for a loop that runs once."""

    def on(self, host: str) -> tuple[Sequence[Json], tuple[str, ...] | None]:
        """Return the items on a host and their keys; no keys: they are known at run time."""
        return self.items.get(host) or self.items.get("") or ((), None)


@dataclass(frozen=True, slots=True)
class Around:
    """The surroundings of a list of siblings."""

    frame: Frame
    parent: str
    """Path of the group, call or step around; "" at the root."""
    hosts: tuple[str, ...] | None = None
    """The hosts of the group around, but those that its `when` leaves out; None outside groups."""
    lenient: bool = False
    """Something around may turn out not to run: expressions that fail now are left for run time."""
    on_failure: OnFailure | None = None
    """What a step does that says nothing; None: as its blueprint says."""
    loop: Loop | None = None
    """The loop around; there is one at most."""

    @property
    def in_group(self) -> bool:
        """Return whether the step runs where the thing around it runs."""
        return self.hosts is not None

    def path(self, id: str) -> str:
        """Return the path of a step here."""
        return f"{self.parent}/{id}" if self.parent else id


def in_order(siblings: Sequence[Step]) -> Iterator[Step]:
    """Yield siblings so that each comes after those that it depends on. The graph has no cycle."""
    by_id = {step.id: step for step in siblings}
    done: set[str] = set()
    stack = list(reversed(siblings))
    while stack:
        step = stack[-1]
        missing = [by_id[name] for name in step.dependencies if name in by_id and name not in done]
        if missing:
            stack += missing
            continue
        stack.pop()
        if step.id not in done:
            done.add(step.id)
            yield step


def paths_of(blueprint: Blueprint, root: str) -> dict[str, str]:
    """Return the path in the plan of every step that the blueprint itself writes, by id."""
    found: dict[str, str] = {}
    roots = [*blueprint.steps, *blueprint.finally_]
    if blueprint.rollback_plan is not None:
        roots += blueprint.rollback_plan.actions
    stack = [(step, root) for step in roots]
    while stack:
        step, parent = stack.pop()
        path = f"{parent}/{step.id}" if parent else step.id
        found[step.id] = path
        stack += [(inner, path) for inner in step.inner()]
    return found
