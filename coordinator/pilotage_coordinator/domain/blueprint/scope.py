"""Which names an expression may use where it stands, checked when the blueprint is loaded (BLUEPRINTS: Outputs)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pilotage_coordinator.domain.blueprint.errors import Problems, did_you_mean
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.order import Order, Role, Standing, share_a_host
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.blueprint.targets import Targets
from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.plan import StepKind
from pilotage_coordinator.domain.values import Amount

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "host": frozenset({"name", "address", "labels", "vars", "facts", "capabilities", "environment", "online"}),
    "execution": frozenset({"id", "started_at", "elapsed", "outcome", "seed", "requested_by"}),
    "batch": frozenset({"index", "hosts"}),
}
"""The fields of the names that have a fixed set of them."""

STEP_FIELDS: Final = frozenset({"outputs", "status", "error", "results"})
CONDITION_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {"validation.assert": frozenset({"that"})}
"""Parameters of step types that are conditions, not templates."""

_PARAMETERS: Final = frozenset({"parameters"})
_INVENTORY: Final = frozenset({"parameters", "hosts"})
_GENERAL: Final = frozenset({"parameters", "execution", "targets", "hosts"})


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where expressions stand: the names known there, and whose eyes see steps, if any do."""

    names: frozenset[str]
    reader: Standing | None = None
    everything: bool = False
    """True where all of the blueprint's own steps have ended: its finally, its outputs."""
    per_host: bool = False
    loops: bool = False


