"""From what a blueprint says of its targets to host names. Never silently all, never silently none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.model import Targets
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.inventory import STABLE_HOST_FIELDS, Host, Inventory, host_scope
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.planning.bench import reason
from pilotage_coordinator.domain.planning.errors import PlanProblem
from pilotage_coordinator.domain.planning.selector import Selector
from pilotage_coordinator.domain.share import Share

FEW: Final = 5
"""How many hosts are named one by one when the same thing is wrong with many."""

Select = Callable[[str, Host], bool]
"""Asks a condition of one host; raises DomainError when it fails."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The hosts that were chosen, in plan order, or why they cannot be."""

    hosts: tuple[str, ...] = ()
    problems: tuple[PlanProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """Targets with every expression resolved but the condition, which is asked of each host."""

    select: str | None = None
    hosts: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    limit: Share | None = None
    order: str = "name"
    seed: str = ""
    """What `order: random` draws from."""
    narrow: Selector | None = None
    within: tuple[str, ...] | None = None
    """The hosts of the group around."""
    path: str = ""
    written: Targets = field(default_factory=Targets)


def resolve_targets(choice: Choice, inventory: Inventory, select: Select) -> Chosen:
    """Return the chosen hosts: select or name, narrow by `-l`, exclude, order, limit.

    Refused, naming the thing: a condition that fails on a host, names that the inventory does not have (in `exclude`
    too: a slip there would run what was meant to be spared), an order by what changes by itself, and no host at all.
    """
    problems = [*_unknown(choice, choice.hosts or (), inventory), *_unknown(choice, choice.exclude, inventory)]
    if choice.select is not None:
        names, failed = select_hosts(choice.select, inventory, select)
        problems += [_problem(choice, message, fix, host) for host, message, fix in failed]
    else:
        names = tuple(dict.fromkeys(choice.hosts or ()))
    if problems:
        return Chosen((), tuple(problems))
    kept = [name for name in names if choice.narrow is None or choice.narrow.matches(inventory[name])]
    kept = [name for name in kept if choice.within is None or name in choice.within]
    kept = [name for name in kept if name not in choice.exclude]
    try:
        kept = order_hosts(kept, inventory, choice.order, choice.seed)
    except DomainError as error:
        return Chosen((), (_problem(choice, str(error), "order by name, address, environment, a label or a var"),))
    if choice.limit is not None:
        kept = kept[: choice.limit.of(len(kept))]
    if not kept:
        return Chosen((), (_none(choice, names),))
    return Chosen(tuple(kept))


def select_hosts(
    condition: str, inventory: Inventory, select: Select
) -> tuple[tuple[str, ...], list[tuple[str, str, str]]]:
    """Return the hosts of which the condition holds, and (host, message, fix) where it fails."""
    names: list[str] = []
    failed: list[tuple[str, str, str]] = []
    for host in inventory.values():
        try:
            if select(condition, host):
                names.append(host.name)
        except DomainError as error:
            failed.append((host.name, f"select fails: {reason(error)}", _SELECT_FIX))
            if len(failed) == FEW:
                break
    return tuple(names), failed


_SELECT_FIX: Final = "test with has(), or use get(host.labels, 'name', '')"


def order_hosts(names: Sequence[str], inventory: Inventory, order: str, seed: str) -> list[str]:
    """Return the names in order; ties by name, hosts without the field last.

    Raises DomainError for a field that changes by itself: an approved order must not.
    """
    if order == "random":
        return sorted(names, key=lambda name: (sha256(f"{seed}\0{name}".encode()).digest(), name))
    if order == "name":
        return sorted(names)
    field_path = order.removeprefix("host.").split(".")
    if field_path[0] not in STABLE_HOST_FIELDS:
        raise DomainError(f"hosts cannot be ordered by `{order}`: it changes by itself or does not exist")
    return sorted(names, key=lambda name: (_rank(_follow(host_scope(inventory[name]), field_path)), name))


def _follow(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _rank(value: Any) -> tuple[int, float, str]:
    match value:
        case bool() | int() | float():
            return 0, float(value), ""
        case str():
            return 1, 0.0, value
    return 2, 0.0, ""


def unknown_host(name: str, inventory: Inventory) -> tuple[str, str]:
    """Return the message and the cure for a name that the inventory does not have."""
    hint = did_you_mean(name, inventory)
    return f"there is no host `{name[:80]}`", hint or "see `pilotage host list`"


def _unknown(choice: Choice, names: Sequence[str], inventory: Inventory) -> list[PlanProblem]:
    return [_problem(choice, *unknown_host(name, inventory)) for name in names if name not in inventory]


def _none(choice: Choice, before: Sequence[str]) -> PlanProblem:
    if not before:
        what = f"no host fulfils `{choice.select}`" if choice.select is not None else "no host is named"
        return _problem(choice, what, "see `pilotage host list`, or write another selection")
    if choice.narrow is not None and not any(name not in choice.exclude for name in before):
        return _problem(choice, f"all {len(before)} hosts are excluded", "exclude fewer")
    if choice.narrow is not None:
        message = f"none of its {len(before)} hosts fulfils -l {choice.narrow.text}"
        return _problem(choice, message, "-l narrows the targets of a blueprint, it never widens them")
    if choice.within is not None and not any(name in choice.within for name in before):
        message = f"none of its {len(before)} hosts is one of the group around it"
        return _problem(choice, message, "`targets` inside a group narrow the group's, they never widen them")
    return _problem(choice, f"nothing is left of its {len(before)} hosts", "see exclude and limit")


def _problem(choice: Choice, message: str, fix: str = "", host: str = "") -> PlanProblem:
    return PlanProblem(FailureKind.TARGET, message, fix, choice.path, host, choice.written.at)
