"""The stored blueprints, parsed once and kept at hand; the store has them all."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.blueprint.expand import content_digest, expand, to_json
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.step_types import StepTypeInfo, check_step_types
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import BlueprintRef
from pilotage_coordinator.domain.planning.request import StoredBlueprint
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.protocol import BlueprintStore
from pilotage_coordinator.store.records import AuditEntry, BlueprintRecord
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")

SHIPPED = "pilotage"
"""Who added the blueprints that come with the product."""


@dataclass(slots=True)
class Library:
    """Reads blueprints, stores them, and finds them for planning without asking the store."""

    store: BlueprintStore
    inventory: LiveInventory
    coordinator_types: Mapping[str, StepTypeInfo]
    clock: Clock
    _parsed: dict[str, StoredBlueprint] = field(default_factory=dict)
    """By digest."""
    _newest: dict[tuple[str, int], BlueprintRef] = field(default_factory=dict)

    async def load(self) -> None:
        """Read every stored blueprint."""
        for summary in await self.store.list():
            for version in await self.store.versions(summary.id):
                record = await self.store.get(summary.id, version)
                try:
                    await self._keep(record)
                except DomainError as error:
                    log.error("blueprint.unreadable", blueprint=summary.id, version=version, error=str(error))

    async def read(self, source: str, file: str) -> Sequence[Blueprint]:
        """Read YAML against the step types known here, storing nothing; raises BlueprintError with every problem."""
        blueprints = await asyncio.to_thread(load_blueprints, source, file)
        offered = self.inventory.step_types()
        if offered:
            # Before the first host has joined, nobody can say which step types there are.
            known = {**offered, **self.coordinator_types}
            problems = [problem for each in blueprints for problem in check_step_types(each, known)]
            if problems:
                raise BlueprintError(problems)
        return blueprints

    async def add(
        self, source: str, file: str, *, added_by: str, audit: tuple[AuditEntry, ...] = ()
    ) -> Sequence[BlueprintRecord]:
        """Store every blueprint of a file; the same content again changes nothing."""
        return await self._store(await self.read(source, file), source, added_by, audit)

    async def add_shipped(self, files: Iterable[tuple[str, str]]) -> None:
        """Store the blueprints that come with the product, before any host could offer their step types."""
        for file, source in files:
            await self._store(load_blueprints(source, file), source, SHIPPED, ())

    def expand(self, blueprint: Blueprint) -> str:
        """Return the normalised form as YAML."""
        return expand(blueprint)

    async def get(self, id: str, version: str) -> StoredBlueprint:
        """Return one version: exact (`1.2.0`), the newest of a major (`1`) or the newest (empty); raises NotFound."""
        if version and not version.isdigit():
            record = await self.store.get(id, version)
        else:
            record = await self.store.newest(id, int(version) if version else None)
        return await self._keep(record)

    # --- planning's Library -----------------------------------------------------------------------------------

    def newest(self, id: str, major: int) -> StoredBlueprint | None:
        """Return the newest published version of this major, or None."""
        ref = self._newest.get((id, major))
        return self._parsed[ref.digest] if ref is not None else None

    def exact(self, ref: BlueprintRef) -> StoredBlueprint | None:
        """Return exactly this version if its digest is the same, or None."""
        found = self._parsed.get(ref.digest)
        return found if found is not None and found.ref == ref else None

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all blueprints."""
        return tuple(sorted({id for id, _ in self._newest}))

    async def _store(
        self, blueprints: Sequence[Blueprint], source: str, added_by: str, audit: tuple[AuditEntry, ...]
    ) -> Sequence[BlueprintRecord]:
        stored = []
        for blueprint in blueprints:
            record = BlueprintRecord(
                id=blueprint.id,
                version=blueprint.version,
                digest=content_digest(blueprint),
                source=source,
                normalised=to_json(blueprint)["workflows"][blueprint.id],
                added_at=self.clock.now(),
                added_by=added_by,
            )
            await self.store.put(record, audit)
            await self._keep(record, blueprint)
            stored.append(record)
        return stored

    async def _keep(self, record: BlueprintRecord, blueprint: Blueprint | None = None) -> StoredBlueprint:
        found = self._parsed.get(record.digest)
        if found is not None:
            return found
        if blueprint is None:
            read = await asyncio.to_thread(load_blueprints, record.source, f"{record.id}@{record.version}")
            blueprint = next(each for each in read if each.id == record.id)
        stored = StoredBlueprint(BlueprintRef(record.id, record.version, record.digest), blueprint)
        self._parsed[record.digest] = stored
        major = int(record.version.partition(".")[0])
        try:
            newest = await self.store.newest(record.id, major)
        except NotFound:
            return stored
        self._newest[record.id, major] = BlueprintRef(newest.id, newest.version, newest.digest)
        return stored
