"""Targets of a blueprint or a step, with their expressions resolved, turned into hosts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotage_coordinator.domain.blueprint.model import Targets
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.references import union
from pilotage_coordinator.domain.inventory import Host, host_scope
from pilotage_coordinator.domain.plan import FailureKind, HostsFrom, Json
from pilotage_coordinator.domain.planning.bench import Bench, Frame, reason
from pilotage_coordinator.domain.planning.resolution import Resolution, View
from pilotage_coordinator.domain.planning.settings import share_of
from pilotage_coordinator.domain.planning.targets import Choice, Select, resolve_targets, unknown_host


def selecting(resolution: Resolution, parameters: Mapping[str, Json]) -> Select:
    """Return what asks a condition over `parameters` and `host`."""

    def select(condition: str, host: Host) -> bool:
        return resolution.bare_condition(condition, {"parameters": parameters, "host": host_scope(host)})

    return select


def choose(
    targets: Targets,
    frame: Frame,
    bench: Bench,
    resolution: Resolution,
    path: str,
    within: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """Return the hosts that `targets` means, in plan order; none when it is refused, which the bench then knows.

    `within` are the hosts of the group around, where there is one: no others are chosen.
    """
    try:
        choice = replace(_choice(targets, View(frame), bench, resolution, path), within=within)
    except DomainError as error:
        bench.refuse(FailureKind.TARGET, reason(error), path=path, at=targets.at)
        return ()
    select = selecting(resolution, frame.parameters)
    chosen = resolve_targets(choice, bench.world.inventory, select)
    for problem in chosen.problems:
        bench.add(problem)
    return chosen.hosts


def chosen_on(
    targets: Targets, frame: Frame, bench: Bench, resolution: Resolution, path: str, group: tuple[str, ...]
) -> tuple[str, ...]:
    """Return those hosts of a group of which `targets` of a blueprint called inside it means each.

    The blueprint is run for one host at a time, so each host is asked with the parameters that its run has.
    """
    found: list[str] = []
    for name in group:
        view = View(frame, name)
        try:
            choice = _choice(targets, view, bench, resolution, path)
        except DomainError as error:
            bench.refuse(FailureKind.TARGET, reason(error), path=path, host=name, at=targets.at)
            return ()
        parameters = {**frame.parameters, **frame.own_parameters(name, "")}
        chosen = resolve_targets(choice, bench.world.inventory, selecting(resolution, parameters))
        for problem in chosen.problems:
            bench.add(problem)
        if name in chosen.hosts:
            found.append(name)
    if group and not found and not bench.problems:
        message = f"it means none of the {len(group)} hosts of the group around it"
        fix = "`targets` inside a group narrow the group's, they never widen them"
        bench.refuse(FailureKind.TARGET, message, fix, path=path, at=targets.at)
    return tuple(found)


def choose_from(targets: Targets, frame: Frame, bench: Bench, resolution: Resolution, path: str) -> HostsFrom | None:
    """Return hosts that are decided while running: those where another step succeeded."""
    source = targets.from_step or ""
    if source not in frame.paths:
        bench.refuse(FailureKind.TARGET, f"there is no step `{source}`", path=path, at=targets.at)
        return None
    for name in targets.exclude:
        if name not in bench.world.inventory:
            message, fix = unknown_host(name, bench.world.inventory)
            bench.refuse(FailureKind.TARGET, message, fix, path=path, at=targets.at)
    try:
        limit = share_of(targets.limit, frame, resolution)
    except DomainError as error:
        bench.refuse(FailureKind.TARGET, reason(error), path=path, at=targets.at)
        return None
    order = "" if targets.order == "name" else targets.order
    return HostsFrom(frame.paths[source], targets.exclude, limit, order)


def _choice(targets: Targets, view: View, bench: Bench, resolution: Resolution, path: str) -> Choice:
    select, hosts = targets.select, None
    written = [targets.hosts_expression, *targets.hosts, *targets.exclude]
    asked = [] if select is None else [resolution.condition_references(select)]
    resolution.require_shared(union([resolution.tree_references(written), *asked]), view)
    if targets.hosts_expression is not None:
        select, hosts = _from_value(resolution.render(targets.hosts_expression, view))
    elif select is None:
        hosts = tuple(_name(resolution.render(each, view)) for each in targets.hosts)
    return Choice(
        select=select,
        hosts=hosts,
        exclude=tuple(_name(resolution.render(each, view)) for each in targets.exclude),
        limit=share_of(targets.limit, view.frame, resolution),
        order=targets.order,
        seed=f"{bench.request.seed}\0{path}",
        narrow=bench.narrow,
        path=path,
        written=targets,
    )


def _from_value(value: Any) -> tuple[str | None, tuple[str, ...] | None]:
    match value:
        case str():
            return None, (value,)
        case list():
            return None, tuple(_name(each) for each in value)
        case {"select": str(condition)} if len(value) == 1:
            return condition, None
    raise DomainError("hosts must come to a name, a list of names, or {select: CONDITION}")


def _name(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise DomainError(f"a host is named by a text, not by {value!r}")
