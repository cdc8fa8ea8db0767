"""The arguments of a call: those that are the same for all its runs, and those that each run has of its own.

A run of a call is one host of the group around it, one item of its `for_each`, or both. What a plan can know of its own
arguments is checked and pinned now; what only run time knows is checked when the call begins (`arguments`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.model import Blueprint, ParameterType, Step
from pilotage_coordinator.domain.blueprint.parameter import Parameter
from pilotage_coordinator.domain.blueprint.position import NOWHERE
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import FailureKind, Json, Resolved
from pilotage_coordinator.domain.planning.around import Around
from pilotage_coordinator.domain.planning.bench import Bench, reason
from pilotage_coordinator.domain.planning.choosing import selecting
from pilotage_coordinator.domain.planning.depends import Depends
from pilotage_coordinator.domain.planning.json_form import plain
from pilotage_coordinator.domain.planning.parameters import Values, find_hosts, is_hidden, read_values
from pilotage_coordinator.domain.planning.planned_values import PlannedValues, has_mark
from pilotage_coordinator.domain.planning.resolution import Resolution, View

_KNOWN_BEFORE: Final = frozenset({ParameterType.HOST, ParameterType.HOSTS, ParameterType.SECRET})
"""Where work is done and which secrets it may see is decided, and approved, before any host has answered."""

Instance = tuple[str, str]
"""Host and item of one run of a call; each empty where there is none. A host without an item stands besides for what
all its items share."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a call gives, as far as it is written: values that are the same for all its runs, and templates."""

    known: Mapping[str, Json]
    sensitive: frozenset[str]
    """Names of known values that are made from sensitive ones."""
    late: Mapping[str, Json]
    depends: Mapping[str, Depends]
    """For each of `late`: HOST, ITEM or RUN_TIME."""


@dataclass(frozen=True, slots=True)
class Own:
    """What is known of the arguments that each run of a call has of its own."""

    values: dict[Instance, Mapping[str, Json]] = field(default_factory=dict)
    resolved: dict[str, Resolved] = field(default_factory=dict)


