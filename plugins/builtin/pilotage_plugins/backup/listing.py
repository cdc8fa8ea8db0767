"""`backup.list`: which snapshots there are."""

import json
from datetime import UTC, datetime
from typing import Final

from pilotage_plugin_api import Effect, StepContext, StepFailed, StepOutputs
from pydantic import Field, field_validator

from pilotage_plugins.backup.moment import format_time, parse_time
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import ResticStepType, open_repository
from pilotage_plugins.backup.server import database_name
from pilotage_plugins.backup.snapshots import Snapshot, find_data, is_whole, size_of

LISTED_JSON_LIMIT: Final = 56 * 1024


class BackupListParams(RepositoryParams):
    """Which snapshots."""

    host: str | None = Field(None, min_length=1, description="Whose (this host's); \"*\" for every host's")
    as_of: str = Field("latest", description="Only what was there at this time (RFC 3339), or `latest`")
    newest_only: bool = Field(
        True, description="Only the newest whole one of each set of paths, or the newest if none is whole; false: all"
    )
    limit: int = Field(100, ge=1, le=500, description="At most this many, the newest")

    @field_validator("as_of")
    @classmethod
    def _time_or_latest(cls, as_of: str) -> str:
        if as_of != "latest":
            parse_time(as_of)
        return as_of


class ListedSnapshot(StepOutputs):
    """One snapshot. `files` and `bytes` are known of those with a manifest. `whole`: nothing is missing in it; a
    database's that is not may be cut off anywhere. `kind`: files, or the engine of the database whose copy it is;
    `database` is its name: of SQLite the path of its file."""

    id: str
    time: str
    host: str
    paths: tuple[str, ...]
    tags: tuple[str, ...]
    files: int | None
    bytes: int | None
    whole: bool = True
    kind: str = "files"
    database: str | None = None


class BackupListOutputs(StepOutputs):
    """The snapshots, newest first. `age_s`: seconds since the newest whole one; None when there is none."""

    snapshots: tuple[ListedSnapshot, ...]
    total: int
    age_s: float | None


class BackupList(ResticStepType[BackupListParams, BackupListOutputs]):
    """List the snapshots of data that Pilotage made in a repository."""

    name = "backup.list"
    effect = Effect.READ
    Params = BackupListParams
    Outputs = BackupListOutputs

    async def run(self, ctx: StepContext, params: BackupListParams) -> BackupListOutputs:
        """Ask restic."""
        host = None if params.host == "*" else params.host or ctx.host
        async with open_repository(ctx, params, looking=True) as restic:
            snapshots, notes = await find_data(restic, host)
        if params.as_of != "latest":
            moment = parse_time(params.as_of)
            snapshots = [snapshot for snapshot in snapshots if snapshot.time <= moment]
        chosen = best_of_each_group(snapshots, notes) if params.newest_only else snapshots
        newest_first = sorted(chosen, key=lambda snapshot: snapshot.time, reverse=True)
        listed = tuple(_listed(snapshot, notes) for snapshot in newest_first[: params.limit])
        size = sum(len(json.dumps(item.model_dump(mode="json"))) for item in listed)
        if size > LISTED_JSON_LIMIT:
            raise StepFailed(f"{len(listed)} snapshots take {size} bytes, more than outputs may hold: lower `limit`")
        whole = next((snapshot for snapshot in newest_first if is_whole(snapshot, notes)), None)
        age = (datetime.now(UTC) - whole.time).total_seconds() if whole else None
        return BackupListOutputs(snapshots=listed, total=len(newest_first), age_s=age)


def newest_of_each_group(snapshots: list[Snapshot]) -> list[Snapshot]:
    """Return the newest snapshot of each set of paths of each host; the snapshots come oldest first."""
    return list({snapshot.group: snapshot for snapshot in snapshots}.values())


def best_of_each_group(snapshots: list[Snapshot], notes: list[Snapshot]) -> list[Snapshot]:
    """Return of each set of paths of each host the newest whole snapshot, or the newest where none is whole.

    A backup that was cut off hides no good one before it. The snapshots come oldest first.
    """
    return newest_of_each_group(sorted(snapshots, key=lambda snapshot: is_whole(snapshot, notes)))


def _listed(snapshot: Snapshot, notes: list[Snapshot]) -> ListedSnapshot:
    size = size_of(snapshot, notes)
    return ListedSnapshot(
        id=snapshot.id,
        time=format_time(snapshot.time),
        host=snapshot.host,
        paths=snapshot.paths,
        tags=snapshot.tags,
        files=size.files,
        bytes=size.bytes,
        whole=is_whole(snapshot, notes),
        kind=snapshot.engine or "files",
        database=database_name(snapshot.paths[0]) if snapshot.engine else None,
    )
