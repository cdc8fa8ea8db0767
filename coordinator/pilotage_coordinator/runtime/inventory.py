"""The inventory as it is now: the hosts of the store, and which of them have a session."""

import hashlib
import marshal
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from pilotage_proto.canonical import digest

from pilotage_coordinator.domain.fleet import HostInventory
from pilotage_coordinator.domain.inventory import Host, Inventory, host_scope
from pilotage_coordinator.domain.plan import Effect, Json
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_coordinator.runtime.catalogue import Catalogue, agree
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.protocol import HostStore
from pilotage_coordinator.store.records import HostRecord
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.coordinator")

MOST_ANNOUNCEMENTS = 100
"""Different lists of step types that are kept read."""
LONGEST_REASON = 500
"""Characters that are kept of why a host cannot run a step type."""
ENVIRONMENT_LABEL = "environment"
"""The label that an expression also sees as `host.environment`."""


class LiveInventory:
    """A copy in memory of the store's hosts, so that asking for one costs nothing. The store has the facts."""

    def __init__(self, store: HostStore, clock: Clock) -> None:
        """Take the store; `load` fills the copy."""
        self._store = store
        self._clock = clock
        self._began = clock.now()
        self._left: dict[str, int] = {}
        self._hosts: dict[str, Host] = {}
        self._scopes: dict[str, dict[str, Any]] = {}
        self._step_types = StepTypeReader()
        self._snapshot: Inventory | None = None
        self._catalogue: Catalogue | None = None

    async def load(self) -> None:
        """Read all hosts; nobody is online yet."""
        for record in await self._store.all():
            self._put(self._host(record, online=False))

    async def reload(self, name: str) -> None:
        """Read one host again after its row changed; a host that is gone or revoked is dropped."""
        known = self._hosts.get(name)
        try:
            record = await self._store.named(name)
        except NotFound:
            self._hosts.pop(name, None)
            self._changed(name)
        else:
            self._put(self._host(record, online=known.online if known else False))

    def set_online(self, name: str, online: bool) -> None:
        """Note that a session began or ended."""
        if name in self._hosts:
            self._put(replace(self._hosts[name], online=online))
            self._left[name] = self._clock.now()

    def set_reported(self, name: str, inventory: HostInventory) -> None:
        """Note what the agent says of its host."""
        if name in self._hosts:
            self._put(
                replace(
                    self._hosts[name],
                    address=address_of(inventory.facts),
                    facts=inventory.facts,
                    step_types=self._step_types.read(inventory.step_types),
                    quarantined=_quarantined(inventory.quarantined),
                )
            )

    def get(self, name: str) -> Host | None:
        """Return a host, or None."""
        return self._hosts.get(name)

    def online(self, name: str) -> bool:
        """Return whether the host has a reconciled session."""
        host = self._hosts.get(name)
        return host is not None and host.online

    def away_since(self, name: str) -> int:
        """Return since when the host has had no session; at the latest since this process began."""
        return self._left.get(name, self._began)

    def scope(self, name: str) -> dict[str, Any] | None:
        """Return what an expression sees as `host`, or None. The same object until the host changes."""
        if name not in self._scopes and name in self._hosts:
            self._scopes[name] = host_scope(self._hosts[name])
        return self._scopes.get(name)

    def snapshot(self) -> Inventory:
        """Return all hosts as an immutable value."""
        if self._snapshot is None:
            self._snapshot = Inventory(self._hosts.values())
        return self._snapshot

    def step_types(self) -> Mapping[str, StepTypeInfo]:
        """Return every step type that some host offers, by name."""
        return self.catalogue().step_types

    def catalogue(self) -> Catalogue:
        """Return what the fleet offers, and which hosts say otherwise."""
        if self._catalogue is None:
            self._catalogue = agree(self._hosts.values())
        return self._catalogue

    def _host(self, record: HostRecord, *, online: bool) -> Host:
        return Host(
            id=record.id,
            name=record.name,
            address=address_of(record.facts),
            labels={key: str(value) for key, value in record.labels.items()},
            vars=record.variables,
            facts=record.facts,
            step_types=self._step_types.read(record.step_types),
            quarantined=_quarantined(record.quarantined_plugins),
            environment=str(record.labels.get(ENVIRONMENT_LABEL, "")),
            online=online,
            last_seen=record.last_seen or 0,
            added_at=record.joined_at,
            agent_version=record.agent_version,
        )

    def _put(self, host: Host) -> None:
        self._hosts[host.name] = host
        self._changed(host.name)

    def _changed(self, name: str) -> None:
        self._scopes.pop(name, None)
        self._snapshot = None
        self._catalogue = None