class ScopeCheck:
    """The check of one blueprint."""

    def __init__(self, blueprint: Blueprint, problems: Problems, expressions: Expressions) -> None:
        self.blueprint = blueprint
        self.problems = problems
        self.expressions = expressions
        self.order = Order(blueprint)

    def run(self) -> None:
        """Note every expression that cannot be read, or uses what is not known where it stands."""
        blueprint = self.blueprint
        root: Path = ("workflows", blueprint.id)
        for name, parameter in blueprint.parameters.items():
            if parameter.validation.that is not None:
                path: Path = (*root, "parameters", name, "validation", "that")
                self.condition(parameter.validation.that, path, Spot(_PARAMETERS))
        self.targets(blueprint.targets, (*root, "targets"), None)
        if blueprint.requires is not None:
            self.conditions(blueprint.requires.that, (*root, "requires", "that"), Spot(_INVENTORY | {"targets"}))
        self._reservations(root, blueprint)
        defaults: Path = (*root, "defaults")
        self.tree(blueprint.defaults.user, (*defaults, "user"), Spot(_GENERAL | {"host"}, per_host=True))
        self.tree(blueprint.defaults.env, (*defaults, "env"), Spot(_GENERAL | {"host"}, per_host=True))
        ended = Spot(_GENERAL | {"steps"}, everything=True)
        if blueprint.rollback_plan is not None:
            self.conditions(blueprint.rollback_plan.conditions, (*root, "rollback_plan", "conditions"), ended)
        self.tree(blueprint.outputs, (*root, "outputs"), ended)
        for standing in self.order.standings.values():
            self.step(standing)

    def _reservations(self, root: Path, blueprint: Blueprint) -> None:
        for index, lock in enumerate(blueprint.locks):
            self.tree(lock.name, (*root, "locks", index), Spot(_GENERAL))
        self.tree(blueprint.capacity, (*root, "capacity"), Spot(_GENERAL))
        if blueprint.windows is not None:
            self.tree(blueprint.windows.names, (*root, "windows", "names"), Spot(_PARAMETERS))

    def step(self, standing: Standing) -> None:
        """Check everything that one step says."""
        step, path = standing.step, standing.step.path
        before_items = self.spot_of(standing, item=False)
        here = self.spot_of(standing, item=True)
        self.targets(step.targets, (*path, "targets"), standing)
        if step.for_each is not None:
            self.tree(step.for_each, (*path, "for_each"), before_items)
        if step.key is not None:
            self.tree(step.key, (*path, "key"), replace(here, names=here.names - {"item_key"}))
        if step.when is not None:
            self.condition(step.when, (*path, "when"), here)
        conditions = CONDITION_PARAMETERS.get(step.type, frozenset())
        for name, value in step.parameters.items():
            inner: Path = (*path, "parameters", name)
            if name in conditions:
                self.conditions(value if isinstance(value, list) else (value,), inner, here)
            else:
                self.tree(value, inner, here)
        for index, lock in enumerate(step.locks):
            self.tree(lock.name, (*path, "locks", index), here)
        self.tree(step.capacity, (*path, "capacity"), here)
        if step.windows is not None:
            self.tree(step.windows.names, (*path, "windows", "names"), Spot(_PARAMETERS))
        self._rollout(standing)

    def _rollout(self, standing: Standing) -> None:
        rollout, path = standing.step.rollout, (*standing.step.path, "rollout")
        if rollout is None:
            return
        self.amount(rollout.max_parallel, (*path, "max_parallel"))
        self.amount(rollout.max_failures, (*path, "max_failures"))
        for index, batch in enumerate(rollout.batches):
            self.amount(batch.size, (*path, "batches", index))
        if rollout.order_by is not None:
            spot = self.spot_of(standing, item=False)
            refreshed = standing.before
            for each in rollout.refresh:
                refreshed |= self.order.standings[each.id].inside
            reader = replace(standing, before=refreshed)
            self.tree(rollout.order_by, (*path, "order_by"), Spot(spot.names | {"batch"}, reader, per_host=True))

    def spot_of(self, standing: Standing, item: bool) -> Spot:
        """Return the spot of what a step says; `item` where for_each has given it one."""
        names = _GENERAL | {"steps"}
        names |= {"host"} if standing.per_host or standing.step.run_once else set()
        loops = item and standing.loops
        names |= {"item", "item_key"} if loops else set()
        judged = (standing, *standing.around)
        names |= {"batch"} if any(each.role in (Role.HEALTH, Role.ANALYSIS, Role.REFRESH) for each in judged) else set()
        last = not standing.around and standing.role in (Role.FINALLY, Role.ROLLBACK)
        return Spot(frozenset(names), standing, last, standing.per_host, loops)

    def targets(self, targets: Targets | None, path: Path, standing: Standing | None) -> None:
        """Check a choice of hosts."""
        if targets is None:
            return
        if targets.select is not None:
            self.condition(targets.select, (*path, "select"), Spot(frozenset({"parameters", "host"}), per_host=True))
        self.tree(targets.hosts, (*path, "hosts"), Spot(_INVENTORY))
        if targets.hosts_expression is not None:
            self.tree(targets.hosts_expression, (*path, "hosts"), Spot(_INVENTORY))
        self.amount(targets.limit, (*path, "limit"))
        if targets.from_step is None:
            return
        source = self.order.standings.get(targets.from_step)
        if source is None:
            hint = did_you_mean(targets.from_step, self.order.standings)
            self.note((*path, "from"), f"there is no step `{targets.from_step}`", hint)
        elif standing is None or not standing.before & source.bit or not _may_follow(standing, source):
            hint = f"add `{targets.from_step}` to the dependencies of this step, or of the one around it"
            self.note((*path, "from"), f"`{targets.from_step}` has not ended everywhere when this step starts", hint)

    def amount(self, amount: Amount | None, path: Path) -> None:
        """Check an amount that may be an expression."""
        if amount is not None and amount.expression is not None:
            self.tree(amount.expression, path, Spot(_PARAMETERS))

    def conditions(self, texts: Iterable[object], path: Path, spot: Spot) -> None:
        """Check several conditions."""
        for index, text in enumerate(texts):
            if isinstance(text, str):
                self.condition(text, (*path, index), spot)

    def condition(self, text: str, path: Path, spot: Spot) -> None:
        """Check one condition."""
        if "${{" in text:
            self.note(path, "a condition holds no ${{ }}", "write the expression itself, without ${{ }}")
        else:
            self.expression(text, path, spot)

    def tree(self, value: object, path: Path, spot: Spot) -> None:
        """Check every text inside a value."""
        match value:
            case str() if "{{" in value:
                try:
                    holes = self.expressions.template(value).holes
                except ExpressionError as error:
                    self.note(path, str(error))
                    return
                for hole in holes:
                    self.expression(hole, path, spot)
            case list() | tuple():
                for index, each in enumerate(value):
                    self.tree(each, (*path, index), spot)
            case Mapping():
                for key, each in value.items():
                    self.tree(each, (*path, key), spot)

    def expression(self, text: str, path: Path, spot: Spot) -> None:
        """Check one expression."""
        try:
            used = self.expressions.program(text).references
        except ExpressionError as error:
            self.note(path, str(error))
            return
        for each in sorted(used.paths):
            self._reference(each, path, spot)

    def _reference(self, reference: tuple[str, ...], path: Path, spot: Spot) -> None:
        root = reference[0]
        if root not in spot.names:
            self.note(path, f"the name `{root}` is not known here", _advice(root, spot))
        elif root == "parameters" and len(reference) > 1 and reference[1] not in self.blueprint.parameters:
            hint = did_you_mean(reference[1], self.blueprint.parameters)
            self.note(path, f"there is no parameter `{reference[1]}`", hint)
        elif root in FIELDS and len(reference) > 1 and reference[1] not in FIELDS[root]:
            self.note(path, f"`{root}` has no field `{reference[1]}`", did_you_mean(reference[1], FIELDS[root]))
        elif root == "steps":
            self._step_reference(reference, path, spot)

    def _step_reference(self, reference: tuple[str, ...], path: Path, spot: Spot) -> None:
        if len(reference) < 3:
            self.note(path, "`steps` is read as steps.ID.outputs, .status, .error or .results")
            return
        name, asked = reference[1], reference[2]
        source = self.order.standings.get(name)
        shown = f"steps.{name}.{asked}"
        if source is None:
            self.note(path, f"there is no step `{name}`", did_you_mean(name, self.order.standings))
        elif asked not in STEP_FIELDS:
            self.note(path, f"`steps.{name}` has no `{asked}`", did_you_mean(asked, STEP_FIELDS))
        elif not self._ended(source, spot):
            hint = f"add `{name}` to the dependencies of this step, or of the one around it"
            self.note(path, f"`{shown}`: `{name}` has not ended when this is read", hint)
        elif asked == "results":
            self._results(source, path, spot)
        elif asked == "outputs" and (once := _once_in_group(source, spot.reader)) is not None:
            hint = f"read steps.{name}.results after `{source.around[0].step.id}`"
            self.note(path, f"`{shown}`: `{once.step.id}` runs on one host of its group only", hint)
        elif source.step.kind is StepKind.GROUP and asked == "outputs":
            self.note(path, f"`{shown}`: a group has no outputs", f"read steps.{name}.results, or a step inside it")
        elif source.loops and not spot.loops:
            hint = f"read steps.{name}.results, a list of all items"
            self.note(path, f"`{shown}`: `{name}` runs once for each item, and this does not", hint)
        elif source.per_host and not spot.per_host:
            hint = f"read steps.{name}.results, a list of all hosts"
            self.note(path, f"`{shown}`: `{name}` runs on each host, and this runs once", hint)

    def _ended(self, source: Standing, spot: Spot) -> bool:
        if spot.everything and self.order.main & source.bit:
            return True
        return spot.reader is not None and bool(spot.reader.before & source.bit)

    def _results(self, source: Standing, path: Path, spot: Spot) -> None:
        if spot.reader is None:
            return
        common = share_a_host(spot.reader, source)
        judged = any(each.role is Role.ANALYSIS for each in (spot.reader, *spot.reader.around))
        if common is not None and common.per_host and not judged:
            name = source.step.id
            hint = f"read steps.{name}.outputs, of the same host, or read the results after `{common.step.id}`"
            self.note(path, f"`steps.{name}.results`: `{name}` is still running on other hosts", hint)

    def note(self, path: Path, message: str, hint: str = "") -> None:
        """Note a problem at the place of `path`."""
        self.problems.add(self.blueprint.position(path), path, message, hint)


