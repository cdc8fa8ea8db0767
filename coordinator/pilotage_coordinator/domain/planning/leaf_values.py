"""What the expressions of one step come to, host by host and item by item: the part of the digest called `resolved`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage_coordinator.domain.blueprint.model import Step
from pilotage_coordinator.domain.blueprint.scope import CONDITION_PARAMETERS
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.references import References, union
from pilotage_coordinator.domain.expression.template import templates
from pilotage_coordinator.domain.plan import FailureKind, Json, Resolved
from pilotage_coordinator.domain.planning.around import Loop
from pilotage_coordinator.domain.planning.bench import Bench, Frame, reason
from pilotage_coordinator.domain.planning.depends import Depends
from pilotage_coordinator.domain.planning.items import item_keys, read_items
from pilotage_coordinator.domain.planning.resolution import Resolution, View


@dataclass(slots=True)
class Looked:
    """What was found for one step on all its hosts."""

    resolved: dict[str, Resolved]
    items: dict[str, Sequence[Json]]
    """Host to items, where they are known."""
    runs: dict[str, int] = field(default_factory=dict)
    """Host to step runs that are certain; a loop that is known at run time counts one."""

    def loop(self, max_items: int) -> Loop:
        """Return the step's own loop, for what is inside it."""
        known = {
            host: (self.items[host], found.items) for host, found in self.resolved.items() if found.items is not None
        }
        return Loop(max_items, known)

    def runs_on(self, host: str) -> bool:
        """Return whether the step may run on the host at all."""
        found = self.resolved.get(host)
        return found is None or found.when is not False


class LeafValues:
    """Looks at one leaf."""

    def __init__(
        self, bench: Bench, resolution: Resolution, frame: Frame, step: Step, path: str, loop: Loop | None = None
    ) -> None:
        """Take the leaf; `loop` is the one around it, where there is one."""
        self._bench = bench
        self._resolution = resolution
        self._frame = frame
        self._step = step
        self._path = path
        self._loop = loop
        self._looped = loop is not None or step.for_each is not None

    def references(self, parameters: Mapping[str, Any]) -> References:
        """Return what everything that the leaf says refers to; raises DomainError."""
        step, resolution = self._step, self._resolution
        found = [
            resolution.tree_references(tree) for tree in ({**self._templated(parameters)}, step.for_each, step.key)
        ]
        conditions = [] if step.when is None else [step.when]
        for name in CONDITION_PARAMETERS.get(step.type, ()):
            value = parameters.get(name)
            conditions += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
        return union([*found, *(resolution.condition_references(each) for each in conditions)])

    def look(self, hosts: Sequence[str], parameters: Mapping[str, Any], lenient: bool) -> Looked:
        """Resolve the step on each host ("" = none); problems go to the bench."""
        looked = Looked({}, {})
        templated = self._templated(parameters)
        common: dict[str, Any] | None = None
        for host in hosts:
            view = View(self._frame, host)
            try:
                runs, unsure = self._when(view)
                if not runs:
                    looked.resolved[host] = Resolved(when=False)
                    continue
                if common is None:
                    common = self._common(templated, lenient or unsure)
                known = self._step.when is not None and not unsure
                own = {name: tree for name, tree in templated.items() if name not in common}
                found = self._on_host(view, own, lenient or unsure, looked)
            except DomainError as error:
                self._refuse(reason(error), host)
                continue
            found = replace(found, when=True) if known else found
            if found != Resolved():
                looked.resolved[host] = found
        if common:
            bare = looked.resolved.get("", Resolved())
            looked.resolved[""] = replace(bare, parameters={**common, **bare.parameters})
        return looked

    def _templated(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        conditions = CONDITION_PARAMETERS.get(self._step.type, ())
        return {
            name: value
            for name, value in parameters.items()
            if name not in conditions and next(iter(templates(value)), None) is not None
        }

    def _when(self, view: View) -> tuple[bool, bool]:
        """Return whether the step may run here, and whether that is decided only at run time."""
        when = self._step.when
        if when is None:
            return True, False
        references = self._resolution.condition_references(when)
        if self._resolution.depends(references, view) > Depends.HOST:
            return True, True
        return self._resolution.condition(when, view), False

    def _common(self, templated: Mapping[str, Any], lenient: bool) -> dict[str, Any]:
        """Return the parameters that are the same on every host."""
        anybody = View(self._frame, items_known=self._looped, any_host=True)
        return {
            name: self._resolution.show_tree(tree, View(self._frame), self._place(name), lenient)
            for name, tree in templated.items()
            if self._widest(tree, anybody) <= Depends.PARAMETERS
        }

    def _on_host(self, view: View, templated: Mapping[str, Any], lenient: bool, looked: Looked) -> Resolved:
        """Resolve what is not the same everywhere."""
        items, keys = self._items(view)
        inner = replace(view, items_known=keys is not None)
        widths = {name: self._widest(tree, inner) for name, tree in templated.items()}
        shown = {
            name: self._resolution.show_tree(templated[name], inner, self._place(name), lenient)
            for name, width in widths.items()
            if width is not Depends.ITEM
        }
        if keys is None:
            looked.runs[view.host] = 1
            return Resolved(parameters=shown)
        looked.items[view.host] = items
        looked.runs[view.host] = len(keys)
        of_items = [name for name, width in widths.items() if width is Depends.ITEM]
        unsure = lenient or self._when_asks_items()
        each_item = tuple(
            {
                name: self._resolution.show_tree(
                    templated[name],
                    replace(inner, item=item, item_key=key, has_item=True),
                    self._place(name),
                    unsure,
                )
                for name in of_items
            }
            for item, key in zip(items, keys, strict=True)
        )
        return Resolved(items=keys, parameters=shown, item_parameters=each_item if of_items else ())

    def _items(self, view: View) -> tuple[Sequence[Json], tuple[str, ...] | None]:
        """Return the items and their keys; no keys: there is no loop, or it is known at run time."""
        step = self._step
        if step.for_each is None:
            return self._loop.on(view.host) if self._loop is not None else ((), None)
        live = replace(view, live=True)
        references = self._resolution.references(step.for_each)
        if self._resolution.depends(references, live) is Depends.RUN_TIME:
            return (), None
        key = step.key or ""
        key_references = self._resolution.tree_references(key)
        if self._resolution.depends(key_references, replace(live, items_known=True)) is Depends.RUN_TIME:
            return (), None
        items = read_items(self._resolution.render(step.for_each, live), step.max_items)
        keys = item_keys(items, key, self._bench.world.expressions, self._resolution.scope(live).variables)
        return items, keys

    def _when_asks_items(self) -> bool:
        when = self._step.when
        if when is None:
            return False
        return bool(self._resolution.condition_references(when).roots & {"item", "item_key"})

    def _widest(self, tree: Json, view: View) -> Depends:
        """Return what a tree depends on, but for its texts that are known at run time: those stand as marks."""
        found = [self._resolution.depends(self._resolution.references(each), view) for each in templates(tree)]
        return max((each for each in found if each is not Depends.RUN_TIME), default=Depends.NOTHING)

    def _place(self, name: str) -> str:
        return f"{self._path}:{name}"

    def _refuse(self, message: str, host: str) -> None:
        self._bench.refuse(FailureKind.PARAMETER, message, path=self._path, host=host, at=self._step.at)
