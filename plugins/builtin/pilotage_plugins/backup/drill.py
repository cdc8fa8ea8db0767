"""`restore.drill`: prove that backups restore, by restoring them."""

import asyncio
import os
import shutil
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pilotage_plugin_api import Effect, StepContext, StepFailed, StepOutputs, TargetFailed
from pydantic import Field

from pilotage_plugins.backup.listing import newest_of_each_group
from pilotage_plugins.backup.manifests import fetch_manifest
from pilotage_plugins.backup.moment import format_time
from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.restore import restore_snapshot
from pilotage_plugins.backup.snapshots import Snapshot, check_snapshot_id, find_data, find_one, is_whole
from pilotage_plugins.backup.trial import Tried, put_to_the_test
from pilotage_plugins.tree.comparison import Comparison, compare
from pilotage_plugins.tree.entry import hash_file
from pilotage_plugins.tree.manifest import read_manifest
from pilotage_plugins.tree.walk import path_key

MOST_SNAPSHOTS = 100


class Compare(StrEnum):
    """How a restored tree is proved."""

    FULL = "full"
    RESTIC = "restic"


class RestoreDrillParams(RepositoryParams):
    """Which snapshots to try, and how hard to look."""

    snapshots: str | tuple[str, ...] = Field(
        "latest", description="latest: the newest of every set of paths of the host; or a list of ids"
    )
    host: str | None = Field(None, min_length=1, description="Whose (this host's)")
    compare: Compare = Field(
        Compare.FULL,
        description="full: everything against the manifest made at backup time; restic: restic's own verification",
    )
    scratch: PlainPath | None = Field(
        None, description="A folder with room for the biggest snapshot (the attempt's own scratch folder)"
    )
    query: str | None = Field(
        None, min_length=1, max_length=4096, description="SQL that each restored database is asked; the answer is kept"
    )


class DrilledSnapshot(StepOutputs):
    """The evidence of one snapshot. Counts are of entries: files, folders, links.

    `volatile`: they changed while they were backed up, so restic's own hashes are the only proof of them.
    `integrity`, `tables`, `rows` and `answer` are of a database: what its engine says of the restored copy. `restore_s`
    includes loading a dump into a server.
    """

    id: str
    time: str
    paths: tuple[str, ...]
    kind: str
    files_identical: int
    bytes_identical: int
    entries_identical: int
    volatile: int
    integrity: str | None
    tables: int | None = None
    rows: int | None = None
    answer: str | None = None
    restore_s: float
    compare_s: float


class RestoreDrillOutputs(StepOutputs):
    """The verdict. `rto_s`: time to restore all of them one after the other. `rpo_s`: the age of the oldest of them
    when the drill began: what would have been lost at most. Both in seconds."""

    identical: bool
    rto_s: float
    rpo_s: float
    files_identical: int
    bytes_identical: int
    volatile: int
    snapshots: tuple[DrilledSnapshot, ...]


class RestoreDrill(ResticStepType[RestoreDrillParams, RestoreDrillOutputs]):
    """Restore a host's newest snapshots into a scratch folder and compare every byte with what was backed up.

    Compared are content, type, mode, owner, times, link targets, hard links and extended attributes, against the
    manifest that `backup.create` stored; databases are also tried: SQLite checks its file, a dump of PostgreSQL is
    loaded into a scratch server, and either answers `query`. Any difference fails the step and is named. What the
    drill restored is removed again.
    """

    name = "restore.drill"
    effect = Effect.READ
    Params = RestoreDrillParams
    Outputs = RestoreDrillOutputs

    async def run(self, ctx: StepContext, params: RestoreDrillParams) -> RestoreDrillOutputs:
        """Drill each snapshot in turn, so that the scratch folder holds one at a time."""
        began = datetime.now(UTC)
        async with open_repository(ctx, params) as restic:
            data, manifests = await find_data(restic, None)
            chosen = await _choose(ctx, params, restic, data, manifests)
            drilled = []
            for number, snapshot in enumerate(chosen):
                ctx.progress(number / len(chosen), f"snapshot {snapshot.id[:8]} of {' '.join(snapshot.paths)[:200]}")
                drilled.append(await _drill(ctx, restic, params, snapshot, manifests))
        return RestoreDrillOutputs(
            identical=True,
            rto_s=round(sum(result.restore_s for result in drilled), 3),
            rpo_s=round(max((began - snapshot.time).total_seconds() for snapshot in chosen), 3),
            files_identical=sum(result.files_identical for result in drilled),
            bytes_identical=sum(result.bytes_identical for result in drilled),
            volatile=sum(result.volatile for result in drilled),
            snapshots=tuple(drilled),
        )


