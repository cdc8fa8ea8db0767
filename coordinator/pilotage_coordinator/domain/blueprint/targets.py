"""Which hosts a blueprint or a step means, and what it asks of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.blueprint.position import NOWHERE, Position
from pilotage_coordinator.domain.values import Amount


@dataclass(frozen=True, slots=True)
class Targets:
    """A choice of hosts. Exactly one of select, hosts, hosts_expression and from_step is set.

    `exclude` takes hosts out, then `order` sorts, then `limit` cuts.
    """

    select: str | None = None
    """A condition over `parameters` and `host`, asked of every host."""
    hosts: tuple[str, ...] = ()
    """Host names; each may be a template that gives one name."""
    hosts_expression: str | None = None
    """A lone `${{ … }}` that gives a name, a list of names, or `{select: CONDITION}`."""
    from_step: str | None = None
    """The id of a step: the hosts on which it succeeded (item runs: where all items did)."""
    exclude: tuple[str, ...] = ()
    limit: Amount | None = None
    order: str = "name"
    """`name`, `random` (by the execution's seed), or a field of host such as `host.labels.rack` or `address`."""
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Requires:
    """What must hold at plan time and again at start."""

    min_hosts: int | None = None
    max_hosts: int | None = None
    all_online: bool = False
    capabilities: tuple[str, ...] = ()
    """Step type names that every target must be able to run now."""
    backup_within: int | None = None
    """Microseconds: every target must have a good backup younger than this."""
    that: tuple[str, ...] = ()
    """Conditions over `parameters`, `hosts` and `targets`."""
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Lock:
    """A named reservation, held for the scope where it is written."""

    name: str
    exclusive: bool = True
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Windows:
    """Maintenance windows that gate starts."""

    names: tuple[str, ...]
    on_closed: str = "wait"
    gate: str = "start"
    at: Position = field(default=NOWHERE, compare=False, repr=False)


Capacity = Mapping[str, int | float | str]
"""Shares of what a host offers, by name; a string is a template."""
