"""What expressions come to at plan time: which can be known, and what they give on each host.

Known are `parameters`, `targets`, the fields of a host that only people change, the outputs of steps with `at_plan`
in the same scope, and items whose list is known. All else (facts, other outputs, the execution, clocks) is known at
run time. Lists to loop over and the parameters of `at_plan` steps see facts as well: they are decided now.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.scope import CONDITION_PARAMETERS
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.references import References, union
from pilotage_coordinator.domain.expression.scope import Scope
from pilotage_coordinator.domain.expression.template import templates, texts
from pilotage_coordinator.domain.inventory import STABLE_HOST_FIELDS
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.bench import Bench, Frame
from pilotage_coordinator.domain.planning.depends import Depends
from pilotage_coordinator.domain.planning.json_form import plain
from pilotage_coordinator.domain.planning.masking import mask

_WHY: Final = {
    Depends.HOST: "each host of the group around the call has of its own",
    Depends.ITEM: "each item of the call's for_each has of its own",
    Depends.RUN_TIME: "is known only when the call begins",
}
CLOCK_FUNCTIONS: Final = frozenset({"now_in"})


@dataclass(frozen=True, slots=True)
class View:
    """Who looks: the frame, the host ("" = none), and the item if there is one."""

    frame: Frame
    host: str = ""
    items_known: bool = False
    item: Json = None
    item_key: str = ""
    has_item: bool = False
    live: bool = False
    """Whether facts count as known."""
    any_host: bool = False
    """Nobody in particular: what some host knows counts as known on a host."""


class Resolution:
    """Evaluates expressions for one planning."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._expressions = bench.world.expressions
        self._inventory = bench.world.inventory
        self._used: dict[str, dict[str, Any]] = {}
        self._scopes: dict[tuple[str, str, int, bool], Scope] = {}

    def references(self, template: str) -> References:
        """Return what a template refers to; raises DomainError when it cannot be read."""
        return self._expressions.references(template)

    def condition_references(self, condition: str) -> References:
        """Return what a bare condition refers to; raises DomainError when it cannot be read."""
        return self._expressions.program(condition).references

    def tree_references(self, tree: Json) -> References:
        """Return what all templates of a tree refer to."""
        return self._expressions.references(tree)

    def depends(self, references: References, view: View) -> Depends:
        """Return what a value with these references depends on, seen from `view`."""
        if references.functions & CLOCK_FUNCTIONS:
            return Depends.RUN_TIME
        return max((self._depends(path, view) for path in references.paths), default=Depends.NOTHING)

    def waits(self, references: References, frame: Frame) -> bool:
        """Return whether an answer is missing that a value with these references needs."""
        return any(path[0] == "steps" and len(path) > 1 and path[1] in frame.waiting for path in references.paths)

    def sensitive(self, references: References, frame: Frame) -> bool:
        """Return whether a value with these references is made from a sensitive parameter."""
        for path in references.paths:
            if path[0] == "parameters" and (path[1] in frame.sensitive if len(path) > 1 else bool(frame.sensitive)):
                return True
        return False

    def condition(self, text: str, view: View) -> bool:
        """Evaluate a condition; raises DomainError when it fails."""
        return self._expressions.evaluate_condition(text, self.scope(view))

    def bare_condition(self, text: str, variables: Mapping[str, Any]) -> bool:
        """Evaluate a condition over other names than a view's; raises DomainError when it fails."""
        return self._expressions.evaluate_condition(text, variables)

    def render(self, tree: Json, view: View) -> Any:
        """Evaluate every template of a tree, real values and all; raises DomainError where one fails."""
        return plain(self._expressions.render(tree, self.scope(view)))

    def show_tree(self, tree: Json, view: View, place: str, lenient: bool) -> Any:
        """Evaluate a tree for the plan: what is known only at run time, or sensitive, stands as a mark.

        With `lenient`, what fails counts as known at run time: a condition may keep the step from ever running.
        """
        match tree:
            case str() if "{{" in tree:
                return self._show(tree, view, place, lenient)
            case Mapping():
                return {key: self.show_tree(each, view, f"{place}.{key}", lenient) for key, each in tree.items()}
            case list() | tuple():
                return [self.show_tree(each, view, f"{place}[{index}]", lenient) for index, each in enumerate(tree)]
        return tree

    def scope(self, view: View) -> Scope:
        """Return the names that expressions see from `view`."""
        if view.has_item:
            return Scope({**self._variables(view), "item": view.item, "item_key": view.item_key})
        # What is in the scope grows while a frame is planned: first its targets are found, then answers are read.
        key = (view.frame.path, view.host, len(view.frame.answered), view.frame.targets is None)
        found = self._scopes.get(key)
        if found is None:
            found = self._scopes[key] = Scope(self._variables(view))
        return found

    def _variables(self, view: View) -> dict[str, Any]:
        frame = view.frame
        parameters = self._used_parameters(frame) if view.host else dict(frame.parameters)
        variables: dict[str, Any] = {
            "parameters": {**parameters, **frame.own_parameters(view.host, view.item_key)},
            "targets": [view.host] if frame.on_host and view.host else list(frame.targets or ()),
            "hosts": self._inventory.scopes,
            "steps": self._steps(view),
        }
        if view.host:
            variables["host"] = self._inventory.scopes[view.host]
        return variables

    def _used_parameters(self, frame: Frame) -> dict[str, Any]:
        """Return the parameters that any step names.

        Each host has a scope of its own, so a list of all hosts in the parameters would cost the square of the fleet.
        """
        found = self._used.get(frame.path)
        if found is None:
            paths = [path for path in self._step_references(frame).paths if path[0] == "parameters"]
            names = frame.parameters.keys() if ("parameters",) in paths else {path[1] for path in paths}
            found = {name: value for name, value in frame.parameters.items() if name in names}
            self._used[frame.path] = found
        return found

    def _step_references(self, frame: Frame) -> References:
        found: list[References] = []
        for step in frame.stored.blueprint.all_steps():
            trees: list[Json] = [plain(step.parameters), step.for_each, step.key]
            trees += [frame.defaults.user, plain(frame.defaults.env)]
            found += [self._readable(text, self.references) for text in templates(trees)]
            conditions: list[Json] = [step.when]
            conditions += [plain(step.parameters.get(name)) for name in CONDITION_PARAMETERS.get(step.type, ())]
            found += [self._readable(text, self.condition_references) for text in texts(conditions)]
        return union(found)

    def _readable(self, text: str, read: Callable[[str], References]) -> References:
        try:
            return read(text)
        except DomainError:
            # Whoever evaluates it tells what is wrong with it.
            return References(frozenset(), frozenset())

    def _show(self, template: str, view: View, place: str, lenient: bool) -> Any:
        references = self.references(template)
        if self.depends(references, view) is Depends.RUN_TIME:
            return {"run_time": template}
        try:
            value = self.render(template, view)
        except DomainError:
            if lenient:
                return {"run_time": template}
            raise
        if self.sensitive(references, view.frame):
            return mask(self._bench.world.sensitive_key, place, value)
        return value

    def _depends(self, path: tuple[str, ...], view: View) -> Depends:
        match path[0]:
            case "parameters":
                return self._depends_on_parameter(path, view)
            case "targets":
                return Depends.HOST if view.frame.on_host else Depends.PARAMETERS
            case "host":
                stable = len(path) > 1 and path[1] in STABLE_HOST_FIELDS
                return Depends.HOST if stable or view.live else Depends.RUN_TIME
            case "hosts":
                stable = len(path) > 2 and path[2] in STABLE_HOST_FIELDS
                return Depends.PARAMETERS if stable or view.live else Depends.RUN_TIME
            case "item" | "item_key":
                return Depends.ITEM if view.items_known else Depends.RUN_TIME
            case "steps" if len(path) > 2 and path[2] in ("outputs", "status"):
                answers = view.frame.answered.get(path[1], {})
                if "" in answers:
                    return Depends.PARAMETERS
                known = bool(answers) if view.any_host else view.host in answers
                return Depends.HOST if known else Depends.RUN_TIME
        return Depends.RUN_TIME

    def _depends_on_parameter(self, path: tuple[str, ...], view: View) -> Depends:
        late = view.frame.late
        widths = [late[name] for name in (path[1:2] or late) if name in late]
        width = max(widths, default=Depends.PARAMETERS)
        return Depends.RUN_TIME if width is Depends.ITEM and not view.items_known else width

    def require_shared(self, references: References, view: View) -> None:
        """Raise DomainError where a value, wanted now, uses a parameter that is not known from `view`."""
        known = view.frame.own_parameters(view.host, view.item_key)
        for path in references.paths:
            for name in (path[1:2] or view.frame.late) if path[0] == "parameters" else ():
                if name in view.frame.late and name not in known:
                    why = _WHY[view.frame.late[name]]
                    decided = "hosts, and how work moves over them, are decided when the plan is made"
                    raise DomainError(f"it uses the parameter `{name}`, which {why}; {decided}")

    def _steps(self, view: View) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for id, answers in view.frame.answered.items():
            key = "" if "" in answers else view.host
            if key in answers:
                found[id] = {"outputs": answers[key], "status": "succeeded"}
        return found