class StepTypeReader:
    """Turns the step types that agents announce into values; a thousand equal announcements share one result."""

    def __init__(self) -> None:
        self._read: dict[bytes, Mapping[str, StepTypeInfo]] = {}
        self._same: dict[int, tuple[tuple[Mapping[str, Json], ...], Mapping[str, StepTypeInfo]]] = {}
        """Identity of a list, which is kept so that nothing else gets it, to what was read from it."""

    def read(self, announced: tuple[Mapping[str, Json], ...]) -> Mapping[str, StepTypeInfo]:
        """Return the announced step types by name. `announced` must not change afterwards."""
        known = self._same.get(id(announced))
        if known is None:
            if len(self._same) >= MOST_ANNOUNCEMENTS:
                self._same.clear()
            known = self._same[id(announced)] = (announced, self._equal(announced))
        return known[1]

    def _equal(self, announced: tuple[Mapping[str, Json], ...]) -> Mapping[str, StepTypeInfo]:
        # Not the canonical digest, which costs fifty times as much.
        key = hashlib.sha256(marshal.dumps(cast("Any", announced), 2)).digest()
        if key not in self._read:
            if len(self._read) >= MOST_ANNOUNCEMENTS:
                self._read.clear()
            self._read[key] = {info.name: info for info in map(_step_type, announced) if info is not None}
        return self._read[key]


def _quarantined(announced: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
    return {str(each.get("distribution", "?")): str(each.get("reason", "")) for each in announced}


def _step_type(announced: Mapping[str, Any]) -> StepTypeInfo | None:
    """Read what an agent says of a step type; None, and a warning, for what is none: agents are not trusted."""
    try:
        return _read_step_type(announced)
    except (KeyError, TypeError, ValueError) as error:
        log.warning("step_type.unreadable", name=str(announced.get("name"))[:100], error=repr(error)[:200])
        return None


def _read_step_type(announced: Mapping[str, Any]) -> StepTypeInfo:
    if not all(isinstance(announced.get(name, {}), dict) for name in ("params_schema", "outputs_schema")):
        raise TypeError("a schema is no object")
    schemas = {"params": announced.get("params_schema", {}), "outputs": announced.get("outputs_schema", {})}
    return StepTypeInfo(
        name=str(announced["name"]),
        effect=Effect(announced.get("effect", Effect.ONCE)),
        destructive=bool(announced.get("destructive", False)),
        author_effects=tuple(Effect(each) for each in announced.get("author_effects", ())),
        params_schema=schemas["params"],
        outputs_schema=schemas["outputs"],
        distribution=str(announced.get("distribution", "")),
        version=str(announced.get("version", "")),
        digest=digest(schemas),
        has_undo=bool(announced.get("has_undo", True)),
        available=bool(announced.get("available", True)),
        reason=str(announced.get("reason", ""))[:LONGEST_REASON],
    )


def address_of(facts: Mapping[str, Any]) -> str:
    """Return the first address that a host reports, or nothing."""
    addresses = facts.get("addresses")
    return str(addresses[0]) if isinstance(addresses, list | tuple) and addresses else ""
