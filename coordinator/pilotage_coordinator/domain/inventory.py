"""The inventory: every host that has joined, as values that rules can ask without I/O.

Times are UTC microseconds. An Inventory is a snapshot; what a host says of itself (`facts`, `step_types`) is the last
that its agent reported.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.step_type import StepTypeInfo


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of the fleet."""

    id: str
    name: str
    address: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    vars: Mapping[str, Json] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    step_types: Mapping[str, StepTypeInfo] = field(default_factory=dict)
    """What its plugins bring, by name; some of it may not be available there now."""
    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Plugins that its agent could not load: distribution to reason."""
    environment: str = ""
    online: bool = False
    """Whether it has a reconciled session."""
    last_seen: int = 0
    added_at: int = 0
    agent_version: str = ""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Return the names of the step types that it can run, sorted: the plugin is loaded and its probe passed."""
        return tuple(sorted(name for name, info in self.step_types.items() if info.available))

    def why_not(self, step_type: str) -> str:
        """Return why the host cannot run a step type that its plugins bring; empty where it can, or none brings it."""
        info = self.step_types.get(step_type)
        return "" if info is None or info.available else info.reason or "its agent does not say why"


def host_scope(host: Host) -> dict[str, Any]:
    """Return what an expression sees as `host` (BLUEPRINTS: Expressions)."""
    return {
        "name": host.name,
        "address": host.address,
        "labels": dict(host.labels),
        "vars": dict(host.vars),
        "facts": dict(host.facts),
        "capabilities": list(host.capabilities),
        "environment": host.environment,
        "online": host.online,
    }


STABLE_HOST_FIELDS = frozenset({"name", "address", "labels", "vars", "environment"})
"""The fields of a host that change only when somebody changes them; the others change by themselves."""


class Inventory(Mapping[str, Host]):
    """Hosts by name, in the order of their names. Immutable."""

    __slots__ = ("__dict__", "_hosts")

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        """Take the hosts; raises ValueError when two carry one name."""
        found: dict[str, Host] = {}
        for host in sorted(hosts, key=lambda each: each.name):
            if host.name in found:
                raise ValueError(f"two hosts are named {host.name}: {found[host.name].id} and {host.id}")
            found[host.name] = host
        self._hosts: Mapping[str, Host] = MappingProxyType(found)

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(self._hosts)

    @cached_property
    def scopes(self) -> Mapping[str, dict[str, Any]]:
        """Return what an expression sees as `hosts`: name to host. Made once, when first asked for."""
        return {name: host_scope(host) for name, host in self._hosts.items()}
