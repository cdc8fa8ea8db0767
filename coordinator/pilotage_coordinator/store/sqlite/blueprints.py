"""Blueprints and plans on SQLite."""

import sqlite3
from itertools import groupby

from pilotage_coordinator.store.errors import NotFound, Refused
from pilotage_coordinator.store.records import AuditEntry, BlueprintRecord, BlueprintSummary, PlanRecord
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.precedence import precedence


class SqliteBlueprints:
    """Implements `BlueprintStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def put(self, *blueprints: BlueprintRecord, audit: tuple[AuditEntry, ...] = ()) -> bool:
        """Store versions, all of them or none; returns False when exactly they are stored already."""
        queries = self._access.queries
        majors = [precedence(each.version).major for each in blueprints]

        def work(connection: sqlite3.Connection) -> bool:
            changed = False
            for blueprint, major in zip(blueprints, majors, strict=True):
                found = connection.execute(queries["blueprint_state"], (blueprint.id, blueprint.version)).fetchone()
                if found is not None and _is_same(blueprint, *found):
                    continue
                connection.execute(queries["blueprint_draft_remove"], (blueprint.id, blueprint.version))
                connection.execute(queries["blueprint_insert"], _row(blueprint, major))
                changed = True
            if changed:
                append_audit(connection, queries, audit)
            return changed

        return await self._access.writes.submit(work)

    async def get(self, blueprint: str, version: str) -> BlueprintRecord:
        """Return one version."""
        row = await self._access.row("blueprint_by_version", (blueprint, version))
        if row is None:
            there = await self.versions(blueprint)
            known = f"it has {', '.join(there[:10])}" if there else f"there is no blueprint {blueprint}"
            raise NotFound(f"blueprint {blueprint} has no version {version}: {known}")
        return BlueprintRecord(
            id=row[0],
            version=row[1],
            digest=row[2],
            source=row[3],
            normalised=read_json(row[4]),
            added_at=row[5],
            added_by=row[6],
            draft=bool(row[7]),
        )

    async def newest(self, blueprint: str, major: int | None = None, *, drafts: bool = False) -> BlueprintRecord:
        """Return the version of highest precedence."""
        rows = await self._access.rows("blueprint_versions", (blueprint,))
        ranked = [(precedence(version), version) for version, draft in rows if drafts or not draft]
        fitting = [(rank, version) for rank, version in ranked if major is None or rank.major == major]
        releases = [(rank, version) for rank, version in fitting if rank.release]
        if not fitting:
            wanted = f"blueprint {blueprint}" + ("" if major is None else f"@{major}")
            raise NotFound(f"there is no published version of {wanted}: add it with `pilotage blueprint add`")
        return await self.get(blueprint, max(releases or fitting)[1])

    async def list(self) -> tuple[BlueprintSummary, ...]:
        """Return the newest version of each blueprint, by id."""
        summaries: list[BlueprintSummary] = []
        for _, group in groupby(await self._access.rows("blueprint_lines"), key=lambda row: str(row[0])):
            rows = list(group)
            newest = max(rows, key=lambda row: precedence(row[1]))
            summaries.append(
                BlueprintSummary(
                    id=newest[0],
                    version=newest[1],
                    digest=newest[2],
                    draft=bool(newest[3]),
                    added_at=newest[4],
                    added_by=newest[5],
                    versions=len(rows),
                    name=newest[6],
                    description=newest[7],
                )
            )
        return tuple(summaries)

    async def versions(self, blueprint: str) -> tuple[str, ...]:
        """Return the versions of a blueprint, highest precedence first."""
        rows = await self._access.rows("blueprint_versions", (blueprint,))
        return tuple(sorted((str(version) for version, _ in rows), key=precedence, reverse=True))


class SqlitePlans:
    """Implements `PlanStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    async def put(self, plan: PlanRecord) -> None:
        """Store a plan."""
        sql = self._access.queries["plan_put"]

        def work(connection: sqlite3.Connection) -> None:
            # Written as text here: a large plan must not keep the event loop waiting.
            row = (plan.digest, write_json(plan.content), write_json(plan.view), plan.created_at)
            connection.execute(sql, row)

        await self._access.writes.submit(work)

    async def get(self, digest: str) -> PlanRecord:
        """Return a plan."""
        found = await self._access.records("plan_by_digest", (digest,), _plan_record)
        if not found:
            raise NotFound(f"there is no plan {digest}: plan again")
        return found[0]


def _plan_record(row: Row) -> PlanRecord:
    return PlanRecord(digest=row[0], content=read_json(row[1]), view=read_json(row[2]), created_at=row[3])


def _row(blueprint: BlueprintRecord, major: int) -> Row:
    return (
        blueprint.id,
        blueprint.version,
        major,
        blueprint.digest,
        blueprint.draft,
        str(blueprint.normalised.get("name", "")),
        str(blueprint.normalised.get("description", "")),
        blueprint.source,
        write_json(blueprint.normalised),
        blueprint.added_at,
        blueprint.added_by,
    )


def _is_same(new: BlueprintRecord, digest: str, draft: int) -> bool:
    """Return whether the stored version is the new one; raises Refused when it may not give way to it."""
    if new.digest == digest and new.draft == bool(draft):
        return True
    if draft:
        return False
    if new.digest == digest:
        raise Refused(f"blueprint {new.id}@{new.version} is published: it cannot become a draft again")
    raise Refused(
        f"blueprint {new.id}@{new.version} is published with other content: published versions never change; "
        "give the new content a higher version"
    )
