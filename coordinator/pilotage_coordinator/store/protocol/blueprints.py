"""The port to blueprints and plans."""

from typing import Protocol

from pilotage_coordinator.store.records import AuditEntry, BlueprintRecord, BlueprintSummary, PlanRecord


class BlueprintStore(Protocol):
    """Versions of blueprints. Published ones never change and are never removed."""

    async def put(self, *blueprints: BlueprintRecord, audit: tuple[AuditEntry, ...] = ()) -> bool:
        """Store versions in one transaction; returns False when exactly they are all stored already.

        Raises Refused, with nothing stored, when a version is published with another digest, when a published one
        would become a draft, or for a version that is no MAJOR.MINOR.PATCH[-PRERELEASE].
        """
        ...

    async def get(self, blueprint: str, version: str) -> BlueprintRecord:
        """Return one version; raises NotFound, which names the versions there are."""
        ...

    async def newest(self, blueprint: str, major: int | None = None, *, drafts: bool = False) -> BlueprintRecord:
        """Return the version of highest precedence (semver.org 2.0.0, 11), of one major version if given.

        Pre-releases count only where there is no release; drafts only if asked for. Raises NotFound.
        """
        ...

    async def list(self) -> tuple[BlueprintSummary, ...]:
        """Return the newest version (drafts included) of each blueprint, by id."""
        ...

    async def versions(self, blueprint: str) -> tuple[str, ...]:
        """Return the versions of a blueprint, highest precedence first; empty if there are none."""
        ...


class PlanStore(Protocol):
    """Plans under their digests. A plan that no execution uses goes with retention."""

    async def put(self, plan: PlanRecord) -> None:
        """Store a plan. The same digest again keeps the first content and takes the new view."""
        ...

    async def get(self, digest: str) -> PlanRecord:
        """Return a plan; raises NotFound."""
        ...