class Arguments:
    """Finds the arguments of one call; problems go to the bench."""

    def __init__(self, bench: Bench, resolution: Resolution, step: Step, around: Around, path: str) -> None:
        self._bench = bench
        self._resolution = resolution
        self._step = step
        self._around = around
        self._path = path

    def given(self, blueprint: Blueprint) -> Given | None:
        """Sort what the call gives; None where something cannot be had."""
        known: dict[str, Json] = {}
        sensitive: set[str] = set()
        late: dict[str, Json] = {}
        widths: dict[str, Depends] = {}
        looped = self._step.for_each is not None or self._around.loop is not None
        anybody = View(self._around.frame, items_known=looped, any_host=True)
        for name, written in self._step.parameters.items():
            tree: Any = plain(written)
            try:
                references = self._resolution.tree_references(tree)
                width = self._resolution.depends(references, anybody)
                if width <= Depends.PARAMETERS:
                    known[name] = self._resolution.render(tree, View(self._around.frame))
            except DomainError as error:
                self._refuse(name, reason(error))
                continue
            hidden = self._resolution.sensitive(references, self._around.frame)
            if width <= Depends.PARAMETERS:
                sensitive |= {name} if hidden else set()
            elif self._may_be_late(name, blueprint, width, hidden):
                late[name], widths[name] = tree, width
        complete = known.keys() | late.keys() == self._step.parameters.keys()
        return Given(known, frozenset(sensitive), late, widths) if complete else None

    def _may_be_late(self, name: str, blueprint: Blueprint, width: Depends, hidden: bool) -> bool:
        parameter = blueprint.parameters.get(name)
        if parameter is None:
            near = did_you_mean(name, blueprint.parameters)
            self._refuse(name, f"`{blueprint.id}` has no such parameter" + (f"; {near}" if near else ""))
        elif hidden or is_hidden(parameter):
            self._refuse(name, "it is sensitive, and must be the same for all runs of the call and known to the plan")
        elif width is Depends.RUN_TIME and parameter.type in _KNOWN_BEFORE:
            self._refuse(name, f"it is known only at run time, and a {parameter.type} when the plan is made")
        else:
            return True
        return False

    def known(self, blueprint: Blueprint, given: Given) -> Values | None:
        """Return the values that all runs share, checked; None where they cannot be had."""
        names = blueprint.parameters.keys() - given.late.keys()
        values = self._read(self._reduced(blueprint, names), given.known, "")
        if values is None:
            return None
        hidden = {name for name in names if is_hidden(blueprint.parameters[name])}
        return Values(values, frozenset(hidden) | given.sensitive)

    def own(self, blueprint: Blueprint, given: Given, shared: Values, looked: Mapping[str, Resolved]) -> Own:
        """Return what each run has of its own, checked as far as it is known; `looked` is what the expressions gave."""
        own = Own()
        planned = PlannedValues({self._path: looked})
        for host, resolved in looked.items():
            if resolved.when is False:
                own.resolved[host] = resolved
                continue
            each = [self._one(blueprint, given, shared, planned, (host, item)) for item in resolved.items or ("",)]
            for item, values in zip(resolved.items or ("",), each, strict=True):
                own.values[host, item] = values
            if resolved.items:
                wide = {name: value for name, value in each[0].items() if given.depends[name] is Depends.HOST}
                own.values[host, ""] = wide
            own.resolved[host] = replace(
                resolved,
                parameters=_laid_over(resolved.parameters, each[0] if each else {}),
                item_parameters=tuple(map(_laid_over, resolved.item_parameters, each)),
            )
        return own

    def _one(
        self, blueprint: Blueprint, given: Given, shared: Values, planned: PlannedValues, instance: Instance
    ) -> Mapping[str, Json]:
        found = planned.of(self._path, *instance)
        told = {name: value for name, value in found.items() if name in given.late and not has_mark(value, "run_time")}
        if not told:
            return {}
        # The shared ones are checked already: a list of hosts is one by now.
        reduced = self._reduced(blueprint, {*told, *shared.real})
        values = self._read(reduced, {**shared.real, **told}, instance[0])
        return {} if values is None else {name: values[name] for name in told}

    def _read(self, blueprint: Blueprint, given: Mapping[str, Json], host: str) -> Mapping[str, Any] | None:
        world = self._bench.world
        values, problems = read_values(blueprint, given, world.expressions, self._path)
        if not problems:
            select = selecting(self._resolution, values)
            values, problems = find_hosts(blueprint, values, world.inventory, select, self._path)
        for problem in problems:
            self._bench.add(replace(problem, host=problem.host or host))
        return None if problems else values

    def _reduced(self, blueprint: Blueprint, names: "set[str] | frozenset[str] | Any") -> Blueprint:
        """Return the blueprint with some of its parameters, and the conditions that ask for no others."""
        return replace(
            blueprint,
            parameters={
                name: self._without_foreign_condition(parameter, names)
                for name, parameter in blueprint.parameters.items()
                if name in names
            },
        )

    def _without_foreign_condition(self, parameter: Parameter, names: Any) -> Parameter:
        that = parameter.validation.that
        if that is None or self._asked(that) <= set(names):
            return parameter
        return replace(parameter, validation=replace(parameter.validation, that=None))

    def _asked(self, condition: str) -> set[str]:
        paths = self._resolution.condition_references(condition).paths
        return {path[1] if len(path) > 1 else "" for path in paths if path[0] == "parameters"}

    def conditions(self, blueprint: Blueprint, given: Given) -> dict[str, str]:
        """Return the conditions that only run time can ask: parameter to condition."""
        unknown = {name for name, width in given.depends.items() if width is not Depends.HOST}
        return {
            name: that
            for name, parameter in blueprint.parameters.items()
            if (that := parameter.validation.that) is not None and ({name, *self._asked(that)} & unknown)
        }

    def _refuse(self, name: str, message: str) -> None:
        self._bench.refuse_step(FailureKind.PARAMETER, self._step, self._path, f"argument `{name}`: {message}")


def accepted(blueprint: Blueprint, names: Sequence[str]) -> dict[str, Parameter]:
    """Return what a blueprint accepts for some of its parameters, without the places in its file."""
    return {name: _bare(blueprint.parameters[name]) for name in names}


def _bare(parameter: Parameter) -> Parameter:
    return replace(
        parameter,
        at=NOWHERE,
        items=_bare(parameter.items) if parameter.items is not None else None,
        properties={name: _bare(each) for name, each in parameter.properties.items()},
        validation=replace(parameter.validation, that=None),
    )


def _laid_over(shown: Mapping[str, Json], values: Mapping[str, Json]) -> dict[str, Json]:
    return {name: values.get(name, value) for name, value in shown.items()}