async def _choose(
    ctx: StepContext, params: RestoreDrillParams, restic: Restic, data: list[Snapshot], notes: list[Snapshot]
) -> list[Snapshot]:
    host = params.host or ctx.host
    if params.snapshots == "latest":
        chosen = newest_of_each_group([one for one in data if one.host == host and is_whole(one, notes)])
    else:
        chosen = [await find_one(restic, check_snapshot_id(wanted), host) for wanted in params.snapshots]
    if not chosen:
        raise StepFailed(f"there is no whole snapshot of {host} to drill: run backup.create first")
    if len(chosen) > MOST_SNAPSHOTS:
        raise StepFailed(f"{len(chosen)} sets of paths are too many for one drill: name at most {MOST_SNAPSHOTS} ids")
    return chosen


async def _drill(
    ctx: StepContext, restic: Restic, params: RestoreDrillParams, snapshot: Snapshot, manifests: list[Snapshot]
) -> DrilledSnapshot:
    area = Path(params.scratch or ctx.scratch) / f"drill-{snapshot.id[:16]}"
    try:
        area.mkdir(mode=0o700)
    except FileExistsError:
        await asyncio.to_thread(shutil.rmtree, area)
        area.mkdir(mode=0o700)
    except OSError as error:
        raise TargetFailed(f"cannot make {str(area)!r}: {error.strerror}") from error
    try:
        await _check_room(restic, snapshot, area)
        restored = area / "restored"
        restored.mkdir()
        started = time.monotonic()
        await restore_snapshot(restic, snapshot, str(restored), (), verify=params.compare is Compare.RESTIC)
        restore_s = time.monotonic() - started
        manifest = area / "manifest"
        comparison = Comparison()
        if params.compare is Compare.FULL:
            if not await fetch_manifest(restic, snapshot, manifests, manifest):
                raise StepFailed(
                    f"snapshot {snapshot.id} has no manifest to compare with: back up with manifest: true,"
                    " or drill with compare: restic"
                )
            comparison = await asyncio.to_thread(_compare, ctx, snapshot, restored, manifest)
        _judge(snapshot, comparison)
        tried = await _try(ctx, params, snapshot, restored)
        compare_s = time.monotonic() - started - restore_s - (tried.load_s if tried else 0.0)
    finally:
        await asyncio.to_thread(shutil.rmtree, area, ignore_errors=True)
    return _evidence(snapshot, comparison, tried, restore_s, compare_s)


async def _check_room(restic: Restic, snapshot: Snapshot, area: Path) -> None:
    counted: dict[str, Any] = await restic.json(
        "measuring the snapshot", "stats", "--mode", "restore-size", snapshot.id
    )
    needed, free = int(counted["total_size"]), shutil.disk_usage(area).free
    if needed * 1.05 > free:
        raise TargetFailed(
            f"restoring snapshot {snapshot.id} needs {needed} bytes, {str(area.parent)!r} has {free} free:"
            " give `scratch` a folder on a bigger disk"
        )


def _compare(ctx: StepContext, snapshot: Snapshot, restored: Path, manifest: Path) -> Comparison:
    if snapshot.engine is not None:
        return _compare_database(ctx, restored, manifest)
    roots = sorted(map(os.fsencode, snapshot.paths), key=path_key)
    return compare(read_manifest(manifest), roots, bytes(restored), os.geteuid() == 0, ctx.checkpoint)


def _compare_database(ctx: StepContext, restored: Path, manifest: Path) -> Comparison:
    """Compare content only: a database is streamed into its snapshot, so the file's other qualities are restic's."""
    result = Comparison()
    for entry in read_manifest(manifest):
        copy = bytes(restored) + os.fsencode(entry.path)
        if hash_file(copy, ctx.checkpoint) != entry.sha256:
            result.differ(entry.path, "differs from the copy that was backed up")
            continue
        result.identical += 1
        result.files_identical += 1
        result.bytes_identical += entry.size
    return result


async def _try(ctx: StepContext, params: RestoreDrillParams, snapshot: Snapshot, restored: Path) -> Tried | None:
    if snapshot.engine is None:
        return None
    scratch = Path(params.scratch) if params.scratch else None
    copy = Path(f"{restored}{snapshot.paths[0]}")
    return await put_to_the_test(ctx, snapshot.engine, copy, snapshot.id, scratch, params.query)


def _judge(snapshot: Snapshot, comparison: Comparison) -> None:
    if comparison.different:
        raise StepFailed(
            f"snapshot {snapshot.id} does not restore to what was backed up,"
            f" {comparison.different} differences: " + "; ".join(comparison.differences)
        )


def _evidence(
    snapshot: Snapshot, comparison: Comparison, tried: Tried | None, restore_s: float, compare_s: float
) -> DrilledSnapshot:
    return DrilledSnapshot(
        id=snapshot.id,
        time=format_time(snapshot.time),
        paths=snapshot.paths,
        kind=snapshot.engine or "files",
        files_identical=comparison.files_identical,
        bytes_identical=comparison.bytes_identical,
        entries_identical=comparison.identical,
        volatile=comparison.volatile,
        integrity=tried.integrity if tried else None,
        tables=tried.tables if tried else None,
        rows=tried.rows if tried else None,
        answer=tried.answer if tried else None,
        restore_s=round(restore_s + (tried.load_s if tried else 0.0), 3),
        compare_s=round(compare_s, 3),
    )
