"""The stored blueprints, parsed once and kept at hand; the store has them all."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pilotage_coordinator.domain.blueprint.expand import content_digest, expand, to_json
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import BlueprintRef
from pilotage_coordinator.domain.planning.errors import BlueprintUnreadable
from pilotage_coordinator.domain.planning.request import StoredBlueprint
from pilotage_coordinator.domain.step_type import StepTypeInfo
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
    _unreadable: dict[str, str] = field(default_factory=dict)
    """Digest of a stored blueprint that cannot be read to why, and what to do."""

    async def load(self) -> None:
        """Read every stored blueprint."""
        for summary in await self.store.list():
            for version in await self.store.versions(summary.id):
                record = await self.store.get(summary.id, version)
                try:
                    await self._keep(record)
                except BlueprintUnreadable as error:
                    log.error("blueprint.unreadable", blueprint=summary.id, version=version, error=str(error))

    async def read(self, source: str, file: str) -> Sequence[Blueprint]:
        """Read YAML against the step types known here, storing nothing; raises BlueprintError with every problem."""
        offered = self.inventory.step_types()
        # Before the first host has joined, nobody can say which step types there are.
        known = {**offered, **self.coordinator_types} if offered else None
        return await asyncio.to_thread(_read, source, file, known)

    async def add(
        self, source: str, file: str, *, added_by: str, audit: tuple[AuditEntry, ...] = ()
    ) -> Sequence[BlueprintRecord]:
        """Store every blueprint of a file; the same content again changes nothing."""
        return await self._store(await self.read(source, file), source, added_by, audit)

    async def add_shipped(self, files: Iterable[tuple[str, str]]) -> None:
        """Store the blueprints that come with the product, before any host could offer their step types."""
        for file, source in files:
            await self._store(await asyncio.to_thread(_read, source, file, None), source, SHIPPED, ())

    async def expand(self, blueprint: Blueprint) -> str:
        """Return the normalised form as YAML."""
        return await asyncio.to_thread(expand, blueprint)

    async def get(self, id: str, version: str) -> StoredBlueprint:
        """Return one version: exact (`1.2.0`), the newest of a major (`1`) or the newest (empty).

        Raises NotFound, and BlueprintUnreadable.
        """
        if version and not version.isdigit():
            record = await self.store.get(id, version)
        else:
            record = await self.store.newest(id, int(version) if version else None)
        return await self._keep(record)

    # --- planning's Library -----------------------------------------------------------------------------------

    def newest(self, id: str, major: int) -> StoredBlueprint | None:
        """Return the newest published version of this major, or None; raises BlueprintUnreadable.

        One that cannot be read does not give way to an older one: that would silently run something else.
        """
        ref = self._newest.get((id, major))
        return self._find(ref) if ref is not None else None

    def exact(self, ref: BlueprintRef) -> StoredBlueprint | None:
        """Return exactly this version if its digest is the same, or None; raises BlueprintUnreadable."""
        found = self._find(ref)
        return found if found is not None and found.ref == ref else None

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all blueprints."""
        return tuple(sorted({id for id, _ in self._newest}))

    async def _store(
        self, blueprints: Sequence[Blueprint], source: str, added_by: str, audit: tuple[AuditEntry, ...]
    ) -> Sequence[BlueprintRecord]:
        added_at = self.clock.now()

        def write() -> list[BlueprintRecord]:
            return [
                BlueprintRecord(
                    id=each.id,
                    version=each.version,
                    digest=content_digest(each),
                    source=source,
                    normalised=to_json(each)["workflows"][each.id],
                    added_at=added_at,
                    added_by=added_by,
                )
                for each in blueprints
            ]

        records = await asyncio.to_thread(write)
        await self.store.put(*records, audit=audit)
        for record, blueprint in zip(records, blueprints, strict=True):
            await self._keep(record, blueprint)
        return records

    def _find(self, ref: BlueprintRef) -> StoredBlueprint | None:
        if ref.digest in self._unreadable:
            raise BlueprintUnreadable(self._unreadable[ref.digest])
        return self._parsed.get(ref.digest)

    async def _keep(self, record: BlueprintRecord, blueprint: Blueprint | None = None) -> StoredBlueprint:
        """Return a stored blueprint, read once; raises BlueprintUnreadable."""
        ref = BlueprintRef(record.id, record.version, record.digest)
        stored = self._parsed.get(record.digest)
        if stored is not None:
            return stored
        await self._note_newest(ref)
        if blueprint is None:
            blueprint = await self._read_again(record)
        self._unreadable.pop(record.digest, None)
        stored = self._parsed[record.digest] = StoredBlueprint(ref, blueprint)
        return stored

    async def _note_newest(self, ref: BlueprintRef) -> None:
        major = int(ref.version.partition(".")[0])
        with contextlib.suppress(NotFound):
            newest = await self.store.newest(ref.id, major)
            self._newest[ref.id, major] = BlueprintRef(newest.id, newest.version, newest.digest)

    async def _read_again(self, record: BlueprintRecord) -> Blueprint:
        """Read a source that was stored, perhaps by another version of Pilotage."""
        name = f"{record.id}@{record.version}"
        try:
            read = await asyncio.to_thread(load_blueprints, record.source, name)
            return next(each for each in read if each.id == record.id)
        except (DomainError, StopIteration) as error:
            text = (
                f"blueprint {name} is stored, and this version of Pilotage cannot read it"
                f" ({str(error) or 'its source holds no such blueprint'});"
                " upgrade the coordinator, or add the blueprint anew with a higher version"
            )
            self._unreadable[record.digest] = text
            raise BlueprintUnreadable(text) from error


def _read(source: str, file: str, known: Mapping[str, StepTypeInfo] | None) -> Sequence[Blueprint]:
    """Read YAML, and check it against the known step types if there are any; raises BlueprintError."""
    return load_blueprints(source, file, step_types=known)