def _may_follow(standing: Standing, source: Standing) -> bool:
    """Return whether hosts can be chosen by how `source` went: where both are in one group, each for its own host."""
    common = share_a_host(standing, source)
    return common is None or (common.per_host and common.step.id != source.step.id)


def _once_in_group(source: Standing, reader: Standing | None) -> Standing | None:
    """Return the `run_once` inside a group that keeps `source` from most hosts, unless the reader is in it as well."""
    for each in (*source.around, source):
        if each.step.run_once and each.around and each.per_host:
            inside = reader is not None and any(around.step.id == each.step.id for around in (*reader.around, reader))
            return None if inside else each
    return None


def _advice(root: str, spot: Spot) -> str:
    """Return why a name is not known, where there is a reason to tell."""
    reasons = {
        "host": "this runs once, not on each host",
        "item": "item belongs to a step with for_each",
        "item_key": "item_key belongs to a step with for_each",
        "batch": "batch belongs to what a rollout asks for each batch",
        "secret": "secrets are written secret://NAME, outside of expressions",
        "secrets": "secrets are written secret://NAME, outside of expressions",
        "steps": "this is decided before any step runs",
        "inputs": "write parameters",
        "env": "environment variables are not part of expressions",
    }
    return reasons.get(root) or did_you_mean(root, spot.names)


def check_scope(blueprint: Blueprint, problems: Problems, expressions: Expressions) -> None:
    """Note every expression of a blueprint that would fail whatever happens. The graph must be sound."""
    ScopeCheck(blueprint, problems, expressions).run()
